//! Reads and writes of several owners of a key: done when enough of them have answered.

use std::collections::HashSet;
use std::time::Duration;

use tonic::{Code, Status};

use crate::common::cluster::{Node, Ring, dead_address};
use crate::common::service::{Ask, ONCE, Seen, Tell, TestClient, TestServer};
use crate::common::{eventually, soon};
use ringpop_forward::{
    ConfigError, FanOut, ForwardService, ReplicateError, Replicated, ReplicatorBuilder,
};

/// Three owners of the key `k`, of which the first one asks.
fn cluster() -> (Ring, [Node; 3]) {
    let ring = Ring::default();
    let nodes = [Node::start(&ring), Node::start(&ring), Node::start(&ring)];
    let owners: Vec<_> = nodes.iter().map(|node| node.address.as_str()).collect();
    ring.set("k", &owners);
    (ring, nodes)
}

fn local(node: &Node) -> TestServer {
    TestServer(node.handler.clone())
}

/// A call with an order for the handlers.
fn order(
    key: &'static str,
    order: &'static str,
) -> impl Fn(ForwardService<TestServer>) -> Called<Tell> {
    move |service| {
        Box::pin(async move {
            let tell = TestClient::new(service).unary_at(ONCE, Ask::new(key, order)).await?;
            Ok(tell.into_inner())
        })
    }
}

type Called<R> = std::pin::Pin<Box<dyn Future<Output = Result<R, Status>> + Send>>;

fn names(replicated: &Replicated<Tell>) -> HashSet<String> {
    replicated.replies.iter().map(|reply| reply.value.node.clone()).collect()
}

fn begun(nodes: &[Node]) -> Vec<u64> {
    nodes.iter().map(|node| Seen::get(&node.seen().begun)).collect()
}

#[tokio::test]
async fn a_read_is_done_when_enough_have_answered_and_gives_the_rest_up() {
    let (_ring, nodes) = cluster();
    let replicator = nodes[0].forwarder.replicator().read_quorum(2).build().unwrap();
    for node in &nodes[..2] {
        node.handler.go.add_permits(1);
    }
    let read = replicator.read("k", local(&nodes[0]), order("k", "wait"));
    let replicated = soon("two of three answer", read).await.unwrap();
    let expected = nodes[..2].iter().map(|node| node.address.clone()).collect();
    assert_eq!(names(&replicated), expected);
    assert!(replicated.failures.is_empty());
    eventually("the third is given up", || Seen::get(&nodes[2].seen().cancelled) == 1).await;
}

#[tokio::test]
async fn a_write_that_is_done_reaches_the_rest_too() {
    let (_ring, nodes) = cluster();
    let replicator = nodes[0].forwarder.replicator().write_quorum(1).build().unwrap();
    nodes[1].handler.go.add_permits(1);
    let write = replicator.write("k", local(&nodes[0]), order("k", "wait"));
    let replicated = soon("one of three answers", write).await.unwrap();
    assert_eq!(names(&replicated), HashSet::from([nodes[1].address.clone()]));
    eventually("all have begun", || begun(&nodes) == [1, 1, 1]).await;
    // The handlers take their permits, so they run still.
    for node in [&nodes[0], &nodes[2]] {
        node.handler.go.add_permits(1);
        eventually("it goes on", || node.handler.go.available_permits() == 0).await;
        assert_eq!(Seen::get(&node.seen().cancelled), 0);
    }
}

#[tokio::test]
async fn owners_that_fail_are_told_apart_from_those_that_answer() {
    let (ring, nodes) = cluster();
    ring.set("k", &[&nodes[0].address, &dead_address(), &nodes[1].address]);
    let replicator = nodes[0].forwarder.replicator().write_quorum(2).build().unwrap();
    let write = replicator.write("k", local(&nodes[0]), order("k", ""));
    let replicated = soon("two of three", write).await.unwrap();
    assert_eq!(replicated.replies.len(), 2);

    let replicator = nodes[0].forwarder.replicator().build().unwrap();
    let write = replicator.write("k", local(&nodes[0]), order("k", ""));
    let error = soon("all of three", write).await.unwrap_err();
    let ReplicateError::TooFewReplies { wanted, partial, .. } = &error else { panic!("{error}") };
    assert_eq!((*wanted, partial.failures.len()), (3, 1));
    assert!(partial.replies.len() <= 2);
    let message = error.to_string();
    assert!(message.contains("of 3 owners have answered for key"), "{message}");
    assert_eq!(Status::from(error).code(), Code::Unavailable);
}

#[tokio::test]
async fn nobody_is_asked_when_the_ring_has_too_few_members() {
    let (ring, nodes) = cluster();
    ring.set("k", &[&nodes[0].address, &nodes[1].address]);
    let replicator = nodes[0].forwarder.replicator().build().unwrap();
    let error =
        replicator.write("k", local(&nodes[0]), order("k", "")).await.unwrap_err().to_string();
    assert!(error.starts_with("2 owners are known for key"), "{error}");
    assert!(error.contains("3 have to answer"), "{error}");
    assert_eq!(begun(&nodes), [0, 0, 0]);
    // Reads are content with one.
    replicator.read("k", local(&nodes[0]), order("k", "")).await.unwrap();
}

