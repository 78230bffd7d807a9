//! Clients that take what they can get of one member.

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::frames::{
    DATA, END_HEADERS, Frames, HEADERS, PING, RST_STREAM, SETTINGS, beginning, frame, header_block,
    message,
};
use crate::support::http::Client;
use crate::support::ports::Ports;

/// Whom a client is hostile to.
#[derive(Clone)]
pub(super) struct Victim {
    grpc: String,
    http: String,
    /// A key of its own with a value of 1 MiB.
    own: String,
    /// A key of another member with such a value.
    other: String,
}

type Attack = Pin<Box<dyn Future<Output = ()> + Send>>;

type Begin = fn(Victim) -> Attack;

/// Each goes on until it is stopped.
pub(super) const CLIENTS: [(&str, Begin); 13] = [
    ("unread answers", |victim| {
        let own = victim.own.clone();
        Box::pin(unread(victim, own))
    }),
    ("unread forwards", |victim| {
        let other = victim.other.clone();
        Box::pin(unread(victim, other))
    }),
    ("half-open streams, one connection", |victim| Box::pin(half_open(victim, 1))),
    ("half-open streams, five connections", |victim| Box::pin(half_open(victim, 5))),
    ("calls without a message", |victim| Box::pin(without_message(victim))),
    ("messages of which half is sent", |victim| Box::pin(half_sent(victim))),
    ("messages in tiny frames", |victim| Box::pin(tiny_frames(victim))),
    ("PING flood", |victim| Box::pin(flood(victim, frame(PING, 0, 0, &[0; 8])))),
    ("SETTINGS flood", |victim| Box::pin(flood(victim, frame(SETTINGS, 0, 0, &[])))),
    ("rapid reset", |victim| Box::pin(rapid_reset(victim))),
    ("slow heads over HTTP", |victim| Box::pin(slow(victim, "GET /kv/a HTTP/1.1\r\nx-slow: "))),
    ("slow bodies over HTTP", |victim| {
        let head = "PUT /kv/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
        Box::pin(slow(victim, head))
    }),
    ("unread answers over HTTP", |victim| Box::pin(unread_http(victim))),
];

/// How long a client waits before it comes again after it was thrown out.
const PAUSE: Duration = Duration::from_millis(100);

const LARGE: usize = 1 << 20;

impl Victim {
    /// Puts large values where they are to be asked for: at the first member and at another one.
    pub(super) async fn prepare(client: &Client, ports: &Ports) -> Self {
        let (grpc, http) = (ports.grpc(0), ports.http(0));
        let (mut own, mut other) = (None, None);
        for i in 0.. {
            let key = format!("large-{i}");
            let path = format!("/kv/{key}");
            let put = client.send("PUT", &http, &path, vec![0; LARGE].into()).await;
            let handled_by = put.expect("a value is put").handled_by;
            let place = if handled_by == grpc { &mut own } else { &mut other };
            place.get_or_insert(key);
            if let (Some(own), Some(other)) = (&own, &other) {
                return Self { grpc, http, own: own.clone(), other: other.clone() };
            }
        }
        unreachable!("one of many keys belongs to each")
    }
}

