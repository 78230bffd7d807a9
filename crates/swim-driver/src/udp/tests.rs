//! Members on loopback, and peers that are broken or hostile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::time::Duration;

use swim_core::{
    Body, Change, LabelLimits, Labels, Member as Known, Message, Node, Status, SyncStep, wire,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

use super::seal::{Seal, Way};
use super::*;
use crate::limits::{PACKET_BYTES_MAX, STREAM_BYTES_MAX, STREAMS_OF_HOST_MAX};
use crate::{Driver, Start, queue};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const APP: &str = "rides";
const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

/// A member on loopback.
struct Member {
    handle: Handle,
    address: SocketAddr,
    counters: UdpCounters,
}

impl Member {
    async fn start(keys: Option<KeyRing>, labels: Labels) -> Self {
        let udp = Udp::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, start) = (udp.local_addr(), Start::now().unwrap());
        let mut init = start.init(APP, address.to_string().parse().unwrap());
        init.labels = labels;
        let limits = LabelLimits { count: 8, key_bytes: 32, value_bytes: 1024 };
        let settings = Config::local().to_builder().label_limits(limits).build().unwrap();
        let node = Node::new(config(settings).unwrap(), init).unwrap();
        let (handle, queue) = queue();
        let udp = udp.keys(keys).start(&handle, APP);
        let counters = udp.counters();
        tokio::spawn(Driver::new(queue, node, udp, ()).started(&start).run());
        Self { handle, address, counters }
    }

    /// A member that has joined `others`.
    async fn joined(keys: Option<KeyRing>, others: &[&Self]) -> Self {
        let member = Self::start(keys, Labels::default()).await;
        member.join(others).await;
        member
    }

    async fn join(&self, others: &[&Self]) {
        let others: Vec<_> =
            others.iter().map(|other| other.address.to_string().parse().unwrap()).collect();
        self.handle.join_discovered(&others).await.unwrap();
    }

    async fn known(&self) -> usize {
        self.handle.with(|node, _| node.len()).await.unwrap()
    }

    async fn labels_of(&self, other: &Self) -> Option<Labels> {
        let address = other.address.to_string().parse().unwrap();
        let labels = move |node: &mut Node, _| node.member(&address).map(|m| m.labels.clone());
        self.handle.with(labels).await.unwrap()
    }
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn message(from: SocketAddr, seq: u64, body: Body) -> Vec<u8> {
    let from = from.to_string().parse().unwrap();
    wire::encode(&Message { app: APP.into(), from, from_incarnation: 1, seq, body })
}

fn ping(from: SocketAddr, seq: u64) -> Vec<u8> {
    message(from, seq, Body::Ping { checksum: 0, changes: Vec::new() })
}

fn pages() -> [Body; 2] {
    let digests = vec![0; 128];
    [Body::Join { cursor: None, nonce: 7 }, Body::Sync(SyncStep::Compare { digests })]
}

async fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The next packet for a peer.
async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let (bytes, _) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    buffer.truncate(bytes);
    buffer
}

#[tokio::test]
async fn members_with_lists_beyond_a_packet_agree() {
    let ring = KeyRing::new(OLD);
    let value = "v".repeat(1000);
    let large = Labels::new((0..4).map(|i| (format!("label{i}"), value.clone()))).unwrap();
    let first = Member::start(Some(ring.clone()), large.clone()).await;
    first.join(&[]).await;
    let second = Member::joined(Some(ring.clone()), &[&first]).await;
    let third = Member::joined(Some(ring), &[&first]).await;
    for member in [&first, &second, &third] {
        until("three members", async || member.known().await == 3).await;
    }
    assert_eq!(third.labels_of(&first).await, Some(large.clone()));
    // A change beyond a packet spreads as well.
    let value = "w".repeat(1000);
    let larger = Labels::new((0..5).map(|i| (format!("label{i}"), value.clone()))).unwrap();
    let set = larger.clone();
    second.handle.with(move |node, now| node.set_labels(now, &set)).await.unwrap().unwrap();
    until("the labels", async || third.labels_of(&second).await == Some(larger.clone())).await;
    let stats = first.counters.stats();
    assert!(stats.largest_bytes <= PACKET_BYTES_MAX, "{stats:?}");
    assert!(stats.streams_accepted >= 2 && stats.malformed == 0, "{stats:?}");
}

