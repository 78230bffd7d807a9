//! What a peer says at the level of HTTP/2 about calls that it has not looked at is believed: they
//! move on, even those that must not run twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::common::cluster::{Node, Ring};
use crate::common::service::{Ask, ONCE, UNARY};
use crate::common::{eventually, soon};

/// A peer that answers what `respond` makes of each HEADERS frame.
async fn peer(respond: fn(stream: u32) -> Vec<u8>) -> String {
    peer_counted(respond, Arc::default()).await
}

/// The same, with the number of answers that were read.
async fn peer_counted(respond: fn(stream: u32) -> Vec<u8>, answered: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(speak(stream, respond, Arc::clone(&answered)));
        }
    });
    address
}

const PREFACE_BYTES: usize = 24;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

/// As much HTTP/2 as is needed to be taken for a server (RFC 9113 section 4.1).
async fn speak(
    mut stream: TcpStream,
    respond: fn(u32) -> Vec<u8>,
    answered: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE_BYTES]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        match (head[3], head[4]) {
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
            (PING, 0) => stream.write_all(&frame(PING, ACK, 0, &payload)).await?,
            (HEADERS, _) => {
                stream.write_all(&respond(id)).await?;
                stream.write_all(&frame(PING, 0, 0, &[0; 8])).await?;
            }
            // Frames are read in order: a peer that answers the PING has read the answer before it.
            (PING, ACK) => drop(answered.fetch_add(1, Ordering::AcqRel)),
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Nodes that ask such a peer first, then a regular one.
async fn behind(respond: fn(u32) -> Vec<u8>) -> (Node, Node) {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&peer(respond).await, &second.address]);
    (asked, second)
}

#[tokio::test]
async fn goaway_below_the_stream_means_that_it_was_not_looked_at() {
    let goaway = |_| frame(GOAWAY, 0, 0, &[0; 8]);
    let (asked, second) = behind(goaway).await;
    let mut client = asked.client().await;
    let tell = soon("call", client.unary_at(ONCE, Ask::new("k", ""))).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
    assert_eq!(asked.forwarder.stats().retries_refused, 1);
}

#[tokio::test]
async fn a_refused_stream_was_not_looked_at() {
    let refuse = |stream| frame(RST_STREAM, 0, stream, &7_u32.to_be_bytes());
    let (asked, second) = behind(refuse).await;
    let mut client = asked.client().await;
    let tell = soon("call", client.unary_at(ONCE, Ask::new("k", ""))).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
    assert_eq!(asked.forwarder.stats().retries_refused, 1);
}

#[tokio::test]
async fn any_other_reset_leaves_it_open_whether_it_was_executed() {
    let internal_error = |stream| frame(RST_STREAM, 0, stream, &2_u32.to_be_bytes());
    let (asked, second) = behind(internal_error).await;
    let mut client = asked.client().await;
    let status = soon("call", client.unary_at(ONCE, Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("may have been executed"), "{status:?}");
    let tell = soon("call", client.unary_at(UNARY, Ask::new("k", ""))).await.unwrap().into_inner();
    assert_eq!((tell.node, tell.payload), (second.address.clone(), Bytes::new()));
    assert_eq!(asked.forwarder.stats().retries_ambiguous, 1);
}

#[tokio::test]
async fn a_connection_that_takes_no_more_requests_is_replaced_before_the_next_owner_is_asked() {
    // It keeps the first stream open and takes no other, as a server does that limits the age of
    // connections.
    let goaway = |stream: u32| frame(GOAWAY, 0, 0, &[stream.to_be_bytes(), [0; 4]].concat());
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    let answered = Arc::new(AtomicUsize::new(0));
    let first = peer_counted(goaway, Arc::clone(&answered)).await;
    ring.set("k", &[&first, &second.address]);
    let client = asked.client().await;
    let mut calls = Vec::new();
    for expected in 1..=3 {
        let mut client = client.clone();
        calls.push(tokio::spawn(async move { client.unary(Ask::new("k", "")).await }));
        eventually("one answer more was read", || answered.load(Ordering::Acquire) == expected)
            .await;
    }
    assert_eq!(asked.forwarder.stats().retries_never_sent, 0);
    calls.into_iter().for_each(|call| call.abort());
}
