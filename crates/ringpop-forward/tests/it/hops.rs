//! Members that disagree do not send a request in circles, and callers cannot pretend to be
//! members.

use tonic::{Code, Request, Status};

use crate::common::cluster::{Node, Ring, dead_address};
use crate::common::service::{Ask, ONCE, Seen};
use crate::common::soon;
use ringpop_forward::{Builder, Divergence, Explain, Policy};

/// Two nodes that each think the other owns `k`. A failed call is tried twice.
fn quarrel(change: impl Fn(Builder) -> Builder) -> (Node, Node) {
    let (ring_a, ring_b) = (Ring::default(), Ring::default());
    let start = |ring: &Ring| {
        let policy = Policy::default().max_attempts(2);
        Node::start_with(ring, |builder| change(builder.explain(Explain::Always).policy(policy)))
    };
    let (a, b) = (start(&ring_a), start(&ring_b));
    ring_a.set("k", &[&b.address]);
    ring_b.set("k", &[&a.address]);
    (a, b)
}

fn header(status: &Status, name: &str) -> String {
    status.metadata().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_circle_is_refused_with_its_path_and_the_view_of_whoever_refuses() {
    let (a, b) = quarrel(|builder| builder);
    let status = soon("call", a.client().await.unary(Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let path = format!("came by {} > {},", a.address, b.address);
    assert!(status.message().contains(&path), "{status:?}");
    assert!(status.message().contains(&format!("{} sees {}", b.address, a.address)), "{status:?}");
    assert_eq!(header(&status, "ringpop-refused"), "loop");
    assert_eq!(header(&status, "ringpop-view"), format!("e=0;o={}", a.address));
    // Tried twice by the member that was asked, which is what its policy says, and by nobody else.
    let stats = b.forwarder.stats();
    assert_eq!((stats.refused_loop, stats.keys_differed, stats.loops_stopped), (2, 2, 2));
    assert_eq!(a.forwarder.stats().keys_differed, 0);
    assert_eq!(Seen::get(&a.seen().begun) + Seen::get(&b.seen().begun), 0, "no handler has run");
}

#[tokio::test]
async fn who_accepts_everything_serves_after_one_hop() {
    let (a, b) = quarrel(|builder| builder.divergence(Divergence::Accept));
    let response = soon("call", a.client().await.unary(Ask::new("k", ""))).await;
    let response = response.unwrap();
    assert_eq!(response.metadata().get("ringpop-hops").unwrap(), "1");
    assert_eq!(response.into_inner().node, b.address);
    assert_eq!((b.forwarder.stats().loops_stopped, b.forwarder.stats().forwarded), (1, 0));
}

#[tokio::test]
async fn a_receiver_that_knows_better_sends_on() {
    let (old, new) = (Ring::default(), Ring::default());
    let start = |ring: &Ring| Node::start_with(ring, |builder| builder.explain(Explain::Always));
    let (a, b, c) = (start(&old), start(&new), start(&new));
    old.set("k", &[&b.address]);
    new.set("k", &[&c.address, &b.address]);
    let response = a.client().await.unary(Ask::new("k", "")).await.unwrap();
    assert_eq!(response.metadata().get("ringpop-hops").unwrap(), "2");
    assert_eq!(response.into_inner().node, c.address);
    assert_eq!(b.forwarder.stats().keys_differed, 1);
}

#[tokio::test]
async fn a_journey_ends_at_its_limit_with_a_refusal_that_names_everyone_on_the_way() {
    let rings: [Ring; 3] = Default::default();
    let policy = || Policy::default().max_attempts(1);
    let nodes = rings.each_ref().map(|ring| Node::start_with(ring, |b| b.policy(policy())));
    let [a, b, c] = &nodes;
    rings[0].set("k", &[&b.address]);
    rings[1].set("k", &[&c.address]);
    rings[2].set("k", &[&dead_address()]);
    let status = a.client().await.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let path = format!("{} > {} > {},", a.address, b.address, c.address);
    assert!(status.message().contains(&path), "{status:?}");
    assert_eq!(header(&status, "ringpop-refused"), "not-owner");
    assert_eq!(c.forwarder.stats().refused_not_owner, 1);
}

#[tokio::test]
async fn at_its_limit_a_next_owner_still_handles() {
    let (ring_a, ring_b) = (Ring::default(), Ring::default());
    let a = Node::start(&ring_a);
    let b = Node::start_with(&ring_b, |builder| builder.max_hops(1));
    ring_a.set("k", &[&b.address]);
    ring_b.set("k", &[&dead_address(), &b.address]);
    assert_eq!(
        a.client().await.unary(Ask::new("k", "")).await.unwrap().into_inner().node,
        b.address
    );
    assert_eq!(b.forwarder.stats().loops_stopped, 1);
}

#[tokio::test]
async fn a_next_owner_does_not_ask_the_first_one_again() {
    let ring = Ring::default();
    let (a, b) = (Node::start(&ring), Node::start_with(&ring, |b| b.explain(Explain::Always)));
    ring.set("k", &[&dead_address(), &b.address]);
    let response = a.client().await.unary(Ask::new("k", "")).await.unwrap();
    assert_eq!(response.metadata().get("ringpop-hops").unwrap(), "1");
    let stats = b.forwarder.stats();
    assert_eq!((stats.keys_differed, stats.dial_failures, stats.local), (0, 0, 1));
}

/// `b` learns before `c` does that `c` is back: it sends on what `c` refuses. Asked again, it
/// serves as a next owner.
#[tokio::test]
async fn whoever_is_asked_again_may_handle_as_a_next_owner() {
    let rings: [Ring; 3] = Default::default();
    let [a, b, c] = rings.each_ref().map(Node::start);
    rings[0].set("k", &[&b.address]);
    rings[1].set("k", &[&c.address, &b.address]);
    rings[2].set("k", &[&b.address]);
    let tell = soon("call", a.client().await.unary(Ask::new("k", ""))).await.unwrap();
    assert_eq!(tell.into_inner().node, b.address);
    assert_eq!((c.forwarder.stats().loops_stopped, b.forwarder.stats().local), (1, 1));
}

#[tokio::test]
async fn rings_that_differ_are_counted_or_refused() {
    let (ring_a, ring_b) = (Ring::default(), Ring::default());
    let a = Node::start_with(&ring_a, |b| b.policy(Policy::default().max_attempts(1)));
    let strict = Node::start_with(&ring_b, |b| b.divergence(Divergence::Refuse));
    let tolerant = Node::start(&ring_b);
    for owner in [&strict, &tolerant] {
        ring_a.set(&owner.address, &[&owner.address]);
        ring_b.set(&owner.address, &[&owner.address]);
    }
    let client = a.client().await;
    let call = |owner: &Node| {
        let (mut client, ask) = (client.clone(), Ask::new(&owner.address, ""));
        async move { client.unary(ask).await.map(|tell| tell.into_inner().node) }
    };
    // A ring that is not known agrees with every other.
    ring_a.set_epoch(0xa);
    assert_eq!(call(&strict).await.unwrap(), strict.address);
    ring_b.set_epoch(0xb);
    let status = call(&strict).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("on ring b, its sender used ring a"), "{status:?}");
    assert_eq!(header(&status, "ringpop-view"), format!("e=b;o={}", strict.address));
    assert_eq!(call(&tolerant).await.unwrap(), tolerant.address);
    let stats = strict.forwarder.stats();
    assert_eq!((stats.epochs_differed, stats.refused_ring_differs, stats.keys_differed), (1, 1, 0));
    assert_eq!(tolerant.forwarder.stats().epochs_differed, 1);
    ring_b.set_epoch(0xa);
    assert_eq!(call(&strict).await.unwrap(), strict.address);
}

#[tokio::test]
async fn a_refused_call_goes_to_the_next_owner_even_if_it_must_not_run_twice() {
    let (ring_a, ring_b, ring_c) = (Ring::default(), Ring::default(), Ring::default());
    let a = Node::start(&ring_a);
    let strict = Node::start_with(&ring_b, |b| b.divergence(Divergence::Refuse));
    let next = Node::start(&ring_c);
    for ring in [&ring_a, &ring_b, &ring_c] {
        ring.set("k", &[&strict.address, &next.address]);
    }
    ring_a.set_epoch(1);
    ring_b.set_epoch(2);
    let tell = a.client().await.unary_at(ONCE, Ask::new("k", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, next.address);
    assert_eq!(a.forwarder.stats().retries_refused, 1);
}

/// A rolling upgrade: the first release has neither paths nor numbers of owners in its header.
#[tokio::test]
async fn a_member_of_the_first_release_is_understood() {
    let ring = Ring::default();
    let (second, third) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&dead_address(), &second.address, &third.address]);
    for hops in 1..=3 {
        let mut request = Request::new(Ask::new("k", ""));
        let header = format!("1;h={hops};e=beef;f=10.0.0.1:7100");
        request.metadata_mut().insert("ringpop-fwd", header.parse().unwrap());
        // It moved on from the dead owner and cannot say so.
        let tell = second.client().await.unary(request).await.unwrap().into_inner();
        assert_eq!(tell.node, second.address);
    }
    assert_eq!(second.forwarder.stats().bad_hop_headers, 0);
}

#[tokio::test]
async fn a_handler_that_has_run_cannot_say_that_it_has_not() {
    let ring = Ring::default();
    let (a, b) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&b.address, &a.address]);
    let response = a.client().await.unary_at(ONCE, Ask::new("k", "pose")).await.unwrap();
    assert!(response.metadata().get("ringpop-refused").is_none());
    assert_eq!(Seen::get(&a.seen().begun) + Seen::get(&b.seen().begun), 1);
}

