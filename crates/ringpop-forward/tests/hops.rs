//! Members that disagree do not send a request in circles, and callers cannot pretend to be members.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod common;

use tonic::{Code, Request};

use common::cluster::{Node, Ring};
use common::service::Ask;
use common::soon;

/// Two nodes that each think the other owns `k`.
fn quarrel(trust: bool) -> (Node, Node) {
    let (ring_a, ring_b) = (Ring::default(), Ring::default());
    let start = |ring: &Ring| {
        Node::start_with(ring, |builder| builder.explain(true).trust_hop_headers(move |_| trust))
    };
    let (a, b) = (start(&ring_a), start(&ring_b));
    ring_a.set("k", &[&b.address]);
    ring_b.set("k", &[&a.address]);
    (a, b)
}

#[tokio::test]
async fn members_that_disagree_serve_after_one_hop() {
    let (a, b) = quarrel(true);
    let response = soon("call", a.client().await.unary(Ask::new("k", ""))).await;
    let response = response.unwrap();
    assert_eq!(response.metadata().get("ringpop-hops").unwrap(), "1");
    assert_eq!(response.into_inner().node, b.address);
    assert_eq!((b.forwarder.stats().loops_stopped, b.forwarder.stats().forwarded), (1, 0));
}

#[tokio::test]
async fn without_trust_a_loop_still_ends() {
    let (a, b) = quarrel(false);
    let status = soon("call", a.client().await.unary(Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("forwarded 8 times"), "{status:?}");
    assert!(status.message().contains("trust_hop_headers"), "{status:?}");
    let stopped = a.forwarder.stats().loops_stopped + b.forwarder.stats().loops_stopped;
    assert_eq!(stopped, 1);
}

#[tokio::test]
async fn a_spoofed_hop_header_is_not_believed_and_not_passed_on() {
    let ring = Ring::default();
    let asked = Node::start_with(&ring, |builder| builder.trust_hop_headers(|_| false));
    let owner = Node::start(&ring);
    ring.set("k", &[&owner.address]);
    let mut client = asked.client().await;
    for spoofed in ["1;h=1;e=0;f=x", "1;h=3;f=x", "nonsense"] {
        let mut request = Request::new(Ask::new("k", ""));
        request.metadata_mut().insert("ringpop-fwd", spoofed.parse().unwrap());
        let tell = client.unary(request).await.unwrap().into_inner();
        assert_eq!(tell.node, owner.address, "{spoofed}");
        assert_eq!(owner.seen().header("ringpop-fwd"), None, "handlers do not see the header");
    }
    assert_eq!(asked.forwarder.stats().bad_hop_headers, 3);
}

#[tokio::test]
async fn a_member_whose_hop_header_cannot_be_read_is_served_here() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    let mut request = Request::new(Ask::new("k", ""));
    request.metadata_mut().insert("ringpop-fwd", "9;from-the-future".parse().unwrap());
    let tell = asked.client().await.unary(request).await.unwrap().into_inner();
    assert_eq!(tell.node, asked.address);
    let stats = asked.forwarder.stats();
    assert_eq!((stats.bad_hop_headers, stats.loops_stopped), (1, 1));
}

#[tokio::test]
async fn a_second_hop_is_taken_when_it_is_allowed() {
    let (ring_a, ring_b) = (Ring::default(), Ring::default());
    let start = |ring: &Ring| Node::start_with(ring, |builder| builder.explain(true).max_hops(2));
    let (a, b, c) = (start(&ring_a), start(&ring_b), start(&ring_b));
    ring_a.set("k", &[&b.address]);
    ring_b.set("k", &[&c.address]);
    let response = a.client().await.unary(Ask::new("k", "")).await.unwrap();
    assert_eq!(response.metadata().get("ringpop-hops").unwrap(), "2");
    assert_eq!(response.into_inner().node, c.address);
}
