//! Datagrams, and the streams that this member opens.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use swim_core::wire::{self, Decoded};
use swim_core::{Address, Body, Config, Instant, Member, Message, Node, Path, Transmit};
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::seal::{Seal, Way};
use super::stats::{UdpCounters, count};
use super::stream::{ask, send};
use crate::limits::{
    ACCEPT_PAUSE, PACKET_BYTES_MAX, PACKETS_WAITING_MAX, REPLY_MARGIN, STREAMS_OUT_MAX,
};
use crate::transport::{Started, Transport};

/// The transport; made by [`BoundUdp::start`](super::BoundUdp::start).
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    seal: Arc<Seal>,
    counters: UdpCounters,
    buffer: Vec<u8>,
    /// Packets that the socket did not take at once.
    waiting: VecDeque<(Vec<u8>, SocketAddr)>,
    /// Messages on streams that this member opened.
    streams: JoinSet<Option<Ended>>,
    listener: AbortHandle,
}

/// What came in; for the driver only.
#[derive(Debug)]
pub struct UdpInput(Input);

#[derive(Debug)]
enum Input {
    /// A packet of this many bytes in the buffer.
    Packet(usize),
    Stream(Ended),
}

/// A request on a stream that ended, with the reply or the reason why there is none.
#[derive(Debug)]
struct Ended {
    seq: u64,
    reply: Result<Decoded, String>,
}

impl Udp {
    pub(super) fn new(
        socket: UdpSocket,
        seal: Arc<Seal>,
        counters: UdpCounters,
        listener: AbortHandle,
    ) -> Self {
        Self {
            socket,
            seal,
            counters,
            // One byte more shows that a packet is too long.
            buffer: vec![0; PACKET_BYTES_MAX + 1],
            waiting: VecDeque::new(),
            streams: JoinSet::new(),
            listener,
        }
    }

    /// What this transport counts; it may be asked for as long as anybody likes.
    #[must_use]
    pub fn counters(&self) -> UdpCounters {
        self.counters.clone()
    }

    /// Sends a packet; `false` when it cannot be sent.
    fn send_packet(&mut self, packet: Vec<u8>, to: SocketAddr) -> bool {
        match self.socket.try_send_to(&packet, to) {
            Ok(bytes) => {
                self.counters.packet(bytes);
                true
            }
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && self.waiting.len() < PACKETS_WAITING_MAX =>
            {
                self.waiting.push_back((packet, to));
                true
            }
            Err(_) => {
                count(&self.counters.0.unsent);
                false
            }
        }
    }

    /// Sends a request on a stream of its own and waits for the reply there.
    fn ask_on_stream(&mut self, to: SocketAddr, message: Message, limit: Duration) -> bool {
        if self.streams.len() >= STREAMS_OUT_MAX {
            tracing::warn!(%to, "too many streams are open");
            count(&self.counters.0.unsent);
            return false;
        }
        count(&self.counters.0.streams_opened);
        let seal = Arc::clone(&self.seal);
        self.streams.spawn(async move {
            let reply = ask(to, &seal, &message, limit).await.map_err(|error| error.to_string());
            Some(Ended { seq: message.seq, reply })
        });
        true
    }

    fn send_on_stream(&mut self, to: SocketAddr, message: Message) {
        if self.streams.len() >= STREAMS_OUT_MAX {
            return count(&self.counters.0.unsent);
        }
        count(&self.counters.0.streams_opened);
        let (seal, counters) = (Arc::clone(&self.seal), self.counters.clone());
        self.streams.spawn(async move {
            if let Err(error) = send(to, &seal, &message).await {
                count(&counters.0.unsent);
                tracing::debug!(%to, %error, "a reply on a stream was not sent");
            }
            None
        });
    }

    fn take_packet(&self, node: &mut Node, now: Instant, bytes: usize) {
        count(&self.counters.0.received);
        let packet = &self.buffer[..bytes];
        let opened =
            if bytes > PACKET_BYTES_MAX { None } else { self.seal.open(Way::Datagram, packet) };
        match opened.map(|bytes| wire::decode(&bytes)) {
            // Its reply is a page, which leaves only over a stream.
            Some(Ok(decoded)) if wants_page(&decoded.message) => {
                count(&self.counters.0.refused);
                node.handle_malformed(now, 1);
            }
            Some(Ok(Decoded { message, dropped_changes })) => {
                node.handle_malformed(now, dropped_changes);
                node.handle_message(now, message);
            }
            Some(Err(_)) | None => {
                count(&self.counters.0.malformed);
                node.handle_malformed(now, 1);
            }
        }
    }
}