#[tokio::test]
async fn without_trust_a_loop_still_ends() {
    let (a, b) = quarrel(|builder| builder.trust_hop_headers(|_| false));
    let status = soon("call", a.client().await.unary(Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("forwarded 8 times"), "{status:?}");
    assert!(status.message().contains("trust_hop_headers"), "{status:?}");
    let stopped = a.forwarder.stats().loops_stopped + b.forwarder.stats().loops_stopped;
    let refused = a.forwarder.stats().refused_loop + b.forwarder.stats().refused_loop;
    assert_eq!((stopped, refused), (1, 1));
}

#[tokio::test]
async fn a_spoofed_hop_header_is_not_believed_and_not_passed_on() {
    let ring = Ring::default();
    let asked = Node::start_with(&ring, |builder| builder.trust_hop_headers(|_| false));
    let owner = Node::start(&ring);
    ring.set("k", &[&owner.address]);
    let mut client = asked.client().await;
    let path = format!("1;h=2;e=0;f=x;n=16;p={}", asked.address);
    for spoofed in ["1;h=1;e=0;f=x", "1;h=3;f=x", "nonsense", &path] {
        let mut request = Request::new(Ask::new("k", ""));
        request.metadata_mut().insert("ringpop-fwd", spoofed.parse().unwrap());
        let tell = client.unary(request).await.unwrap().into_inner();
        assert_eq!(tell.node, owner.address, "{spoofed}");
        assert_eq!(owner.seen().header("ringpop-fwd"), None, "handlers do not see the header");
    }
    assert_eq!(asked.forwarder.stats().bad_hop_headers, 4);
}

/// No member writes these headers. Believed or not, they never make a process handle a key that it
/// does not own.
#[tokio::test]
async fn a_malformed_hop_header_counts_as_none() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    // The asked node is a next owner, which handles calls forwarded to it as one.
    ring.set("k", &[&owner.address, &asked.address]);
    let mut client = asked.client().await;
    let forged = ["junk", "1", "1;h=", "1;h=0", "1;h=256", "1;e=1;f=x", "h=1", "-1;h=1", " 1;h=1"];
    for header in forged {
        let mut request = Request::new(Ask::new("k", ""));
        request.metadata_mut().insert("ringpop-fwd", header.parse().unwrap());
        let tell = client.unary_at(ONCE, request).await.unwrap().into_inner();
        assert_eq!(tell.node, owner.address, "{header:?}");
    }
    let stats = asked.forwarder.stats();
    assert_eq!((stats.local, stats.bad_hop_headers), (0, forged.len() as u64));
}

#[tokio::test]
async fn a_member_whose_hop_header_cannot_be_read_is_sent_no_further() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    ring.set("ours", &[&owner.address, &asked.address]);
    let call = async |key: &str| {
        let mut request = Request::new(Ask::new(key, ""));
        request.metadata_mut().insert("ringpop-fwd", "9;from-the-future".parse().unwrap());
        asked.client().await.unary(request).await
    };
    assert_eq!(call("ours").await.unwrap().into_inner().node, asked.address);
    assert_eq!(call("k").await.unwrap_err().code(), Code::FailedPrecondition);
    let stats = asked.forwarder.stats();
    assert_eq!((stats.bad_hop_headers, stats.loops_stopped, stats.forwarded), (2, 2, 0));
}