/// Writes to a connection what `next` gives, keeps it when there is nothing more, and comes back
/// when it is thrown out.
async fn persist(
    address: String,
    window: u32,
    mut next: impl FnMut(&mut Frames) -> Option<Vec<u8>>,
) {
    loop {
        if let Ok(mut connection) = Frames::open(&address, window).await {
            loop {
                let frames = next(&mut connection);
                if frames.is_none() {
                    sleep(PAUSE).await;
                }
                if connection.write(&frames.unwrap_or_default()).await.is_err() {
                    break;
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Asks for large values and has no room for them: 1,000 on each of five connections.
async fn unread(victim: Victim, key: String) {
    let ask = || {
        let (block, message) = (header_block("Get", &[]), message(&key));
        persist(victim.grpc.clone(), 0, move |connection| {
            (connection.next_stream < 2000).then(|| connection.call(&block, Some(&message)))
        })
    };
    join_all((0..5).map(|_| ask())).await;
}

/// Begins streams without end, whatever the victim allows: 100,000 on each connection.
async fn half_open(victim: Victim, connections: usize) {
    let begin = || {
        let block = header_block("Get", &[]);
        persist(victim.grpc.clone(), 65_535, move |connection| {
            let more = connection.next_stream < 200_000;
            more.then(|| (0..100).flat_map(|_| connection.call(&block, None)).collect())
        })
    };
    join_all((0..connections).map(|_| begin())).await;
}

/// Begins 6,000 calls over six connections, as many on each as the victim allows.
async fn without_message(victim: Victim) {
    let begin = || {
        let block = header_block("Put", &[]);
        persist(victim.grpc.clone(), 65_535, move |connection| {
            (connection.next_stream < 2000).then(|| connection.call(&block, None))
        })
    };
    join_all((0..6).map(|_| begin())).await;
}

/// Begins 1,000 messages of 1 MiB on each of five connections, and sends the half of each.
async fn half_sent(victim: Victim) {
    let begin = || {
        let (block, half) = (header_block("Put", &[]), beginning(LARGE, LARGE / 2));
        persist(victim.grpc.clone(), 65_535, move |connection| {
            (connection.next_stream < 2000).then(|| {
                let stream = connection.next_stream;
                let mut frames = connection.call(&block, None);
                half.chunks(16 << 10)
                    .for_each(|piece| frames.extend(frame(DATA, 0, stream, piece)));
                frames
            })
        })
    };
    join_all((0..5).map(|_| begin())).await;
}

/// Sends a message of 1 MiB by the byte on each stream.
async fn tiny_frames(victim: Victim) {
    let block = header_block("Put", &[]);
    let message = beginning(LARGE, 10_000);
    persist(victim.grpc, 65_535, move |connection| {
        let stream = connection.next_stream;
        let mut frames = connection.call(&block, None);
        message.iter().for_each(|byte| frames.extend(frame(DATA, 0, stream, &[*byte])));
        Some(frames)
    })
    .await;
}

async fn flood(victim: Victim, frame: Vec<u8>) {
    let frames = frame.repeat(500);
    persist(victim.grpc, 65_535, move |_| Some(frames.clone())).await;
}

async fn rapid_reset(victim: Victim) {
    let block = header_block("Get", &[]);
    persist(victim.grpc, 65_535, move |connection| {
        let mut frames = Vec::new();
        for _ in 0..100 {
            let stream = connection.next_stream;
            connection.next_stream += 2;
            frames.extend(frame(HEADERS, END_HEADERS, stream, &block));
            frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        Some(frames)
    })
    .await;
}

/// Opens 300 connections on which a request goes on by one byte a second.
async fn slow(victim: Victim, beginning: &'static str) {
    let one = || async {
        loop {
            if let Ok(mut connection) = TcpStream::connect(&victim.http).await {
                let mut next = beginning.as_bytes();
                while connection.write_all(next).await.is_ok() {
                    next = b"x";
                    sleep(Duration::from_secs(1)).await;
                }
            }
            sleep(PAUSE).await;
        }
    };
    join_all((0..300).map(|_| one())).await;
}

/// Asks for large values over 500 connections, and reads none.
async fn unread_http(victim: Victim) {
    let ask = format!("GET /kv/{} HTTP/1.1\r\nhost: a\r\n\r\n", victim.own);
    let one = || async {
        loop {
            if let Ok(mut connection) = TcpStream::connect(&victim.http).await {
                let _ = connection.write_all(ask.as_bytes()).await;
                sleep(Duration::from_secs(10)).await;
            }
            sleep(PAUSE).await;
        }
    };
    join_all((0..500).map(|_| one())).await;
}
