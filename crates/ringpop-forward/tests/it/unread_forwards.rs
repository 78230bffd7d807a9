//! Callers that do not read what comes from other members: it fills little memory, and the way to
//! those members stays open to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Response;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::common::cluster::Ring;
use crate::common::service::{Ask, DOWNLOAD, ONCE, Seen, UNARY};
use crate::common::victim::{Victim, begin, unreading};
use crate::common::{eventually, raw, settled};
use ringpop_forward::ServerLimits;

const CALLS: usize = 20;

/// An owner whose responses never end, and how many bytes of them were taken off it.
async fn endless() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(io).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let head = Response::builder().header("content-type", "application/grpc");
                    let body = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    tokio::spawn(send_on(body, Arc::clone(&count)));
                }
            });
        }
    });
    (address, taken)
}

/// Sends as much of one long message as there is room for.
async fn send_on(mut body: h2::SendStream<Bytes>, taken: Arc<AtomicU64>) {
    let prefix = Bytes::from_static(&[0, 0x7f, 0xff, 0xff, 0xff]);
    if body.send_data(prefix, false).is_err() {
        return;
    }
    body.reserve_capacity(1 << 20);
    while let Some(Ok(room)) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
        if body.send_data(vec![0; room].into(), false).is_err() {
            return;
        }
        taken.fetch_add(room as u64, Ordering::AcqRel);
        body.reserve_capacity(1 << 20);
    }
}

/// As many responses as may come from one peer at a time hold 64 MiB of what it sends, and a little
/// that was read ahead: 64 KiB of each unary one, and 256 KiB of each stream.
#[tokio::test]
async fn a_response_that_is_not_read_is_hardly_taken_off_its_owner() {
    for (path, window) in [(UNARY, 64 << 10), (ONCE, 64 << 10), (DOWNLOAD, 256 << 10)] {
        let ring = Ring::default();
        let (owner, taken) = endless().await;
        let victim = Victim::start(&ring, ServerLimits::default()).await;
        ring.set("there", &[&owner]);
        let mut sender = unreading(victim.address()).await;
        let mut held = Vec::new();
        for _ in 0..CALLS {
            let mut begun = begin(&mut sender, victim.address(), path, "there").await;
            begun.body.send_data(raw::framed(&Ask::new("there", "")), true).unwrap();
            held.push(begun);
        }
        let taken = || taken.load(Ordering::Acquire);
        eventually("all are answered", || taken() > (CALLS * window / 2) as u64).await;
        let most = settled(taken).await;
        let read_ahead = 96 << 10;
        assert!(most <= (CALLS * (window + read_ahead)) as u64, "{path}: {most}");
    }
}

/// The owner takes as many streams on a connection as it announces, and a caller who begins more
/// calls than that leaves some of them to others.
#[tokio::test]
async fn a_client_that_takes_the_streams_of_an_owner_keeps_no_other_one_from_it() {
    let ring = Ring::default();
    let limits = ServerLimits::default().streams_per_connection(64);
    let owner = Victim::start(&ring, limits).await;
    let victim = Victim::start(&ring, ServerLimits::default()).await;
    ring.set("there", &[owner.address()]);
    let greedy = victim.node.client().await;
    let mut flood = JoinSet::new();
    for _ in 0..100 {
        let mut client = greedy.clone();
        flood.spawn(async move { client.unary_at(ONCE, Ask::new("there", "wait")).await });
    }
    let seen = &owner.node.handler.seen;
    eventually("no more are taken", || Seen::get(&seen.begun) >= 56).await;
    assert_eq!(settled(|| Seen::get(&seen.begun)).await, 56);
    let mut other = victim.node.client().await;
    for _ in 0..20 {
        other.unary_at(ONCE, Ask::new("there", "")).await.unwrap();
    }
    owner.node.handler.go.add_permits(100);
    while let Some(call) = flood.join_next().await {
        call.unwrap().unwrap();
    }
    assert_eq!(Seen::get(&seen.begun), 120);
}
