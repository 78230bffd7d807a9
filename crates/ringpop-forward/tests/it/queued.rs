//! A call that waits for its turn on a connection has not left: it is neither executed nor
//! unanswered.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::common::cluster::{Node, Ring, builder, listener};
use crate::common::service::{Ask, DOWNLOAD, Handler, ONCE, Seen, TestServer, next};
use crate::common::{eventually, soon};
use ringpop_forward::{H2Config, H2Transport, Policy, incoming, server};

/// An owner that takes `streams` streams of a connection at a time.
struct Narrow {
    address: String,
    handler: Handler,
    runtime: Option<Runtime>,
}

impl Narrow {
    fn start(ring: &Ring, streams: u32) -> Self {
        let (socket, address) = listener();
        let forwarder = builder(&address, ring).build().unwrap();
        let handler = Handler::new(&address);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let serve = server()
            .max_concurrent_streams(streams)
            .layer(forwarder.layer())
            .add_service(TestServer(handler.clone()));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(socket).unwrap();
            serve.serve_with_incoming(incoming(listener)).await.unwrap();
        });
        Self { address, handler, runtime: Some(runtime) }
    }

    fn begun(&self) -> u64 {
        Seen::get(&self.handler.seen.begun)
    }

    fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test]
async fn calls_that_wait_for_their_turn_go_to_the_next_owner_when_theirs_dies() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    let mut narrow = Narrow::start(&ring, 1);
    ring.set("k", &[&narrow.address, &second.address]);
    let client = asked.client().await;
    let begin = |order| {
        let mut client = client.clone();
        tokio::spawn(async move { client.unary_at(ONCE, Ask::new("k", order)).await })
    };
    let sent = begin("wait");
    eventually("the owner works on one", || narrow.begun() == 1).await;
    let queued: Vec<_> = (0..8).map(|_| begin("")).collect();
    eventually("the others are here", || asked.forwarder.stats().in_flight == 9).await;
    narrow.kill();
    for call in join_all(queued).await {
        assert_eq!(call.unwrap().unwrap().into_inner().node, second.address);
    }
    let status = soon("call", sent).await.unwrap().unwrap_err();
    assert!(status.message().contains("may have been executed"), "{status:?}");
    assert_eq!((narrow.begun(), asked.forwarder.stats().not_retried_maybe_executed), (1, 1));
}

#[tokio::test]
async fn streams_that_wait_for_their_turn_go_to_the_next_owner_as_well() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    let mut narrow = Narrow::start(&ring, 1);
    ring.set("k", &[&narrow.address, &second.address]);
    let mut client = asked.client().await;
    let mut first = client.download(Ask::new("k", "1 then hang")).await.unwrap().into_inner();
    next(&mut first).await.unwrap().unwrap();
    let queued: Vec<_> = (0..4)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let mut tells = client.download(Ask::new("k", "1")).await?.into_inner();
                next(&mut tells).await.unwrap()
            })
        })
        .collect();
    eventually("the others are here", || asked.forwarder.stats().in_flight == 5).await;
    narrow.kill();
    for call in join_all(queued).await {
        assert_eq!(call.unwrap().unwrap().node, second.address, "{DOWNLOAD}");
    }
}

#[tokio::test]
async fn the_time_of_an_attempt_begins_when_the_request_leaves() {
    let ring = Ring::default();
    let policy = Policy::default().attempt_timeout(Duration::from_millis(2_700));
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let narrow = Narrow::start(&ring, 2);
    ring.set("k", &[&narrow.address]);
    let client = asked.client().await;
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary_at(ONCE, Ask::new("k", "wait")).await })
        })
        .collect();
    // Three turns of a second each: no call is with its owner for longer than its time.
    for turn in 1..=3 {
        eventually("two are at work", || narrow.begun() == 2 * turn).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        narrow.handler.go.add_permits(2);
    }
    for call in join_all(calls).await {
        call.unwrap().unwrap();
    }
    let stats = asked.forwarder.stats();
    assert_eq!((stats.circuits_opened, stats.retries_unanswered), (0, 0), "it is healthy");
}

#[tokio::test]
async fn a_call_that_gets_no_turn_in_its_time_was_never_sent() {
    let ring = Ring::default();
    let policy = Policy::default().attempt_timeout(Duration::from_millis(700));
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let second = Node::start(&ring);
    let narrow = Narrow::start(&ring, 1);
    ring.set("k", &[&narrow.address, &second.address]);
    ring.set("held", &[&narrow.address]);
    let mut client = asked.client().await;
    let mut held = client.download(Ask::new("held", "1 then hang")).await.unwrap().into_inner();
    next(&mut held).await.unwrap().unwrap();
    let mut tells = client.download(Ask::new("k", "1")).await.unwrap().into_inner();
    assert_eq!(next(&mut tells).await.unwrap().unwrap().node, second.address);
    let stats = asked.forwarder.stats();
    assert_eq!((stats.not_retried_maybe_executed, stats.circuits_opened), (0, 0));
}

#[tokio::test]
async fn calls_that_wait_for_a_dial_or_their_turn_are_not_in_flight_at_the_owner() {
    let ring = Ring::default();
    let narrow = Narrow::start(&ring, 1);
    ring.set("k", &[&narrow.address]);
    let (socket, address) = listener();
    let config = H2Config::default().unary_per_peer(4);
    let transport = H2Transport::new(config).unwrap();
    let asked = Node::start_on(socket, &address, builder(&address, &ring).transport(transport));
    let client = asked.client().await;
    // One is at work and four wait, which together are more than may be in flight.
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary_at(ONCE, Ask::new("k", "wait")).await })
        })
        .collect();
    narrow.handler.go.add_permits(5);
    for call in join_all(calls).await {
        call.unwrap().unwrap();
    }
    assert_eq!(narrow.begun(), 5);
}
