//! Excess is refused at once, with a reason, and calls in flight go on.

use tonic::Code;

use crate::common::cluster::{Node, Ring, builder, listener};
use crate::common::service::{Ask, ONCE, Seen, UNARY, next};
use crate::common::{eventually, soon};
use ringpop_forward::{H2Config, H2Transport, Policy};

#[tokio::test]
async fn calls_to_one_peer_are_limited_and_the_next_owner_is_not_asked_instead() {
    let ring = Ring::default();
    let (owner, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address, &second.address]);
    let (listener, address) = listener();
    let transport =
        H2Transport::new(H2Config::default().unary_per_peer(2).streams_per_peer(1)).unwrap();
    let asked = Node::start_on(listener, &address, builder(&address, &ring).transport(transport));
    let client = asked.client().await;
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary(Ask::new("k", "wait")).await })
        })
        .collect();
    eventually("both calls run", || Seen::get(&owner.seen().begun) == 2).await;
    let mut client = client;
    let status = client.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("2 calls to it are in flight"), "{status:?}");
    assert_eq!(asked.forwarder.stats().not_retried_overloaded, 1);
    let mut tells = client.download(Ask::new("k", "1 then hang")).await.unwrap().into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    assert_eq!(
        client.download(Ask::new("k", "1")).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    assert_eq!(Seen::get(&second.seen().begun), 0);

    owner.handler.go.add_permits(2);
    for call in calls {
        soon("call", call).await.unwrap().unwrap();
    }
    client.unary(Ask::new("k", "")).await.unwrap();
    drop(tells);
    eventually("the stream is over", || asked.forwarder.stats().in_flight == 0).await;
    client.download(Ask::new("k", "1")).await.unwrap();
}

/// The limit of the receiver follows the rule of the sender's: the load of one owner must not
/// become the load of all.
#[tokio::test]
async fn calls_in_one_process_are_limited_and_the_next_owner_is_not_asked_instead() {
    let ring = Ring::default();
    let owner = Node::start_with(&ring, |builder| builder.max_in_flight(1));
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address, &second.address]);
    let mut waiting = asked.client().await;
    let call = tokio::spawn(async move { waiting.unary(Ask::new("k", "wait")).await });
    eventually("the call runs", || Seen::get(&owner.seen().begun) == 1).await;
    let mut client = asked.client().await;
    for path in [UNARY, ONCE] {
        let status = client.unary_at(path, Ask::new("k", "")).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("max_in_flight"), "{status:?}");
    }
    let status = owner.client().await.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!((owner.forwarder.stats().refused, Seen::get(&second.seen().begun)), (3, 0));
    assert_eq!(asked.forwarder.stats().not_retried_overloaded, 2);
    owner.handler.go.add_permits(1);
    soon("call", call).await.unwrap().unwrap();
    assert_eq!(client.unary(Ask::new("k", "")).await.unwrap().into_inner().node, owner.address);
}

#[tokio::test]
async fn the_overload_of_one_owner_leaves_the_keys_of_others_alone() {
    let ring = Ring::default();
    let small = || Node::start_with(&ring, |builder| builder.max_in_flight(4));
    let (edge, hot, other) = (Node::start(&ring), small(), small());
    ring.set("hot", &[&hot.address, &other.address]);
    ring.set("cold", &[&other.address, &hot.address]);
    let client = edge.client().await;
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary_at(ONCE, Ask::new("hot", "wait")).await })
        })
        .collect();
    eventually("what is too much is refused", || hot.forwarder.stats().refused == 8).await;
    let mut client = client;
    let tell = client.unary_at(ONCE, Ask::new("cold", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, other.address);
    assert_eq!((Seen::get(&hot.seen().begun), Seen::get(&other.seen().begun)), (4, 1));
    hot.handler.go.add_permits(4);
    let mut exhausted = 0;
    for call in calls {
        match soon("call", call).await.unwrap() {
            Ok(tell) => assert_eq!(tell.into_inner().node, hot.address),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted);
                exhausted += 1;
            }
        }
    }
    assert_eq!(exhausted, 8);
}

#[tokio::test]
async fn without_tokens_only_what_was_not_executed_is_tried_again() {
    let ring = Ring::default();
    let asked =
        Node::start_with(&ring, |builder| builder.policy(Policy::default().retry_tokens(0)));
    let (owner, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address, &second.address]);
    ring.set("dead", &[&crate::common::cluster::dead_address(), &second.address]);
    let mut client = asked.client().await;
    client.unary_at(UNARY, Ask::new("k", "unavailable")).await.unwrap_err();
    assert_eq!(Seen::get(&second.seen().begun), 0);
    assert_eq!(asked.forwarder.stats().not_retried_budget_spent, 1);
    assert_eq!(client.unary(Ask::new("dead", "")).await.unwrap().into_inner().node, second.address);
}

#[tokio::test]
async fn peers_with_connections_are_limited_and_the_next_owner_is_asked() {
    let ring = Ring::default();
    let (first, second) = (Node::start(&ring), Node::start(&ring));
    let (listener, address) = listener();
    let transport = H2Transport::new(H2Config::default().peers(1)).unwrap();
    let asked = Node::start_on(listener, &address, builder(&address, &ring).transport(transport));
    ring.set("first", &[&first.address]);
    ring.set("second", &[&second.address, &first.address]);
    let mut client = asked.client().await;
    client.unary_at(ONCE, Ask::new("first", "")).await.unwrap();
    let tell = client.unary_at(ONCE, Ask::new("second", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, first.address);
    assert_eq!(asked.forwarder.stats().connections, 1);
    // A call that has left makes room.
    asked.control.forget(&ringpop_forward::Peer::new(&first.address).unwrap());
    let tell = client.unary_at(ONCE, Ask::new("second", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
}
