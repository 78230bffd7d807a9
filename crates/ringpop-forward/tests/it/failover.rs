//! A failure before any response goes on to the next owner, and nothing is executed twice that must
//! not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tonic::{Code, Request};

use crate::common::cluster::{Node, Ring, dead_address};
use crate::common::service::{Ask, ONCE, Seen, UNARY, all, next, within};
use crate::common::{eventually, soon};
use ringpop_forward::{H2Config, H2Transport, Policy, RetryTarget, Schedule};

#[tokio::test]
async fn a_dead_first_owner_is_passed_over_for_every_shape_of_call() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&dead_address(), &second.address, &asked.address]);
    let mut client = asked.client().await;

    let tell = client.unary_at(ONCE, Ask::new("k", "hello")).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
    assert_eq!(second.seen().header("grpc-previous-rpc-attempts").unwrap(), "1");
    let asks = (0..10).map(|_| Ask::new("k", "").with(vec![0; 1000]));
    let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
    assert_eq!((tell.node, tell.text), (second.address.clone(), "10 messages, 10000 bytes".into()));
    let tells = client.download(Ask::new("k", "3")).await.unwrap().into_inner();
    assert_eq!(all(tells).await.len(), 3);
    let asks = tokio_stream::iter([Ask::new("k", "a"), Ask::new("k", "b")]);
    let tells = client.chat(asks).await.unwrap().into_inner();
    assert_eq!(all(tells).await.len(), 2);

    let stats = asked.forwarder.stats();
    assert_eq!((stats.retries_never_sent, stats.rerouted, stats.failed), (4, 4, 0));
}

#[tokio::test]
async fn a_dead_owner_costs_one_dial_and_is_skipped_by_those_that_follow() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&dead_address(), &second.address]);
    let mut client = asked.client().await;
    let begin = Instant::now();
    for _ in 0..100 {
        client.unary(Ask::new("k", "")).await.unwrap();
    }
    // The gate opens after 40 ms at the earliest and then doubles, so a longer run may dial more
    // often.
    let dials_allowed = 1 + begin.elapsed().as_millis() as u64 / 40;
    let dials = asked.forwarder.stats().dial_failures;
    assert!(dials <= dials_allowed, "{dials} dials for 100 calls in {:?}", begin.elapsed());
}

#[tokio::test]
async fn when_the_next_owner_is_this_process_it_handles_the_call() {
    let ring = Ring::default();
    let asked = Node::start(&ring);
    ring.set("k", &[&dead_address(), &asked.address]);
    let mut client = asked.client().await;
    let tell =
        client.unary_at(ONCE, Ask::new("k", "hello").with("payload")).await.unwrap().into_inner();
    assert_eq!((tell.node, tell.payload), (asked.address.clone(), "payload".into()));
    let asks = (0..10).map(|_| Ask::new("k", ""));
    let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
    assert_eq!(tell.text, "10 messages, 0 bytes");
    assert_eq!(asked.forwarder.stats().local, 2);
}

#[tokio::test]
async fn with_reroute_another_owner_is_asked_only_when_the_ring_says_so() {
    let ring = Ring::default();
    let policy = Policy::default()
        .target(RetryTarget::Reroute)
        .max_attempts(16)
        .schedule(Schedule::new([Duration::from_millis(5)]));
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let second = Node::start(&ring);
    ring.set("k", &[&dead_address(), &second.address]);
    let mut client = asked.client().await;
    let call = tokio::spawn(async move { client.unary_at(ONCE, Ask::new("k", "")).await });
    eventually("the dead owner is asked again", || asked.forwarder.stats().retries_never_sent > 1)
        .await;
    assert_eq!(Seen::get(&second.seen().begun), 0);
    ring.set("k", &[&second.address]);
    assert_eq!(soon("call", call).await.unwrap().unwrap().into_inner().node, second.address);
}