#[tokio::test]
async fn what_is_truncated_forged_foreign_or_too_long_is_counted_and_changes_nothing() {
    let member = Member::joined(Some(KeyRing::new(OLD)), &[]).await;
    let (socket, from) = peer().await;
    let seal = |app: &str, key| Seal::new(app, Some(KeyRing::new(key)));
    let close = |seal: &Seal, way| seal.close(way, &ping(from, 1)).unwrap();
    let good = close(&seal(APP, OLD), Way::Datagram);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut bad: Vec<Vec<u8>> = (0..good.len()).map(|bytes| good[..bytes].to_vec()).collect();
    bad.extend([
        forged,
        [&good[..], &[0]].concat(),
        close(&seal(APP, NEW), Way::Datagram),
        close(&seal("others", OLD), Way::Datagram),
        close(&seal(APP, OLD), Way::Stream),
        Seal::new(APP, None).close(Way::Datagram, &ping(from, 1)).unwrap(),
        vec![2; PACKET_BYTES_MAX],
        vec![2; PACKET_BYTES_MAX + 1],
        seal(APP, OLD).close(Way::Datagram, b"no message").unwrap(),
    ]);
    let count = bad.len() as u64;
    for (i, packet) in bad.iter().enumerate() {
        socket.send_to(packet, member.address).await.unwrap();
        // One after the other: the socket drops none.
        let arrived = i as u64 + 1;
        until("a packet", async || member.counters.stats().received >= arrived).await;
    }
    until("all are counted", async || member.counters.stats().malformed == count).await;
    assert_eq!(member.known().await, 1);
    // Nothing was answered so far: the first answer is that to the good one.
    socket.send_to(&good, member.address).await.unwrap();
    let answer = receive(&socket).await;
    let answer = seal(APP, OLD).open(Way::Datagram, &answer).unwrap().into_owned();
    assert!(matches!(wire::decode(&answer).unwrap().message.body, Body::Ack { .. }));
    assert_eq!(member.counters.stats().sent, 1);
}

/// A member without a key does not take encrypted packets for plain ones, nor the other
/// way round.
#[test]
fn an_envelope_opens_with_a_key_of_the_ring_and_nothing_else() {
    let ring = KeyRing::new(OLD);
    let (sealed, plain) = (Seal::new(APP, Some(ring.clone())), Seal::new(APP, None));
    let old = sealed.close(Way::Datagram, b"text").unwrap();
    assert_ne!(old, sealed.close(Way::Datagram, b"text").unwrap(), "nonces differ");
    assert!(plain.open(Way::Datagram, &old).is_none());
    assert!(sealed.open(Way::Datagram, &plain.close(Way::Datagram, b"text").unwrap()).is_none());
    ring.add(NEW).unwrap();
    ring.set_primary(&NEW).unwrap();
    let new = sealed.close(Way::Datagram, b"text").unwrap();
    for packet in [&old, &new] {
        assert_eq!(sealed.open(Way::Datagram, packet).as_deref(), Some(&b"text"[..]));
        assert!(sealed.open(Way::Stream, packet).is_none());
    }
    assert_eq!(ring.remove(&NEW), Err(KeyError::Primary));
    ring.remove(&OLD).unwrap();
    assert!(sealed.open(Way::Datagram, &old).is_none());
    assert_eq!(ring.remove(&OLD), Err(KeyError::Unknown));
    assert_eq!(ring.set_primary(&OLD), Err(KeyError::Unknown));
    ring.add([3; 32]).unwrap();
    ring.add([4; 32]).unwrap();
    ring.add([4; 32]).unwrap();
    assert_eq!(ring.add([5; 32]), Err(KeyError::Full));
    assert!(!format!("{ring:?}").contains('4'), "{ring:?}");
}

#[tokio::test]
async fn keys_are_replaced_while_the_cluster_runs() {
    let rings = [KeyRing::new(OLD), KeyRing::new(OLD)];
    let first = Member::joined(Some(rings[0].clone()), &[]).await;
    let second = Member::joined(Some(rings[1].clone()), &[&first]).await;
    // Each step is complete at both before the next; in between, one is ahead.
    type Step = fn(&KeyRing) -> Result<(), KeyError>;
    let steps: [Step; 3] =
        [|ring| ring.add(NEW), |ring| ring.set_primary(&NEW), |ring| ring.remove(&OLD)];
    for step in steps {
        for ring in &rings {
            step(ring).unwrap();
            let heard = || [&first, &second].map(|member| member.counters.stats().received);
            let before = heard();
            let more = async || heard().iter().zip(before).all(|(now, before)| *now > before + 1);
            until("they go on", more).await;
        }
    }
    for member in [&first, &second] {
        assert_eq!(member.counters.stats().malformed, 0);
        let alive = |node: &mut Node, _| node.count(Status::Alive);
        assert_eq!(member.handle.with(alive).await, Ok(2));
    }
    let stranger = Member::start(Some(KeyRing::new(OLD)), Labels::default()).await;
    let joining = stranger.handle.join(vec![first.address.to_string().parse().unwrap()]);
    let mut joining = joining.await.unwrap();
    assert!(joining.next().await.is_some());
    until("the old key is refused", async || first.counters.stats().malformed > 0).await;
}

