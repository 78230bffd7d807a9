//! A service that was polled ready may hold a place of a limit. A call that another process handles
//! holds none here.

use std::time::Duration;

use tokio::task::JoinSet;
use tonic::Code;
use tonic::body::Body;
use tower::buffer::BufferLayer;
use tower::limit::{GlobalConcurrencyLimitLayer, RateLimitLayer};

use crate::common::cluster::{Layered, Node, Ring};
use crate::common::service::{Ask, Seen, UNARY, UNROUTED, within};
use crate::common::{eventually, raw, soon};
use ringpop_forward::{incoming, server};

const LIMIT: Duration = Duration::from_secs(30);

/// A node whose services run at most `places` calls at a time.
fn limited(ring: &Ring, places: usize) -> Layered {
    Layered::start(ring, move |listener, forwarder, service| async move {
        let limit = GlobalConcurrencyLimitLayer::new(places);
        let server = server().layer(forwarder).layer(limit).add_service(service);
        server.serve_with_incoming(incoming(listener)).await
    })
}

/// Each node's callers ask for keys of the other one. If a forwarded call kept a place, all places
/// of both would be held by calls that wait for each other.
#[tokio::test]
async fn limited_nodes_that_forward_to_each_other_do_not_wait_for_each_other() {
    let ring = Ring::default();
    let (a, b) = (limited(&ring, 4), limited(&ring, 4));
    ring.set("a", &[&a.address]);
    ring.set("b", &[&b.address]);
    let mut calls = JoinSet::new();
    for (node, key) in [(&a, "b"), (&b, "a")] {
        let client = node.client().await;
        for _ in 0..64 {
            let mut client = client.clone();
            calls.spawn(async move { client.unary(within(Ask::new(key, ""), LIMIT)).await });
        }
    }
    let answers = soon("calls", calls.join_all()).await;
    let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} of 128 failed: {:?}", failed.len(), failed.first());
}

#[tokio::test]
async fn a_full_node_forwards() {
    let ring = Ring::default();
    let (a, b) = (limited(&ring, 1), Node::start(&ring));
    ring.set("a", &[&a.address]);
    ring.set("b", &[&b.address]);
    let (mut waiting, mut client) = (a.client().await, a.client().await);
    let call = tokio::spawn(async move { waiting.unary(Ask::new("a", "wait")).await });
    eventually("the place is taken", || Seen::get(&a.handler.seen.begun) == 1).await;
    client.unary(within(Ask::new("b", ""), LIMIT)).await.unwrap();
    // A call that does need a place keeps its deadline while it waits for one, with a route and
    // without.
    let short = [("grpc-timeout", "100m")];
    let response = raw::call(&a.address, UNARY, &Ask::new("a", ""), &short).await;
    assert_eq!(raw::status(response).await.code(), Code::DeadlineExceeded);
    let short = within(Ask::new("a", ""), Duration::from_millis(100));
    client.unary_at(UNROUTED, short).await.unwrap_err();
    a.handler.go.add_permits(1);
    call.await.unwrap().unwrap();
    client.unary(within(Ask::new("a", ""), LIMIT)).await.unwrap();
}

#[tokio::test]
async fn a_node_whose_calls_wait_elsewhere_handles_its_own() {
    let ring = Ring::default();
    let (a, b) = (limited(&ring, 1), Node::start(&ring));
    ring.set("a", &[&a.address]);
    ring.set("b", &[&b.address]);
    let client = a.client().await;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary(Ask::new("b", "wait")).await })
        })
        .collect();
    eventually("all wait at their owner", || Seen::get(&b.seen().begun) == 3).await;
    let mut client = client;
    client.unary(within(Ask::new("a", ""), LIMIT)).await.unwrap();
    client.unary_at(UNROUTED, within(Ask::new("a", ""), LIMIT)).await.unwrap();
    b.handler.go.add_permits(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

/// A call whose owner has failed comes home to a full service, and waits for its turn there.
#[tokio::test]
async fn a_call_that_comes_home_waits_for_a_place() {
    let ring = Ring::default();
    let a = limited(&ring, 1);
    ring.set("a", &[&a.address]);
    ring.set("lost", &[&crate::common::cluster::dead_address(), &a.address]);
    let (mut waiting, mut client) = (a.client().await, a.client().await);
    let call = tokio::spawn(async move { waiting.unary(Ask::new("a", "wait")).await });
    eventually("the place is taken", || Seen::get(&a.handler.seen.begun) == 1).await;
    let home = tokio::spawn(async move { client.unary(Ask::new("lost", "")).await });
    eventually("the call is inside", || a.forwarder.stats().in_flight == 2).await;
    a.handler.go.add_permits(1);
    call.await.unwrap().unwrap();
    let tell = soon("the call", home).await.unwrap().unwrap().into_inner();
    assert_eq!(tell.node, a.address);
}

/// A buffer in front of a rate of one call in an hour, both spent. Forwarded calls pass by.
#[tokio::test]
async fn a_full_buffer_holds_up_no_forwarded_call() {
    let ring = Ring::default();
    let b = Node::start(&ring);
    let a = Layered::start(&ring, |listener, forwarder, service| async move {
        let buffer = BufferLayer::<http::Request<Body>>::new(1);
        let rate = RateLimitLayer::new(1, Duration::from_secs(3600));
        let server = server().layer(forwarder).layer(buffer).layer(rate).add_service(service);
        server.serve_with_incoming(incoming(listener)).await
    });
    ring.set("a", &[&a.address]);
    ring.set("b", &[&b.address]);
    let mut client = a.client().await;
    client.unary(within(Ask::new("a", ""), LIMIT)).await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let mut client = client.clone();
        waiting.spawn(async move { client.unary(Ask::new("a", "")).await });
    }
    eventually("all wait for the rate", || a.forwarder.stats().in_flight == 4).await;
    for _ in 0..16 {
        client.unary(within(Ask::new("b", ""), LIMIT)).await.unwrap();
    }
}
