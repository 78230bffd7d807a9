//! Owners that cannot be reached are walked past, however many they are, and nobody waits for one
//! that is slow to connect.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tonic::Code;

use crate::common::cluster::{Node, Ring, builder, dead_address, listener};
use crate::common::eventually;
use crate::common::service::{Ask, ONCE, Seen, UNARY, within};
use ringpop_forward::{H2Config, H2Transport, Policy, RetryTarget};

/// A ring on which `key` has `dead` unreachable owners before `living`.
fn behind_the_dead(ring: &Ring, key: &str, dead: usize, living: &Node) {
    let mut owners: Vec<_> = (0..dead).map(|_| dead_address()).collect();
    owners.push(living.address.clone());
    ring.set(key, &owners.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn unreachable_owners_are_walked_past_up_to_the_last_member() {
    let ring = Ring::default();
    let (asked, living) = (Node::start(&ring), Node::start(&ring));
    let mut client = asked.client().await;
    // Three owners and five attempts are what a policy allows by default, and seventeen owners are
    // more than it can.
    for dead in [1, 2, 3, 4, 5, 9, 20] {
        let key = format!("behind-{dead}");
        behind_the_dead(&ring, &key, dead, &living);
        for method in [ONCE, UNARY] {
            let tell = client.unary_at(method, Ask::new(&key, "")).await.unwrap().into_inner();
            assert_eq!(tell.node, living.address);
        }
        let asks = tokio_stream::iter([Ask::new(&key, ""), Ask::new(&key, "")]);
        client.upload(asks).await.unwrap();
    }
    let stats = living.forwarder.stats();
    assert_eq!(
        (stats.keys_differed, stats.loops_stopped),
        (0, 0),
        "it handles what was meant for it"
    );
    assert_eq!(asked.forwarder.stats().failed, 0);
}

#[tokio::test]
async fn what_is_walked_past_leaves_the_attempts_to_owners_that_are_reached() {
    let ring = Ring::default();
    let policy = Policy::default().max_attempts(2);
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let (first, second) = (Node::start(&ring), Node::start(&ring));
    let mut owners: Vec<_> = (0..6).map(|_| dead_address()).collect();
    owners.extend([first.address.clone(), dead_address(), second.address.clone()]);
    ring.set("k", &owners.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = asked.client().await;
    // Both living owners are asked, and no third time.
    client.unary(Ask::new("k", "unavailable")).await.unwrap_err();
    assert_eq!((Seen::get(&first.seen().begun), Seen::get(&second.seen().begun)), (1, 1));
}

#[tokio::test]
async fn the_walk_ends_with_the_deadline_or_the_members() {
    let ring = Ring::default();
    let asked = Node::start(&ring);
    let owners: Vec<_> = (0..10).map(|_| dead_address()).collect();
    ring.set("k", &owners.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = asked.client().await;
    let status =
        client.unary(within(Ask::new("k", ""), Duration::from_secs(20))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("no attempt is left"), "{status:?}");
}

#[tokio::test]
async fn state_that_must_not_be_in_two_places_is_not_walked_about() {
    let ring = Ring::default();
    let policy = Policy::default().target(RetryTarget::Reroute);
    let asked = Node::start_with(&ring, |builder| builder.policy(policy));
    let living = Node::start(&ring);
    behind_the_dead(&ring, "k", 1, &living);
    asked.client().await.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(Seen::get(&living.seen().begun), 0);
}

/// A host that swallows packets, or that is too busy to accept: the connection comes to nothing,
/// but not at once.
async fn slow_to_connect() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// A node whose dials may take as long as a test.
fn start_patient(ring: &Ring) -> Node {
    let config = H2Config::default().connect_timeout(crate::common::PATIENCE);
    let transport = H2Transport::new(config).unwrap();
    let (socket, address) = listener();
    Node::start_on(socket, &address, builder(&address, ring).transport(transport))
}

#[tokio::test]
async fn a_call_that_waits_for_a_dial_goes_to_the_next_owner_and_the_dial_goes_on() {
    let ring = Ring::default();
    let (_slow, slow_address) = slow_to_connect().await;
    let asked = start_patient(&ring);
    let second = Node::start(&ring);
    ring.set("k", &[&slow_address, &second.address]);
    ring.set("own", &[&slow_address, &asked.address]);
    let mut client = asked.client().await;
    for method in [ONCE, UNARY] {
        let tell = client.unary_at(method, Ask::new("k", "")).await.unwrap().into_inner();
        assert_eq!(tell.node, second.address);
    }
    let tell = client.unary_at(ONCE, Ask::new("own", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, asked.address);
    let stats = asked.forwarder.stats();
    assert_eq!((stats.dial_failures, stats.circuits_open), (0, 0), "it may only be slow");
}

/// One call finds out that a dial is slow, and those after it do not wait for the same dial.
#[tokio::test]
async fn a_dial_that_is_slow_holds_up_one_call_and_not_each() {
    let ring = Ring::default();
    let (_slow, slow_address) = slow_to_connect().await;
    let asked = start_patient(&ring);
    let second = Node::start(&ring);
    ring.set("k", &[&slow_address, &second.address]);
    let mut client = asked.client().await;
    let begin = Instant::now();
    for _ in 0..40 {
        client.unary_at(ONCE, Ask::new("k", "")).await.unwrap();
    }
    // At a quarter of a second each, they would take ten.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(asked.forwarder.stats().dial_failures, 0, "it was one dial, and goes on");
}

#[tokio::test]
async fn a_call_whose_only_owner_is_slow_to_connect_waits_for_it() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let (gate, address) = slow_to_connect().await;
    let asked = start_patient(&ring);
    ring.set("k", &[&address]);
    let mut client = asked.client().await;
    let call = tokio::spawn(async move { client.unary_at(ONCE, Ask::new("k", "")).await });
    eventually("the call is under way", || asked.forwarder.stats().in_flight == 1).await;
    // Longer than anybody waits who has another owner to ask.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!call.is_finished());
    // The owner knows the key under its own address only.
    let own = Ring::default();
    own.set("k", &[&owner.address]);
    ring.set("k", &[&owner.address]);
    let target = owner.address.clone();
    tokio::spawn(async move {
        let (mut from, _) = gate.accept().await.unwrap();
        let mut to = tokio::net::TcpStream::connect(target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    });
    let tell = crate::common::soon("call", call).await.unwrap().unwrap().into_inner();
    assert_eq!(tell.node, owner.address);
}