#[tokio::test]
async fn one_after_the_other_means_no_more_than_needed() {
    let (ring, nodes) = cluster();
    let serial = |builder: ReplicatorBuilder| builder.fan_out(FanOut::Serial).build().unwrap();
    let one = serial(nodes[0].forwarder.replicator());
    let two = serial(nodes[0].forwarder.replicator().read_quorum(2));
    one.read("k", local(&nodes[0]), order("k", "")).await.unwrap();
    assert_eq!(begun(&nodes), [1, 0, 0]);
    two.read("k", local(&nodes[0]), order("k", "")).await.unwrap();
    assert_eq!(begun(&nodes), [2, 1, 0]);
    ring.set("k", &[&dead_address(), &nodes[1].address, &nodes[2].address]);
    let replicated = one.read("k", local(&nodes[0]), order("k", "")).await.unwrap();
    assert_eq!(begun(&nodes), [2, 2, 0]);
    assert_eq!((replicated.replies.len(), replicated.failures.len()), (1, 1));
}

#[tokio::test]
async fn balanced_reads_reach_every_owner() {
    let (_ring, nodes) = cluster();
    let replicator = nodes[0].forwarder.replicator().fan_out(FanOut::Balanced).build().unwrap();
    // Each owner is missed by so many with a chance of 1 in 10^17.
    for _ in 0..100 {
        replicator.read("k", local(&nodes[0]), order("k", "")).await.unwrap();
    }
    let begun = begun(&nodes);
    assert_eq!(begun.iter().sum::<u64>(), 100, "one for each read");
    assert!(begun.iter().all(|&begun| begun > 0), "{begun:?}");
}

#[tokio::test]
async fn many_keys_are_one_call_for_each_owner() {
    let (ring, nodes) = cluster();
    let [a, b, c] = nodes.each_ref().map(|node| node.address.as_str());
    ring.set("ab", &[a, b]);
    ring.set("bc", &[b, c]);
    ring.set("bc too", &[c, b]);
    let replicator = nodes[0].forwarder.replicator();
    let replicator = replicator.owners(2).build().unwrap();
    let write = replicator.write_all(["ab", "bc", "bc too"], local(&nodes[0]), |service, keys| {
        let count = keys.len();
        Box::pin(async move {
            TestClient::new(service).unary_at(ONCE, Ask::new("any", "")).await.map(|_| count)
        }) as Called<usize>
    });
    let replicated = soon("three calls", write).await.unwrap();
    let counts: usize = replicated.replies.iter().map(|reply| reply.value).sum();
    assert_eq!((replicated.replies.len(), counts), (3, 6));
    assert_eq!(begun(&nodes), [1, 1, 1]);
    let of_b = replicated.replies.iter().find(|reply| reply.value == 3).unwrap();
    assert_eq!(of_b.keys.len(), 3);
}

#[tokio::test]
async fn a_read_that_takes_too_long_says_who_did_not_answer() {
    let (_ring, nodes) = cluster();
    let builder = nodes[0].forwarder.replicator().read_quorum(3);
    let replicator = builder.timeout(Duration::from_millis(300)).build().unwrap();
    for node in &nodes[..2] {
        node.handler.go.add_permits(1);
    }
    let read = replicator.read("k", local(&nodes[0]), order("k", "wait"));
    let error = soon("a limit", read).await.unwrap_err();
    let ReplicateError::TooFewReplies { partial, .. } = &error else { panic!("{error}") };
    assert_eq!(partial.failures.last().unwrap().status.code(), Code::DeadlineExceeded);
    assert!(error.to_string().contains(&nodes[2].address), "{error}");
}

#[tokio::test]
async fn quorums_lie_between_one_and_the_owners() {
    let (_ring, nodes) = cluster();
    let build = |change: fn(ReplicatorBuilder) -> ReplicatorBuilder| {
        change(nodes[0].forwarder.replicator()).build().unwrap_err()
    };
    let range = |field, value, max| ConfigError::Range { field, value, min: 1, max };
    assert_eq!(build(|builder| builder.owners(0)), range("owners", 0, 16));
    assert_eq!(build(|builder| builder.read_quorum(4)), range("read_quorum", 4, 3));
    assert_eq!(build(|builder| builder.write_quorum(0)), range("write_quorum", 0, 3));
    let above = build(|builder| builder.owners(2).write_quorum(3));
    assert_eq!(above, range("write_quorum", 3, 2));
    let error = build(|builder| builder.timeout(Duration::ZERO)).to_string();
    assert!(error.starts_with("timeout is 0ns"), "{error}");
}
