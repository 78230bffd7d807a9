//! The state of each destination: its circuit, its retry budget, and what others learn about it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tonic::Code;

use crate::common::cluster::{Node, Ring, builder, dead_address, listener};
use crate::common::proxy::Wire;
use crate::common::service::{Ask, ONCE, Seen};
use crate::common::{eventually, soon};
use ringpop_forward::{
    AttemptOutcome, FailureClass, Forwarder, H2Config, H2Transport, Owner, Owners, Peer, Policy,
    Resolver,
};

/// Accepts connections and answers nothing, like a host that swallows packets.
async fn black_hole() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn impatient() -> H2Transport {
    H2Transport::new(H2Config::default().connect_timeout(Duration::from_millis(400))).unwrap()
}

#[tokio::test]
async fn a_black_hole_is_waited_for_once_and_then_skipped_while_it_is_probed() {
    let ring = Ring::default();
    let (_hole, hole) = black_hole().await;
    let (listener, address) = listener();
    let asked = Node::start_on(listener, &address, builder(&address, &ring).transport(impatient()));
    let second = Node::start(&ring);
    ring.set("k", &[&hole, &second.address]);
    let mut client = asked.client().await;
    client.unary_at(ONCE, Ask::new("k", "")).await.unwrap();
    // The call has gone on before its dial failed.
    eventually("the dial fails", || asked.forwarder.stats().dial_failures == 1).await;
    let stats = asked.forwarder.stats();
    assert_eq!((stats.circuits_opened, stats.circuits_open), (1, 1));
    // Every further dial is a probe, and no call waits for one: each is counted as a skip.
    let mut calls = 0;
    let call_on = async {
        while asked.forwarder.stats().dial_failures < 4 {
            client.unary_at(ONCE, Ask::new("k", "")).await.unwrap();
            calls += 1;
        }
    };
    soon("probes", call_on).await;
    let stats = asked.forwarder.stats();
    assert_eq!(stats.circuit_skips, calls);
    assert_eq!(stats.circuits_opened, 1, "a probe that fails opens nothing anew");
}

#[tokio::test]
async fn a_destination_that_is_back_is_used_again() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    let (listener, address) = listener();
    drop(listener);
    ring.set("k", &[&address, &second.address]);
    let mut client = asked.client().await;
    assert_eq!(client.unary(Ask::new("k", "")).await.unwrap().into_inner().node, second.address);
    assert_eq!(asked.forwarder.stats().circuits_open, 1);
    let listener = std::net::TcpListener::bind(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let first = Node::start_on(listener, &address, builder(&address, &ring));
    let calls = async {
        while client.unary(Ask::new("k", "")).await.unwrap().into_inner().node != first.address {}
    };
    soon("the first owner answers again", calls).await;
    assert_eq!(asked.forwarder.stats().circuits_open, 0);
}

#[tokio::test]
async fn a_destination_that_was_heard_from_is_tried_by_the_next_call() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    let dead = dead_address();
    ring.set("k", &[&dead, &second.address]);
    let mut client = asked.client().await;
    let pauses_grow = async {
        while asked.forwarder.stats().dial_failures < 5 {
            client.unary(Ask::new("k", "")).await.unwrap();
        }
    };
    soon("failed dials", pauses_grow).await;
    // The pause is 800 ms now, and a single call is made in it.
    asked.control.reset_backoff(&Peer::new(&dead).unwrap());
    client.unary(Ask::new("k", "")).await.unwrap();
    eventually("one more dial", || asked.forwarder.stats().dial_failures == 6).await;
}

#[tokio::test]
async fn an_attempt_that_is_not_answered_in_time_is_cancelled_and_made_elsewhere() {
    let ring = Ring::default();
    let policy = Policy::default().attempt_timeout(Duration::from_millis(300));
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let (first, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&first.address, &second.address]);
    second.handler.go.add_permits(1);
    let mut client = asked.client().await;
    let tell = client.unary(Ask::new("k", "wait")).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
    assert!(asked.forwarder.stats().retries_unanswered >= 1);
    eventually("the first handler is cancelled", || Seen::get(&first.seen().cancelled) == 1).await;

    let status = client.unary_at(ONCE, Ask::new("k", "wait")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("no answer within 300ms"), "{status:?}");
    assert!(status.message().contains("may have been executed"), "{status:?}");
}

