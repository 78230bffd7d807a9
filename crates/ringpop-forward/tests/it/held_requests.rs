//! Requests that nobody can use yet: parts of messages, and bodies that handlers do not read. What
//! they hold is bounded.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use tonic::Code;

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, CHAT, ONCE, UNARY, UPLOAD, within};
use crate::common::victim::{Victim, begin, code};
use crate::common::{eventually, raw, soon};
use ringpop_forward::ServerLimits;

const LIMIT: Duration = Duration::from_secs(60);
const CALLS: usize = 30;
const PART: usize = 256 << 10;
const HELD_MAX: usize = 1 << 20;

fn limits() -> ServerLimits {
    ServerLimits::default().request_bytes(HELD_MAX)
}

/// Calls of others, as long as `done` is not true.
async fn serve_others_until(victim: &Victim, what: &str, done: impl Fn() -> bool) {
    let mut other = victim.node.client().await;
    let served = async {
        loop {
            for key in ["here", "there"] {
                other.unary_at(ONCE, within(Ask::new(key, ""), LIMIT)).await.unwrap();
            }
            if done() {
                return;
            }
        }
    };
    soon(what, served).await;
}

/// Sends as much as the connection has room for.
async fn send(begun: &mut raw::Begun, data: Bytes) {
    let mut rest = data;
    while !rest.is_empty() {
        begun.body.reserve_capacity(rest.len());
        let room = std::future::poll_fn(|cx| begun.body.poll_capacity(cx));
        let Some(Ok(room)) = soon("room", room).await else { return };
        if begun.body.send_data(rest.split_to(room.min(rest.len())), false).is_err() {
            return;
        }
    }
}

/// A call whose message is half here.
async fn half(
    sender: &mut SendRequest<Bytes>,
    victim: &Victim,
    path: &str,
    key: &str,
) -> raw::Begun {
    let mut begun = begin(sender, victim.address(), path, "").await;
    let message = raw::framed(&Ask::new(key, "").with(vec![7; 2 * PART]));
    send(&mut begun, message.slice(..PART)).await;
    begun
}

#[tokio::test]
async fn messages_of_which_the_rest_does_not_come_are_given_up() {
    // At the same time, for most of it is waiting.
    join_all([ONCE, UPLOAD, CHAT].map(half_messages_are_given_up)).await;
}

async fn half_messages_are_given_up(path: &str) {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let victim = Victim::start(&ring, limits()).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[&owner.address]);
    let mut sender = raw::connect(victim.address()).await;
    let mut held = Vec::new();
    for call in 0..CALLS {
        let key = if call % 2 == 0 { "here" } else { "there" };
        held.push(half(&mut sender, &victim, path, key).await);
    }
    // Half as much again as the limit may be left.
    let shed = || victim.counters.server_stats().uploads_shed as usize;
    let most = HELD_MAX * 3 / 2 / PART;
    serve_others_until(&victim, path, || shed() >= CALLS - most - 1).await;
    // The oldest ones have gone.
    assert_eq!(code(held.swap_remove(0)).await, Code::ResourceExhausted, "{path}");
    let in_flight = || victim.node.forwarder.stats().in_flight as usize;
    eventually("calls are over", || in_flight() <= most + 1).await;
}

/// The handler waits for something else, and its caller goes on sending.
#[tokio::test]
async fn requests_that_their_handlers_do_not_read_are_given_up() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, limits()).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[victim.address()]);
    let mut sender = raw::connect(victim.address()).await;
    let mut held = Vec::new();
    for _ in 0..CALLS {
        let mut begun = begin(&mut sender, victim.address(), UPLOAD, "").await;
        send(&mut begun, raw::framed(&Ask::new("here", "stall"))).await;
        held.push(begun);
    }
    let sending = tokio::spawn(async move {
        // Whole messages, so there is nothing to wait for but the handler.
        let message = raw::framed(&Ask::new("here", "").with(vec![7; 1000]));
        let many: Bytes = message.repeat(PART / message.len()).into();
        for begun in &mut held {
            let room = tokio::time::timeout(Duration::from_secs(2), send(begun, many.clone()));
            drop(room.await);
        }
        held
    });
    let stats = || victim.counters.server_stats();
    serve_others_until(&victim, "requests are given up", || stats().uploads_shed > 0).await;
    serve_others_until(&victim, "little is held", || {
        stats().unread_request_bytes <= 2 * HELD_MAX as u64
    })
    .await;
    let held = sending.await.unwrap();
    serve_others_until(&victim, "no more than may be held", || {
        stats().unread_request_bytes <= HELD_MAX as u64
    })
    .await;
    let shed = stats().uploads_shed as usize;
    // Those that were left have room for no more than a part of what they want to send.
    assert!((1..CALLS).contains(&shed), "{shed}");
    // The rest goes on as if nothing had been.
    victim.node.handler.go.add_permits(CALLS);
    let (mut given_up, mut went_on) = (0, 0);
    for mut begun in held {
        let _ = begun.body.send_data(Bytes::new(), true);
        match code(begun).await {
            Code::Ok => went_on += 1,
            Code::ResourceExhausted => given_up += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((given_up, went_on), (stats().uploads_shed as usize, CALLS - given_up));
    eventually("nothing is left", || stats().unread_request_bytes == 0).await;
}

/// A byte costs what its frame costs.
#[tokio::test]
async fn tiny_frames_count_by_what_they_cost() {
    const FRAMES: usize = 2 * HELD_MAX / 256;
    let ring = Ring::default();
    let victim = Victim::start(&ring, limits()).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[victim.address()]);
    let mut begun = raw::begin(victim.address(), UPLOAD, &Ask::new("here", "stall")).await;
    let message = raw::framed(&Ask::new("here", ""));
    for i in 0..FRAMES {
        let byte = message.slice(i % message.len()..i % message.len() + 1);
        if begun.body.send_data(byte, false).is_err() {
            break;
        }
    }
    let stats = || victim.counters.server_stats();
    serve_others_until(&victim, "it is given up", || stats().uploads_shed == 1).await;
    assert_eq!(code(begun).await, Code::ResourceExhausted);
    eventually("nothing is left", || stats().unread_request_bytes == 0).await;
}

#[tokio::test]
async fn a_message_in_tiny_pieces_is_refused() {
    let ring = Ring::default();
    let owner = Node::start(&ring);
    let victim = Victim::start(&ring, ServerLimits::default()).await;
    ring.set("here", &[victim.address()]);
    ring.set("there", &[&owner.address]);
    for (path, key) in [(UNARY, "here"), (UPLOAD, "here"), (UPLOAD, "there"), (ONCE, "there")] {
        let mut begun =
            begin(&mut raw::connect(victim.address()).await, victim.address(), path, "").await;
        let message = raw::framed(&Ask::new(key, "").with(vec![7; 3000]));
        for i in 0..message.len() {
            if begun.body.send_data(message.slice(i..=i), i + 1 == message.len()).is_err() {
                break;
            }
        }
        assert_eq!(code(begun).await, Code::ResourceExhausted, "{path} {key}");
    }
    // A stream of small messages may be as long as it likes.
    let mut begun = raw::begin(victim.address(), UPLOAD, &Ask::new("here", "")).await;
    for _ in 0..5000 {
        begun.body.send_data(raw::framed(&Ask::new("here", "")), false).unwrap();
    }
    begun.body.send_data(Bytes::new(), true).unwrap();
    assert_eq!(code(begun).await, Code::Ok);
}
