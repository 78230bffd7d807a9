//! A membership agent over UDP: a datagram is a message, and nothing else is
//! needed. Copy it to put the machine on a transport of your own.
//!
//! In three terminals:
//!
//! ```sh
//! cargo run -p swim-core --features wire --example udp_agent -- --listen 127.0.0.1:9001
//! cargo run -p swim-core --features wire --example udp_agent -- --listen 127.0.0.1:9002 --join 127.0.0.1:9001
//! cargo run -p swim-core --features wire --example udp_agent -- --listen 127.0.0.1:9003 --join 127.0.0.1:9001
//! ```
//!
//! Then kill one (`kill -9`) and watch the others, or stop one with ctrl-c, and
//! it leaves.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use clap::Parser;
use hex::FromHex;
use swim_core::{
    Address, Config, Event, Init, Instant, LabelLimits, Labels, Member, Node, Output, State,
    Transmit, wire,
};
use tokio::net::UdpSocket;
use tokio::time::{Instant as Clock, sleep, sleep_until};

/// Largest packet, so that none is fragmented: an Ethernet frame of 1,500 bytes
/// less the headers of IPv6 and UDP, with room left for a tunnel.
const PACKET_BYTES_MAX: usize = 1400;

/// Room for everything in a packet but changes: the seal takes 40 bytes, the
/// application name at most 131, and addresses, numbers and a list of up to 128
/// buckets at most 300 (these addresses are of the form IP:port, 58 bytes or
/// less).
const HEADER_BYTES_MAX: usize = 512;

/// Room for the changes in a packet.
const CHANGES_BYTES_MAX: usize = PACKET_BYTES_MAX - HEADER_BYTES_MAX;

/// The labels of a member fit a packet: five times 135 bytes, and 150 for the
/// rest of a change.
const LABEL_LIMITS: LabelLimits = LabelLimits { count: 5, key_bytes: 32, value_bytes: 96 };

/// A membership agent over UDP.
#[derive(Parser)]
#[command(name = "udp_agent")]
struct Args {
    /// Address to listen on, IP:PORT; port 0 takes a free one.
    #[arg(long)]
    listen: SocketAddr,
    /// Address at which the others reach this agent, when it is another one.
    #[arg(long)]
    advertise: Option<SocketAddr>,
    /// Agents to join, separated by commas; without any it is the first.
    #[arg(long, value_delimiter = ',')]
    join: Vec<SocketAddr>,
    /// Key that all agents share, 64 hexadecimal digits. Prefer the variable: arguments are
    /// visible to everybody on the machine.
    #[arg(long, env = "UDP_AGENT_KEY", hide_env_values = true, value_parser = parse_key)]
    key: Option<[u8; 32]>,
    /// Name of the application: agents of different names never mix.
    #[arg(long, default_value = "udp-agent")]
    app: String,
    /// Leave after this time, for example 10s.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
}