#[tokio::test]
async fn a_destination_that_answers_nothing_any_more_is_skipped() {
    let ring = Ring::default();
    let policy = Policy::default().attempt_timeout(Duration::from_millis(200));
    let (listener, address) = listener();
    let asked = Node::start_on(
        listener,
        &address,
        builder(&address, &ring).policy(policy).transport(impatient()),
    );
    // The first owner knows itself by its own address, and others reach it through the wire.
    let own = Ring::default();
    let (first, second) = (Node::start(&own), Node::start(&ring));
    let wire = Wire::to(&first.address).await;
    own.set("k", &[&first.address]);
    ring.set("k", &[&wire.address, &second.address]);
    let mut client = asked.client().await;
    let connect = async {
        // On a loaded machine even the first answer may be late.
        while client.unary(Ask::new("k", "")).await.map(|tell| tell.into_inner().node).ok()
            != Some(first.address.clone())
        {}
    };
    soon("the first owner answers", connect).await;
    wire.hold();
    let calls = async {
        while asked.forwarder.stats().circuits_open == 0 {
            // Late answers of a loaded machine may fail a call at both.
            let _ = client.unary(Ask::new("k", "")).await;
        }
    };
    soon("the circuit opens", calls).await;
    assert!(asked.forwarder.stats().retries_unanswered > 0);
}

#[tokio::test]
async fn failures_of_one_destination_do_not_use_up_the_budget_of_another() {
    let ring = Ring::default();
    let policy = Policy::default().retry_tokens(8);
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let (bad, good, second) = (Node::start(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("bad", &[&bad.address, &second.address]);
    ring.set("good", &[&good.address, &dead_address()]);
    let mut client = asked.client().await;
    for _ in 0..8 {
        client.unary(Ask::new("bad", "unavailable")).await.unwrap_err();
    }
    let begun = Seen::get(&second.seen().begun);
    client.unary(Ask::new("bad", "unavailable")).await.unwrap_err();
    assert_eq!(Seen::get(&second.seen().begun), begun, "its failures are tried nowhere again");
    let before = asked.forwarder.stats().retries_unavailable;
    client.unary(Ask::new("good", "unavailable")).await.unwrap_err();
    assert!(asked.forwarder.stats().retries_unavailable > before, "the other one's are");
}

/// Remembers what it is told.
struct Listening {
    owners: Vec<Arc<Peer>>,
    told: Arc<Mutex<Vec<(String, AttemptOutcome)>>>,
}

impl Resolver for Listening {
    fn owners(&self, _: &[u8], n: usize, out: &mut Owners) {
        out.extend(self.owners.iter().take(n).cloned().map(Owner::Remote));
    }

    fn report(&self, peer: &Peer, outcome: AttemptOutcome) {
        self.told.lock().unwrap().push((peer.address().to_owned(), outcome));
    }
}

#[tokio::test]
async fn a_resolver_learns_how_every_attempt_ended() {
    let ring = Ring::default();
    let (dead, owner) = (dead_address(), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    let (listener, address) = listener();
    let told = Arc::new(Mutex::new(Vec::new()));
    let owners = [&dead, &owner.address].map(|owner| Arc::new(Peer::new(owner).unwrap())).to_vec();
    let builder = Forwarder::builder(Listening { owners, told: Arc::clone(&told) })
        .name(&address)
        .routes(crate::common::cluster::routes());
    let asked = Node::start_on(listener, &address, builder);
    let mut client = asked.client().await;
    client.unary_at(ONCE, Ask::new("k", "")).await.unwrap();
    client.unary_at(ONCE, Ask::new("k", "unavailable")).await.unwrap_err();
    client.unary_at(ONCE, Ask::new("k", "fail")).await.unwrap_err();
    let unreachable = (dead, AttemptOutcome::Failed(FailureClass::NeverSent));
    let at_owner = |outcome| (owner.address.clone(), outcome);
    let expected = [
        unreachable.clone(),
        at_owner(AttemptOutcome::Answered),
        unreachable.clone(),
        at_owner(AttemptOutcome::Failed(FailureClass::Unavailable)),
        unreachable,
        at_owner(AttemptOutcome::Answered),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}
