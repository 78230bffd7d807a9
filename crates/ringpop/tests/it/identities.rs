//! Two live members that claim one identity.

use std::sync::Arc;
use std::time::Duration;

use ringpop::admin_client::{AdminClient, GetStatusRequest};
use ringpop::discovery::StaticList;
use ringpop::swim::Config;
use ringpop::{Event, Ringpop, SharedIdentity};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

async fn start(identity: &str, peers: Option<&str>) -> Ringpop {
    let mut builder = Ringpop::builder("test").identity(identity).config(Config::local());
    if let Some(peers) = peers {
        builder = builder.discovery(Arc::new(StaticList::parse(peers).unwrap()));
    }
    let member = builder.bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    member
}

#[tokio::test]
async fn everybody_is_told_of_two_live_members_with_one_identity() {
    let observer = start("p0", None).await;
    let mut events = observer.events();
    let first = start("p1", Some(observer.whoami())).await;
    let second = start("p1", Some(observer.whoami())).await;
    let told = async {
        loop {
            if let Event::IdentityShared(shared) = events.next().await.unwrap() {
                return shared;
            }
        }
    };
    let SharedIdentity { identity, owner, others, .. } = timeout(PATIENCE, told).await.unwrap();
    assert_eq!(identity, "p1");
    let mut named = vec![owner.to_string()];
    named.extend(others.iter().map(ToString::to_string));
    named.sort();
    let mut expected = vec![first.whoami().to_owned(), second.whoami().to_owned()];
    expected.sort();
    assert_eq!(named, expected);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", observer.whoami()));
    let mut admin = AdminClient::new(endpoint.unwrap().connect().await.unwrap());
    let status = admin.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    let counted = status.counters.iter().find(|c| c.name == "ring.identities_shared").unwrap();
    assert!(counted.value >= 1);
    let marked: Vec<_> =
        status.members.iter().filter(|member| !member.identity_owner.is_empty()).collect();
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0].points, 0);
}