fn parse_key(text: &str) -> Result<[u8; 32], String> {
    <[u8; 32]>::from_hex(text).map_err(|error| format!("a key is 64 hexadecimal digits: {error}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let stop = stop_requested(args.duration);
    Agent::start(args).await?.run(stop).await
}

/// Waits for ctrl-c or the end of the given time.
async fn stop_requested(duration: Option<Duration>) -> Result<()> {
    let time_is_over = sleep(duration.unwrap_or_default());
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("cannot wait for ctrl-c"),
        () = time_is_over, if duration.is_some() => Ok(()),
    }
}

struct Agent {
    node: Node,
    /// Where to look for other partitions.
    peers: Vec<Address>,
    socket: UdpSocket,
    seal: Seal,
    /// The time that the machine calls zero.
    start: Clock,
    packets: Packets,
}

/// What was done with packets.
#[derive(Debug, Default)]
struct Packets {
    sent: u64,
    received: u64,
    largest_bytes: usize,
    /// Not sent, for whatever reason.
    unsent: u64,
    /// Not sent, because they would exceed the budget.
    oversized: u64,
    /// Received, but no message: another key, another application, or noise.
    malformed: u64,
}

impl Agent {
    async fn start(args: Args) -> Result<Self> {
        let socket = UdpSocket::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        let local = args.advertise.map_or_else(|| socket.local_addr(), Ok)?;
        ensure!(
            !local.ip().is_unspecified(),
            "others cannot reach {local}; say where they can with --advertise IP:PORT"
        );
        if args.key.is_none() && !local.ip().is_loopback() {
            eprintln!("warning: without --key, whoever reaches {local} can rewrite the membership");
        }
        let config = Config::lan().to_builder();
        let config = config.message_bytes_max(CHANGES_BYTES_MAX).label_limits(LABEL_LIMITS);
        let init = Init {
            app: args.app.as_str().into(),
            address: local.to_string().parse()?,
            identity: None,
            labels: Labels::default(),
            seed: getrandom::u64().context("the system has no random numbers")?,
            now: Instant::ZERO,
            unix_ms: SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64,
        };
        let mut node = Node::new(config.late_acks(true).build()?, init)?;
        let peers = args.join.iter().map(|peer| peer.to_string().parse());
        let peers = peers.collect::<Result<Vec<Address>, _>>()?;
        node.join(Instant::ZERO, peers.clone())?;
        println!("listening on {local}");
        Ok(Self {
            node,
            peers,
            socket,
            seal: Seal::new(args.key, args.app),
            start: Clock::now(),
            packets: Packets::default(),
        })
    }

    /// The driving loop: do what is due, carry out what follows, wait for one
    /// input. It ends when this member has left.
    async fn run(mut self, stop: impl Future<Output = Result<()>>) -> Result<()> {
        // Others may have another budget; no datagram is longer than this.
        let mut packet = vec![0; 1 << 16];
        let mut stop = std::pin::pin!(stop);
        loop {
            self.node.handle_timeout(self.now());
            while let Some(output) = self.node.poll_output() {
                match output {
                    Output::Transmit(transmit) => self.send(transmit).await?,
                    Output::Event(Event::HealWanted) => {
                        // Refused when it is leaving, which is all right.
                        let _ = self.node.discovered(self.now(), self.peers.clone());
                    }
                    Output::Event(event) => self.report(&event)?,
                }
            }
            if self.node.state() == State::Left {
                println!("left; {:?}", self.packets);
                return Ok(());
            }
            let due = self.node.poll_timeout().map(|at| self.start + at.since_start());
            tokio::select! {
                received = self.socket.recv_from(&mut packet) => match received {
                    Ok((bytes, _)) => self.receive(&packet[..bytes]),
                    // Windows reports here that nobody took an earlier packet.
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
                    Err(error) => return Err(error).context("cannot receive"),
                },
                () = sleep_until(due.unwrap_or(self.start)), if due.is_some() => {}
                stopped = &mut stop, if self.node.state() != State::Leaving => {
                    stopped?;
                    self.node.leave(self.now()).context("stopped too early")?;
                }
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    fn receive(&mut self, packet: &[u8]) {
        let now = self.now();
        self.packets.received += 1;
        let taken = match self.seal.open(packet) {
            Some(message) => self.node.handle_packet(now, &message).is_ok(),
            None => {
                self.node.handle_malformed(now, 1);
                false
            }
        };
        self.packets.malformed += u64::from(!taken);
    }

    async fn send(&mut self, Transmit { to, message, .. }: Transmit) -> Result<()> {
        let packet = self.seal.close(&wire::encode(&message))?;
        let sent = if packet.len() > PACKET_BYTES_MAX {
            self.packets.oversized += 1;
            false
        } else if let Ok(to) = to.as_str().parse::<SocketAddr>() {
            self.socket.send_to(&packet, to).await.is_ok()
        } else {
            // A member said that this is the address of another one.
            false
        };
        if sent {
            self.packets.sent += 1;
            self.packets.largest_bytes = self.packets.largest_bytes.max(packet.len());
        } else {
            self.packets.unsent += 1;
            // Only for requests: the number of a reply is its receiver's.
            if !message.is_reply() {
                self.node.handle_undelivered(self.now(), message.seq);
            }
        }
        Ok(())
    }

    /// Prints one line for each event.
    fn report(&self, event: &Event) -> Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        match event {
            Event::MemberChanged { before, after, cause, .. } => {
                let [old, new] = [before, after].map(Option::as_ref);
                let status =
                    |member: Option<&Member>| member.map_or("unknown", |m| m.status.as_str());
                let address = new.or(old).map_or("", |member| member.address.as_str());
                println!("{seconds:9.3} {address} {} -> {} ({cause:?})", status(old), status(new));
            }
            Event::JoinFailed { failure, .. } => bail!("cannot join: {failure}"),
            event => println!("{seconds:9.3} {event:?}"),
        }
        Ok(())
    }
}

/// Encrypts and authenticates packets with the shared key; without a key they
/// stay as they are.
///
/// A packet is nonce, ciphertext, tag. The nonce of XChaCha20 is long enough to
/// be drawn at random for every packet, so that no counter must survive a
/// restart. The application name is authenticated along with it: two clusters
/// that share a key cannot read each other.
///
/// Packets may be replayed, and no window of seen nonces is kept, because the
/// machine loses nothing by it: a statement about a member is superseded by any
/// newer one, a reply counts once, for the request that is open, and a request
/// costs one answer.
struct Seal {
    cipher: Option<XChaCha20Poly1305>,
    app: String,
}

const NONCE_BYTES: usize = 24;

impl Seal {
    fn new(key: Option<[u8; 32]>, app: String) -> Self {
        let cipher = key.map(|key| XChaCha20Poly1305::new(&key.into()));
        Self { cipher, app }
    }

    fn close(&self, message: &[u8]) -> Result<Vec<u8>> {
        let Some(cipher) = &self.cipher else {
            return Ok(message.into());
        };
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).context("the system has no random numbers")?;
        let payload = Payload { msg: message, aad: self.app.as_bytes() };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// `None` when the packet was not sealed with this key for this application.
    fn open(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let Some(cipher) = &self.cipher else {
            return Some(packet.into());
        };
        let (nonce, sealed) = packet.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: self.app.as_bytes() };
        cipher.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}