/// What a replay repeats was superseded or is known: it draws an answer each time, and
/// changes nothing.
#[tokio::test]
async fn a_replayed_packet_changes_nothing() {
    let ring = KeyRing::new(OLD);
    let seal = Seal::new(APP, Some(ring.clone()));
    let member = Member::joined(Some(ring), &[]).await;
    let (socket, from) = peer().await;
    let gone = Known::new("127.0.0.1:9".parse().unwrap(), Status::Faulty, 5, Labels::default());
    let changes = vec![Change { member: gone, source: None }];
    let body = Body::Ping { checksum: 0, changes };
    let packet = seal.close(Way::Datagram, &message(from, 1, body)).unwrap();
    let seen = |node: &mut Node, _: swim_core::Instant| (node.len(), node.checksum());
    socket.send_to(&packet, member.address).await.unwrap();
    receive(&socket).await;
    let before = member.handle.with(seen).await.unwrap();
    for _ in 0..10 {
        socket.send_to(&packet, member.address).await.unwrap();
        receive(&socket).await;
    }
    assert_eq!(member.handle.with(seen).await.unwrap(), before);
    // On the other way it is no message at all.
    let mut stream = TcpStream::connect(member.address).await.unwrap();
    stream.write_u32(packet.len() as u32).await.unwrap();
    stream.write_all(&packet).await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert_eq!(member.counters.stats().malformed, 1);
}

/// A datagram may name a victim as its sender.
#[tokio::test]
async fn a_datagram_draws_no_page_and_at_most_one_packet() {
    let value = "v".repeat(1000);
    let large = Labels::new((0..4).map(|i| (format!("label{i}"), value.clone()))).unwrap();
    let member = Member::start(None, large).await;
    member.join(&[]).await;
    let seal = Seal::new(APP, None);
    let (victim, from) = peer().await;
    for body in pages() {
        let packet = seal.close(Way::Datagram, &message(from, 1, body)).unwrap();
        victim.send_to(&packet, member.address).await.unwrap();
    }
    until("both are refused", async || member.counters.stats().refused == 2).await;
    // The labels of this member are pending changes, and exceed a packet.
    for seq in 0..20 {
        let packet = seal.close(Way::Datagram, &ping(from, seq)).unwrap();
        victim.send_to(&packet, member.address).await.unwrap();
    }
    until("all came", async || member.counters.stats().received == 22).await;
    member.known().await;
    let stats = member.counters.stats();
    assert!(stats.sent <= 20 && stats.largest_bytes <= PACKET_BYTES_MAX, "{stats:?}");
    assert!(stats.oversized > 0, "a reply beyond a packet is not sent: {stats:?}");
    // The machine dials a newcomer at its own pace, whatever the number of its pings.
    assert!(stats.streams_opened < 10, "{stats:?}");
    // Over a stream, which proves the address, the same request is answered.
    let mut stream = TcpStream::connect(member.address).await.unwrap();
    let [join, _] = pages();
    let request = seal.close(Way::Stream, &message(from, 1, join)).unwrap();
    stream.write_u32(request.len() as u32).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut page = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut page)).await.unwrap().unwrap();
    assert!(page.len() > 4000, "{} bytes", page.len());
}

#[tokio::test]
async fn streams_are_bounded_in_number_bytes_and_time() {
    let member = Member::joined(None, &[]).await;
    // A length that nobody may announce is refused before anything else comes.
    let mut stream = TcpStream::connect(member.address).await.unwrap();
    stream.write_u32(STREAM_BYTES_MAX as u32 + 1).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    // A message that ends early.
    let mut stream = TcpStream::connect(member.address).await.unwrap();
    stream.write_u32(1000).await.unwrap();
    stream.write_all(&[1; 10]).await.unwrap();
    stream.shutdown().await.unwrap();
    until("both are counted", async || member.counters.stats().malformed == 2).await;

    let mut silent = Vec::new();
    for _ in 0..STREAMS_OF_HOST_MAX + 8 {
        silent.push(TcpStream::connect(member.address).await.unwrap());
    }
    until("some are refused", async || member.counters.stats().streams_refused > 0).await;
    let stats = member.counters.stats();
    assert!(stats.streams_accepted <= 2 + STREAMS_OF_HOST_MAX as u64, "{stats:?}");
    // Datagrams pass meanwhile, and silent streams make room in time.
    let (socket, from) = peer().await;
    let packet = Seal::new(APP, None).close(Way::Datagram, &ping(from, 1)).unwrap();
    socket.send_to(&packet, member.address).await.unwrap();
    receive(&socket).await;
    until("they are cut off", async || member.counters.stats().streams_late > 0).await;
    let other = Member::joined(None, &[&member]).await;
    assert_eq!(other.known().await, 2);
    drop(silent);
}