#[tokio::test]
async fn when_no_owner_can_be_asked_the_caller_is_told_why() {
    let ring = Ring::default();
    let asked = Node::start(&ring);
    let dead = dead_address();
    ring.set("k", &[&dead]);
    let mut client = asked.client().await;
    let status =
        client.unary(within(Ask::new("k", ""), Duration::from_secs(10))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(&dead), "{status:?}");
    assert!(status.message().contains("no attempt is left"), "{status:?}");
    let status = client.unary(Ask::new("unknown", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("no owner is known"), "{status:?}");
    let stats = asked.forwarder.stats();
    assert_eq!((stats.failed, stats.not_retried_attempts_spent), (2, 2));
}

#[tokio::test]
async fn unavailable_is_tried_elsewhere_only_if_the_method_is_idempotent() {
    let ring = Ring::default();
    let (asked, first, second) = (Node::start(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    let mut client = asked.client().await;

    let status = client.unary_at(ONCE, Ask::new("k", "unavailable")).await.unwrap_err();
    assert_eq!(status.message(), "told to be unavailable", "the owner's own words");
    assert_eq!((Seen::get(&first.seen().begun), Seen::get(&second.seen().begun)), (1, 0));

    let mut request = Request::new(Ask::new("k", "unavailable"));
    request.metadata_mut().insert("ringpop-idempotent", "1".parse().unwrap());
    client.unary_at(ONCE, request).await.unwrap_err();
    assert!(Seen::get(&second.seen().begun) > 0, "the caller said that it may be executed twice");
    let before = Seen::get(&second.seen().begun);
    client.unary(Ask::new("k", "unavailable")).await.unwrap_err();
    assert!(Seen::get(&second.seen().begun) > before, "the route says so");
}

#[tokio::test]
async fn a_message_over_the_replay_limit_is_not_sent_again_once_it_has_begun() {
    let ring = Ring::default();
    let asked = Node::start_with(&ring, |builder| builder.replay_limit(1024));
    let (first, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    let mut client = asked.client().await;
    let small = Ask::new("k", "unavailable").with(vec![0; 100]);
    client.unary(small).await.unwrap_err();
    assert!(Seen::get(&second.seen().begun) > 0);
    let before = Seen::get(&second.seen().begun);
    let large = Ask::new("k", "unavailable").with(vec![0; 100_000]);
    assert_eq!(client.unary(large).await.unwrap_err().message(), "told to be unavailable");
    assert_eq!(Seen::get(&second.seen().begun), before);
    assert_eq!(asked.forwarder.stats().not_retried_not_replayable, 1);
    // Before anything of it was sent, size does not matter.
    ring.set("k", &[&dead_address(), &second.address]);
    let large = Ask::new("k", "").with(vec![0; 100_000]);
    assert_eq!(client.unary(large).await.unwrap().into_inner().node, second.address);
}

/// Keeps `callers` calling until told to stop, and counts calls and failures.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<Vec<tonic::Status>>>,
}

impl Load {
    async fn start(node: &Node, method: &'static str, callers: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = node.client().await;
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (mut client, stop, done) =
                    (client.clone(), Arc::clone(&stop), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    while !stop.load(Ordering::Acquire) {
                        match client.unary_at(method, Ask::new("k", "")).await {
                            Ok(_) => drop(done.fetch_add(1, Ordering::AcqRel)),
                            Err(status) => failures.push(status),
                        }
                    }
                    failures
                })
            })
            .collect();
        Self { stop, callers, done }
    }

    async fn more(&self, calls: u64) {
        let goal = self.done.load(Ordering::Acquire) + calls;
        eventually("load makes progress", || self.done.load(Ordering::Acquire) >= goal).await;
    }

    async fn stop(self) -> Vec<tonic::Status> {
        self.stop.store(true, Ordering::Release);
        join_all(self.callers).await.into_iter().flat_map(Result::unwrap).collect()
    }
}

/// A node that waits for a dial as long as a test does: that a loaded machine is slow to accept is
/// no loss of an owner.
fn patient(ring: &Ring) -> Node {
    let config = H2Config::default().connect_timeout(crate::common::PATIENCE);
    Node::start_with(ring, |builder| builder.transport(H2Transport::new(config).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_of_the_owner_loses_no_call() {
    let ring = Ring::default();
    let (asked, mut first, second) = (patient(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    // Not marked idempotent: every retry is one that cannot execute twice.
    let load = Load::start(&asked, ONCE, 32).await;
    load.more(200).await;
    first.stop().await;
    load.more(200).await;
    let failures = load.stop().await;
    assert!(failures.is_empty(), "{} failed, first: {:?}", failures.len(), failures[0]);
    assert_eq!(Seen::get(&first.seen().cancelled), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_owner_loses_no_idempotent_call() {
    let ring = Ring::default();
    let (asked, mut first, second) = (patient(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    let load = Load::start(&asked, UNARY, 64).await;
    load.more(200).await;
    first.kill();
    load.more(200).await;
    let failures = load.stop().await;
    assert!(failures.is_empty(), "{} failed, first: {:?}", failures.len(), failures[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_owner_fails_at_most_the_calls_in_flight_that_may_have_been_executed() {
    let ring = Ring::default();
    let (asked, mut first, second) = (patient(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    let load = Load::start(&asked, ONCE, 64).await;
    load.more(200).await;
    first.kill();
    load.more(200).await;
    let failures = load.stop().await;
    assert!(failures.len() <= 64, "{} failed", failures.len());
    for status in failures {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("not marked idempotent"), "{status:?}");
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_executed_says_so() {
    let ring = Ring::default();
    let (asked, mut first, second) = (Node::start(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    for (method, survives) in [(ONCE, false), (UNARY, true)] {
        if survives {
            first = Node::start(&ring);
            ring.set("k", &[&first.address, &second.address]);
        }
        let mut client = asked.client().await;
        second.handler.go.add_permits(1);
        let call =
            tokio::spawn(async move { client.unary_at(method, Ask::new("k", "wait")).await });
        eventually("the first owner works on it", || Seen::get(&first.seen().begun) == 1).await;
        first.kill();
        let result = soon("call", call).await.unwrap();
        assert_eq!(result.is_ok(), survives, "{result:?}");
        if let Err(status) = result {
            assert!(status.message().contains(&first.address), "{status:?}");
            assert!(status.message().contains("may have been executed"), "{status:?}");
            assert_eq!(asked.forwarder.stats().not_retried_maybe_executed, 1);
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_ends_with_a_status() {
    let ring = Ring::default();
    let (asked, mut first, second) = (Node::start(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    let mut client = asked.client().await;
    let mut tells = client.download(Ask::new("k", "1 then hang")).await.unwrap().into_inner();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().node, first.address);
    first.kill();
    let status = next(&mut tells).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(&first.address), "{status:?}");
    assert_eq!(asked.forwarder.stats().broken_responses, 1);
}

#[tokio::test]
async fn a_restarted_owner_is_found_again() {
    let ring = Ring::default();
    let (asked, mut first) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address]);
    let mut client = asked.client().await;
    client.unary(Ask::new("k", "")).await.unwrap();
    first.stop().await;
    let address = first.address.clone();
    drop(first);
    let listener = std::net::TcpListener::bind(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let first =
        Node::start_on(listener, &address, crate::common::cluster::builder(&address, &ring));
    assert_eq!(
        client.unary_at(ONCE, Ask::new("k", "")).await.unwrap().into_inner().node,
        first.address
    );
}
