//! Clients that are no members and know the ring.

use std::sync::Arc;
use std::time::Duration;

use ringpop::discovery::StaticList;
use ringpop::forward::{EXPLAIN_HEADER, HANDLED_BY_HEADER, HOPS_HEADER, RingChannel, Routes};
use ringpop::{RingClient, Ringpop};
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service;

use crate::echo::{Echo, METHOD, builder, peers};

/// Only a failure waits this long: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(120);

async fn member(seeds: &[&Ringpop]) -> Ringpop {
    let mut builder = builder().listen("127.0.0.1:0".parse().unwrap());
    if !seeds.is_empty() {
        builder = builder.discovery(peers(seeds));
    }
    let member = builder.bind().await.unwrap();
    member.serve(tonic::service::Routes::new(Echo)).unwrap();
    timeout(PATIENCE, member.bootstrap()).await.unwrap().unwrap();
    member
}

async fn cluster(n: usize) -> Vec<Ringpop> {
    let mut members = vec![member(&[]).await];
    for _ in 1..n {
        let next = member(&[&members[0]]).await;
        members.push(next);
    }
    until("one ring", || {
        members.iter().all(|member| {
            let view = member.view();
            view.ring.len() == n && view.ring_checksum == members[0].ring_checksum()
        })
    })
    .await;
    members
}

fn client(app: &str, seeds: &[&Ringpop]) -> RingClient {
    let routes = Routes::new().header(METHOD).unary();
    RingClient::builder(app, peers(seeds)).routes(routes).build().unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// The member that handled the call, and how often it was forwarded.
async fn call(channel: &mut RingChannel, key: &str) -> Result<(String, String), Status> {
    let request = http::Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("ringpop-key", key)
        .header(EXPLAIN_HEADER, "1")
        .body(Body::default())
        .unwrap();
    let Ok(response) = channel.call(request).await;
    let headers = response.headers();
    let status = Status::from_header_map(headers).expect("an answer of trailers only");
    let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    match status.code() {
        Code::Ok => Ok((text(HANDLED_BY_HEADER), text(HOPS_HEADER))),
        _ => Err(status),
    }
}

#[tokio::test]
async fn each_call_goes_straight_to_the_owner() {
    let members = cluster(3).await;
    let client = client("test", &[&members[1]]);
    timeout(PATIENCE, client.ready()).await.unwrap();
    assert_eq!(client.ring().checksum(), members[0].ring_checksum());
    let mut channel = client.channel();
    for i in 0..50 {
        let key = format!("key-{i}");
        let owner = members[0].lookup(key.as_bytes()).unwrap();
        let handled = call(&mut channel, &key).await.unwrap();
        assert_eq!(handled, ((*owner).to_owned(), "0".to_owned()));
    }
}

#[tokio::test]
async fn the_ring_is_followed_through_joins_weights_and_leaves() {
    let mut members = cluster(2).await;
    let client = client("test", &[&members[0]]);
    timeout(PATIENCE, client.ready()).await.unwrap();
    members.push(member(&[&members[0]]).await);
    until("three on the ring", || client.ring().len() == 3).await;
    members[2].set_weight(5).await.unwrap();
    let weight = || client.ring().node(members[2].whoami()).map(|node| node.weight());
    until("the weight", || weight() == Some(5)).await;
    members.push(member(&[&members[0]]).await);
    // The one that is watched may be among them, and the one that discovery lists is.
    for left in [3, 2] {
        members.remove(0).shutdown(PATIENCE).await;
        until("one ring less", || {
            client.ring().len() == left && client.ring().checksum() == members[0].ring_checksum()
        })
        .await;
    }
    let stats = client.stats();
    assert_eq!(stats.mismatches, 0, "{stats:?}");
    assert!(stats.watches >= 2, "{stats:?}");
    assert!(stats.age.is_some_and(|age| age < PATIENCE), "{stats:?}");
}

#[tokio::test]
async fn a_client_counts_its_picks_and_failovers() {
    let members = cluster(2).await;
    let client = client("test", &[&members[0]]);
    assert_eq!(client.stats().age, None);
    timeout(PATIENCE, client.ready()).await.unwrap();
    assert_eq!((client.name(), client.stats().picks), ("test", 0));
    let mut channel = client.channel();
    call(&mut channel, "key").await.unwrap();
    assert_eq!((client.stats().picks, client.stats().failovers), (1, 0));
}

#[tokio::test]
async fn the_last_ring_is_kept_while_all_members_are_silent() {
    let members = cluster(2).await;
    let client = client("test", &[&members[0]]);
    timeout(PATIENCE, client.ready()).await.unwrap();
    let mut channel = client.channel();
    call(&mut channel, "key").await.unwrap();
    for member in members {
        member.shutdown(PATIENCE).await;
    }
    let failures = client.stats().failures;
    until("nobody tells the ring", || client.stats().failures > failures + 2).await;
    assert!(!client.ring().is_empty());
    assert_eq!(call(&mut channel, "key").await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn members_of_another_application_tell_nothing() {
    let members = cluster(1).await;
    let client = client("another", &[&members[0]]);
    until("it is refused", || client.stats().failures > 1).await;
    assert!(client.ring().is_empty());
    let failure = client.last_failure().unwrap();
    assert_eq!(failure.member.as_deref(), Some(members[0].whoami()));
    assert!(failure.cause.contains("test"), "the application of the member: {failure}");
    let status = call(&mut client.channel(), "key").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let cause = "no member has told this client the ring: ";
    assert!(status.message().contains(cause), "{status:?}");
    assert!(status.message().contains(&failure.to_string()), "{status:?}");
}

/// Members refuse such names, too.
#[tokio::test]
async fn names_that_are_empty_are_refused() {
    let list = || StaticList::from_addresses(["10.0.0.1:7100"]).unwrap();
    let error = RingClient::builder("", list()).build().unwrap_err();
    let member = Ringpop::builder("").bind().await.unwrap_err();
    assert_eq!(error.to_string(), member.to_string());
    let error = RingClient::builder("test", list()).name("").build().unwrap_err();
    assert!(error.to_string().contains("the name of the client is empty"), "{error}");
}

#[tokio::test]
async fn a_client_that_begins_before_the_cluster_finds_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let seeds = Arc::new(StaticList::from_addresses([address.as_str()]).unwrap());
    let client = RingClient::builder("test", seeds).build().unwrap();
    until("nobody is there", || client.stats().failures > 0).await;
    let member = builder().listen(address.parse().unwrap()).bind().await.unwrap();
    member.serve(tonic::service::Routes::new(Echo)).unwrap();
    member.bootstrap().await.unwrap();
    timeout(PATIENCE, client.ready()).await.unwrap();
    assert_eq!(client.ring().checksum(), member.ring_checksum());
}
