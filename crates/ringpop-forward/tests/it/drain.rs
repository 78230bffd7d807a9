//! The end of a process's life: calls that still come travel on, then new ones are refused so that
//! senders move on.

use tonic::Code;

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, ONCE, Seen};
use crate::common::{eventually, soon};
use ringpop_forward::Explain;

#[tokio::test]
async fn while_draining_a_call_for_a_lost_key_travels_on() {
    let (stale, fresh) = (Ring::default(), Ring::default());
    let asked = Node::start_with(&stale, |builder| builder.explain(Explain::Always));
    let leaving = Node::start_with(&fresh, |builder| builder.max_hops(1));
    let heir = Node::start(&fresh);
    stale.set("k", &[&leaving.address]);
    fresh.set("k", &[&heir.address, &leaving.address]);
    let mut client = asked.client().await;
    // Without a drain, the hop limit keeps it here.
    assert_eq!(client.unary(Ask::new("k", "")).await.unwrap().into_inner().node, leaving.address);
    leaving.control.drain();
    let response = client.unary(Ask::new("k", "")).await.unwrap();
    assert_eq!(response.metadata().get("ringpop-hops").unwrap(), "2");
    assert_eq!(response.into_inner().node, heir.address);
}

#[tokio::test]
async fn after_the_drain_senders_move_on_and_callers_are_told() {
    let ring = Ring::default();
    let (asked, leaving, next) = (Node::start(&ring), Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&leaving.address, &next.address]);
    let mut client = asked.client().await;
    leaving.control.refuse_new_work();
    // Not idempotent: a refusal is known to have executed nothing.
    assert_eq!(
        client.unary_at(ONCE, Ask::new("k", "")).await.unwrap().into_inner().node,
        next.address
    );
    let asks = tokio_stream::iter((0..10).map(|_| Ask::new("k", "").with(vec![0; 1000])));
    let tell = client.upload(asks).await.unwrap().into_inner();
    assert_eq!((tell.node, tell.text), (next.address.clone(), "10 messages, 10000 bytes".into()));
    assert_eq!(asked.forwarder.stats().retries_refused, 2);
    assert_eq!(leaving.forwarder.stats().refused, 2);
    assert_eq!(Seen::get(&leaving.seen().begun), 0);

    let response = leaving.client().await.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(response.code(), Code::Unavailable);
    assert_eq!(response.metadata().get("ringpop-refused").unwrap(), "draining");
}

#[tokio::test]
async fn drained_waits_for_calls_of_every_kind() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    let mut client = asked.client().await;
    let tells = client.download(Ask::new("k", "1 then hang")).await.unwrap();
    let call = tokio::spawn(async move { client.unary(Ask::new("k", "wait")).await });
    eventually("both calls run", || Seen::get(&owner.seen().begun) == 2).await;
    for node in [&asked, &owner] {
        assert_eq!(node.forwarder.stats().in_flight, 2);
        node.control.refuse_new_work();
    }
    owner.handler.go.add_permits(1);
    soon("unary call", call).await.unwrap().unwrap();
    eventually("the unary call is over", || {
        asked.forwarder.stats().in_flight == 1 && owner.forwarder.stats().in_flight == 1
    })
    .await;
    drop(tells);
    soon("drained", asked.forwarder.drained()).await;
    soon("drained", owner.forwarder.drained()).await;
}
