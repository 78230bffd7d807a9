//! Calls of others: each is answered, or refused within bounds.

use std::time::Duration;

use swim_driver::limits::ANSWERS_MAX;
use swim_driver::memory::Network;
use swim_driver::swim_core::limits::CHANGES_PER_MESSAGE_MAX;
use swim_driver::swim_core::{Body, Change, Labels, Member as Known, Message, Refusal, Status};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::{Member, address};

fn request(from: u64, seq: u64, body: Body) -> Message {
    Message { app: "rides".into(), from: address(from), from_incarnation: 1, seq, body }
}

fn ping(from: u64, seq: u64) -> Message {
    request(from, seq, Body::Ping { checksum: 0, changes: Vec::new() })
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_with_the_reply_to_its_request() {
    let member = Member::join(&Network::new(1), 1).await;
    let one = member.handle.request(ping(8, 1), 0);
    let two = member.handle.request(ping(9, 1), 0);
    let (one, two) = tokio::join!(one, two);
    for reply in [one.unwrap(), two.unwrap()] {
        assert_eq!(reply.seq, 1);
        assert!(matches!(reply.body, Body::Ack { .. }), "{reply:?}");
    }
    let refused = Member::start(&Network::new(1), 2).handle.request(ping(8, 1), 0).await.unwrap();
    assert_eq!(refused.body, Body::Refused { reason: Refusal::NotReady });
}

/// A ping-req whose target is silent keeps its call waiting; what waits is bounded.
#[tokio::test(start_paused = true)]
async fn more_calls_than_can_wait_are_refused_and_counted() {
    let network = Network::new(1);
    let member = Member::join(&network, 1).await;
    let target = Member::join(&network, 2).await;
    network.isolate(&address(2));
    let ping_req = |seq| {
        let body = Body::PingReq { target: address(2), checksum: 0, changes: Vec::new() };
        request(3, seq, body)
    };
    let mut calls = JoinSet::new();
    // The machine takes on 256 relays and refuses the rest at once.
    for seq in 0..300 {
        let (handle, message) = (member.handle.clone(), ping_req(seq));
        calls.spawn(async move { handle.request(message, 0).await });
    }
    let mut busy = 0;
    while let Some(reply) = calls.join_next().await {
        let reply = reply.unwrap().unwrap();
        busy += usize::from(reply.body == Body::Refused { reason: Refusal::Busy });
    }
    assert!(busy >= 300 - 256, "{busy}");
    assert!(busy < 300, "some were served");
    assert_eq!(member.handle.stats().requests_refused, 0, "none reached the bound of the driver");
    drop(target);
}

/// Callers that hung up leave room for others.
#[tokio::test(start_paused = true)]
async fn calls_that_hung_up_do_not_count() {
    let member = Member::join(&Network::new(1), 1).await;
    // The machine answers nothing to a reply: the call would wait for ever.
    let unanswered = |seq| request(3, seq, Body::Ack { checksum: 0, changes: Vec::new() });
    let mut calls = Vec::new();
    for seq in 0..ANSWERS_MAX as u64 {
        let (handle, message) = (member.handle.clone(), unanswered(seq));
        calls.push(tokio::spawn(async move { handle.request(message, 0).await }));
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(member.handle.request(ping(8, 1), 0).await, None, "the table is full");
    assert_eq!(member.handle.stats().requests_refused, 1);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    sleep(Duration::from_secs(1)).await;
    assert!(member.handle.request(ping(8, 2), 0).await.is_some());
    assert_eq!(member.handle.stats().requests_refused, 1);
}

/// A message beyond the limits of the protocol is counted by the machine; the call has an
/// answer.
#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_limits_is_refused_and_changes_nothing() {
    let member = Member::join(&Network::new(1), 1).await;
    let change = |i: usize| {
        let address = format!("10.1.{}.{}:1", i / 250, i % 250).parse().unwrap();
        let member = Known::new(address, Status::Faulty, 1, Labels::default());
        Change { member, source: None }
    };
    let changes = (0..=CHANGES_PER_MESSAGE_MAX).map(change).collect();
    let reply = member.handle.request(request(8, 1, Body::Ping { checksum: 0, changes }), 3).await;
    assert_eq!(reply.unwrap().body, Body::Refused { reason: Refusal::Invalid });
    let (known, stats) = member.handle.with(|node, _| (node.len(), *node.stats())).await.unwrap();
    assert_eq!(known, 1);
    assert!(stats.rejected_invalid >= 4, "three that were not decoded, and the message");
}
