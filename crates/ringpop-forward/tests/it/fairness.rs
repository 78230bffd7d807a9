//! Connections take turns: what one of them sends, however much, does not hold the others up.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::cluster::Ring;
use crate::common::service::{Ask, ONCE, Seen, UNARY, within};
use crate::common::victim::Victim;
use crate::common::{eventually, frames, raw, soon};
use ringpop_forward::ServerLimits;

const LIMIT: Duration = Duration::from_secs(60);

/// A thousand requests that arrive together, and one on another connection that arrives after them.
/// The thread is kept busy until all are there, so the order is not left to chance.
#[tokio::test]
async fn a_burst_of_requests_does_not_come_before_a_request_of_another_connection() {
    const BURST: u32 = 1000;
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default()).await;
    ring.set("here", &[victim.address()]);
    let mut greedy = frames::open(victim.address()).await;
    let mut modest = victim.node.client().await;
    modest.unary(Ask::new("here", "")).await.unwrap();
    let address = victim.address().to_owned();
    let blocking =
        tokio::spawn(
            async move { raw::call(&address, UNARY, &Ask::new("here", "block"), &[]).await },
        );
    eventually("the thread is busy", || Seen::get(&victim.node.handler.seen.begun) == 2).await;
    let ask = Ask::new("here", "");
    let burst: Vec<u8> = (0..BURST).flat_map(|i| frames::request(2 * i + 1, UNARY, &ask)).collect();
    soon("the burst is sent", greedy.write_all(&burst)).await.unwrap();
    let call = tokio::spawn(async move {
        modest.unary_at(ONCE, within(Ask::new("here", "count"), LIMIT)).await
    });
    // Its request is on its way before the thread goes on.
    tokio::time::sleep(Duration::from_millis(50)).await;
    victim.node.handler.go.add_permits(1);
    let tell = call.await.unwrap().unwrap().into_inner();
    let before: u32 = tell.text.parse().unwrap();
    assert!(before < BURST / 4, "{before} of the burst came first");
    eventually("the burst is served", || {
        Seen::get(&victim.node.handler.seen.begun) == u64::from(BURST) + 3
    })
    .await;
    blocking.await.unwrap();
    drop(greedy);
}

/// Reading takes the whole budget of the connection's task at each turn, because there is always
/// more to read. Writes go on all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_never_stops_sending_is_answered() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default()).await;
    ring.set("here", &[victim.address()]);
    let (mut reader, mut writer) = frames::open(victim.address()).await.into_split();
    let sending = tokio::spawn(async move {
        let ask = Ask::new("here", "");
        for first in (0..).step_by(50) {
            let requests: Vec<u8> =
                (first..first + 50).flat_map(|i| frames::request(2 * i + 1, UNARY, &ask)).collect();
            if writer.write_all(&requests).await.is_err() {
                return;
            }
        }
    });
    let mut received = Vec::new();
    let answered = async {
        // A response takes more than a hundred bytes.
        while received.len() < 50_000 {
            assert!(reader.read_buf(&mut received).await.unwrap() > 0, "it lives");
        }
    };
    soon("answers", answered).await;
    assert!(!sending.is_finished());
    sending.abort();
}

/// Streams that are begun and reset at once are read as fast as time pays for them. The connection
/// lives, and so do others.
#[tokio::test]
async fn rapid_resets_slow_their_own_connection_down() {
    const RESETS: u32 = 3500;
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default()).await;
    ring.set("here", &[victim.address()]);
    let mut hostile = frames::open(victim.address()).await;
    let mut flood: Vec<u8> = (0..RESETS).flat_map(|i| frames::given_up(2 * i + 1, UNARY)).collect();
    flood.extend(frames::request(2 * RESETS + 1, ONCE, &Ask::new("here", "")));
    let writing = tokio::spawn(async move {
        hostile.write_all(&flood).await.unwrap();
        hostile
    });
    let stats = || victim.counters.server_stats();
    eventually("resets are paid for with time", || stats().resets_delayed > 0).await;
    let begun = || Seen::get(&victim.node.handler.seen.begun);
    // No message came with the resets, so none of them has reached a handler.
    assert_eq!(begun(), 0, "the last request waits behind the resets");
    let mut other = victim.node.client().await;
    for _ in 0..20 {
        other.unary(within(Ask::new("here", ""), LIMIT)).await.unwrap();
    }
    let served = begun();
    eventually("the last request is served", || begun() == 21).await;
    assert!(served >= 20);
    assert_eq!((stats().floods_ended, stats().connections_closed), (0, 0));
    drop(writing.await.unwrap());
}

/// What this side resets, because a connection may not have so many streams, is paid for in the
/// same way.
#[tokio::test]
async fn streams_beyond_the_limit_slow_their_own_connection_down() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default().streams_per_connection(10)).await;
    ring.set("here", &[victim.address()]);
    let mut hostile = frames::open(victim.address()).await;
    let flood: Vec<u8> = (0..4000).flat_map(|i| frames::headers(2 * i + 1, UNARY)).collect();
    let writing = tokio::spawn(async move {
        hostile.write_all(&flood).await.unwrap();
        hostile
    });
    let stats = || victim.counters.server_stats();
    eventually("refusals are paid for with time", || stats().resets_delayed > 0).await;
    let mut other = victim.node.client().await;
    for _ in 0..20 {
        other.unary(within(Ask::new("here", ""), LIMIT)).await.unwrap();
    }
    drop(writing.await.unwrap());
}

/// Callers of a member that give up, while others of it are answered, are ordinary.
#[tokio::test]
async fn calls_that_are_given_up_among_answered_ones_cost_nothing() {
    let ring = Ring::default();
    let victim = Victim::start(&ring, ServerLimits::default()).await;
    ring.set("here", &[victim.address()]);
    let client = victim.node.client().await;
    for _ in 0..150 {
        let mut calls = tokio::task::JoinSet::new();
        for i in 0..20 {
            let mut client = client.clone();
            let order = if i % 2 == 0 { "hang" } else { "" };
            calls.spawn(async move {
                let call = client.unary(Ask::new("here", order));
                tokio::time::timeout(
                    if i % 2 == 0 { Duration::from_millis(2) } else { LIMIT },
                    call,
                )
                .await
                .map(Result::unwrap)
                .is_ok()
            });
        }
        while let Some(answered) = calls.join_next().await {
            answered.unwrap();
        }
    }
    assert_eq!(victim.counters.server_stats().resets_delayed, 0);
}