impl Transport for Udp {
    type Input = UdpInput;

    fn start(&mut self, node: &Node, transmit: Transmit) -> Started {
        let Transmit { to, message, path, .. } = transmit;
        // Another member said that this is an address.
        let Ok(to) = to.as_str().parse::<SocketAddr>() else {
            count(&self.counters.0.unsent);
            return Started::Undelivered;
        };
        let by_datagram = path == Path::First && !wants_page(&message);
        let packet = self.seal.close(Way::Datagram, &wire::encode(&message));
        let is_sent = match packet {
            Ok(packet) if by_datagram && packet.len() <= PACKET_BYTES_MAX => {
                self.send_packet(packet, to)
            }
            Ok(_) => self.ask_on_stream(to, message, reply_timeout(node.config())),
            Err(error) => {
                count(&self.counters.0.unsent);
                tracing::error!(%error, "a message cannot be encrypted");
                false
            }
        };
        if is_sent { Started::UnderWay } else { Started::Undelivered }
    }

    async fn next(&mut self) -> UdpInput {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.streams.join_next() => match ended {
                    Ok(Some(ended)) => return UdpInput(Input::Stream(ended)),
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "a stream broke"),
                },
                received = self.socket.recv_from(&mut self.buffer) => match received {
                    Ok((bytes, _)) => return UdpInput(Input::Packet(bytes)),
                    // Windows reports here that nobody took an earlier packet.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                    Err(error) => {
                        tracing::warn!(%error, "a packet cannot be received");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                // When another branch wins, nothing was sent yet.
                sent = flush(&self.socket, self.waiting.front()) => {
                    self.waiting.pop_front();
                    match sent {
                        Ok(bytes) => self.counters.packet(bytes),
                        Err(_) => count(&self.counters.0.unsent),
                    }
                }
            }
        }
    }

    fn take(&mut self, node: &mut Node, now: Instant, UdpInput(input): UdpInput) {
        match input {
            Input::Packet(bytes) => self.take_packet(node, now, bytes),
            Input::Stream(Ended { reply: Ok(Decoded { message, dropped_changes }), .. }) => {
                node.handle_malformed(now, dropped_changes);
                node.handle_message(now, message);
            }
            Input::Stream(Ended { seq, reply: Err(cause) }) => {
                tracing::debug!(%cause, "a request on a stream was not answered");
                node.handle_undelivered_because(now, seq, &cause);
            }
        }
    }

    /// Replies to a datagram. One that does not fit a packet goes by a stream, but only
    /// to a member that others reach: a stranger's address may be a victim's.
    fn reply(&mut self, node: &Node, to: Address, reply: Message) {
        // The number of a reply is its receiver's: nothing is reported.
        let Ok(address) = to.as_str().parse::<SocketAddr>() else {
            return count(&self.counters.0.unsent);
        };
        match self.seal.close(Way::Datagram, &wire::encode(&reply)) {
            Ok(packet) if packet.len() <= PACKET_BYTES_MAX => {
                self.send_packet(packet, address);
            }
            Ok(_) if node.member(&to).is_some_and(Member::is_reachable) => {
                self.send_on_stream(address, reply);
            }
            Ok(_) => count(&self.counters.0.oversized),
            Err(error) => {
                count(&self.counters.0.unsent);
                tracing::error!(%error, "a message cannot be encrypted");
            }
        }
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Whether the reply to a request is a page of a member list.
const fn wants_page(message: &Message) -> bool {
    matches!(message.body, Body::Join { .. } | Body::Sync(_))
}

/// Sends the first packet that waits, if there is one.
async fn flush(socket: &UdpSocket, first: Option<&(Vec<u8>, SocketAddr)>) -> io::Result<usize> {
    match first {
        Some((packet, to)) => socket.send_to(packet, *to).await,
        None => std::future::pending().await,
    }
}

/// How long a request on a stream may take: longer than the machine waits.
fn reply_timeout(config: &Config) -> Duration {
    let longest = [config.ping_req_timeout(), config.join_timeout(), config.sync_timeout()];
    longest.into_iter().max().unwrap_or_default() + REPLY_MARGIN
}
