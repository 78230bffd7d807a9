//! The service in a cluster within the test, which needs no process and no port of its own.

use ringpop::Lookup;
use ringpop::forward::Routes;
use ringpop::testing::{Cluster, FakeRing};
use ringpop::tonic::service::Routes as Services;
use ringpop_tutorial::SessionStore;
use ringpop_tutorial::sessions::SESSIONS_ROUTES;
use ringpop_tutorial::sessions::sessions_client::SessionsClient;
use ringpop_tutorial::sessions::sessions_server::SessionsServer;
use ringpop_tutorial::sessions::{GetRequest, PutRequest};

async fn sessions() -> Cluster {
    Cluster::builder(3)
        .settings(|_, builder| builder.routes(Routes::new().table(SESSIONS_ROUTES)))
        .services(|_, member| {
            Services::new(SessionsServer::new(SessionStore::new(member.whoami())))
        })
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn any_process_answers_also_after_the_owner_was_killed() {
    let mut cluster = sessions().await;
    let owner = cluster.member(0).lookup(b"session-1").unwrap();
    let put = PutRequest { id: "session-1".to_owned(), user: "ada".to_owned() };
    for i in 0..3 {
        let url = format!("http://{}", cluster.address(i));
        let mut client = SessionsClient::connect(url).await.unwrap();
        let stored = client.put(put.clone()).await.unwrap().into_inner();
        assert_eq!(owner, *stored.handled_by);
    }
    let owner = cluster.index_of(owner.address()).unwrap();
    cluster.kill(owner).await;
    let other = (owner + 1) % 3;
    let url = format!("http://{}", cluster.address(other));
    let mut client = SessionsClient::connect(url).await.unwrap();
    // The next owner has no session yet, and takes a new one.
    let stored = client.put(put).await.unwrap().into_inner();
    assert_ne!(stored.handled_by, cluster.address(owner));
    let get = GetRequest { id: "session-1".to_owned() };
    assert_eq!(client.get(get).await.unwrap().into_inner().user, "ada");
}

/// The sessions that this process cleans up.
fn mine<'a>(ring: &impl Lookup, sessions: &[&'a str]) -> Vec<&'a str> {
    sessions.iter().copied().filter(|id| ring.owns(id.as_bytes())).collect()
}

#[test]
fn code_that_asks_who_owns_a_key_needs_no_cluster() {
    let ring = FakeRing::new("10.0.0.1:7100", ["10.0.0.2:7100"]).unwrap();
    ring.give(b"session-1", ["10.0.0.1:7100"]).unwrap();
    ring.give(b"session-2", ["10.0.0.2:7100"]).unwrap();
    assert_eq!(mine(&ring, &["session-1", "session-2"]), ["session-1"]);
}
