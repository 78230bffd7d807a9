//! A cluster in virtual time: one queue of events, one network.
//!
//! The cost of the queue itself is part of what a case measures, for both sides alike: one entry
//! for each packet and for each time that a member wants to be called.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::adapter::{MILLISECOND, Nanos, Observation, PACKET_BYTES_MAX, Peer, Setup, Sink};

/// A packet takes this long, and up to as long again.
const LATENCY: Nanos = MILLISECOND / 2;

/// UDP and IPv4 headers of one packet.
const HEADER_BYTES: u64 = 28;

/// Over how long the starts of members are spread, so that their probes are. A member that is
/// started earlier may probe one that is not: the packet waits for it, and the answer still
/// comes within the probe timeout.
const SPREAD: Nanos = 400 * MILLISECOND;

/// What one member sent or received.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) packets: u64,
    /// With UDP and IP headers.
    pub(crate) bytes: u64,
}

impl Traffic {
    fn add(&mut self, payload: usize) {
        self.packets += 1;
        self.bytes += payload as u64 + HEADER_BYTES;
    }
}

/// A cluster of members of one implementation.
pub(crate) struct Cluster<P> {
    setup: Setup,
    members: Vec<Host<P>>,
    network: Network,
}

/// A member and what the simulation knows about it.
struct Host<P> {
    peer: Option<P>,
    starts: Nanos,
    /// Time of the wake-up that counts; others in the queue are stale.
    armed: Option<Nanos>,
    sent: Traffic,
    received: Traffic,
}

struct Network {
    now: Nanos,
    queue: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    entries: u64,
    /// Packets in flight, and the free places among them.
    packets: Vec<Vec<u8>>,
    free: Vec<u32>,
    rng: SmallRng,
    loss: f64,
    seen: Vec<Seen>,
    largest: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wake { member: u32 },
    Packet { to: u32, packet: u32 },
}

/// An observation, by whom and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Nanos,
    pub(crate) by: usize,
    pub(crate) what: Observation,
}

impl<P: Peer> Cluster<P> {
    fn new(setup: Setup, starts: impl Fn(&mut SmallRng, usize) -> Nanos) -> Self {
        let mut rng = SmallRng::seed_from_u64(setup.seed);
        let host = |starts| Host {
            peer: None,
            starts,
            armed: None,
            sent: Traffic::default(),
            received: Traffic::default(),
        };
        let members = (0..setup.members).map(|index| host(starts(&mut rng, index))).collect();
        let network = Network {
            now: 0,
            queue: BinaryHeap::new(),
            entries: 0,
            packets: Vec::new(),
            free: Vec::new(),
            rng,
            loss: 0.0,
            seen: Vec::new(),
            largest: 0,
        };
        Self { setup, members, network }
    }

    /// A cluster whose members know each other from the start and have spread everything.
    pub(crate) fn warm(setup: Setup) -> Self {
        let mut cluster = Self::new(setup, |rng, _| rng.random_range(0..SPREAD));
        for index in cluster.by_start() {
            cluster.run_until(cluster.members[index].starts);
            let now = cluster.network.now;
            let mut peer = P::new(setup, index, now);
            peer.preload(now);
            cluster.members[index].peer = Some(peer);
            cluster.settle(index);
        }
        // Bounded by the number of times that a change is sent, at two messages a second.
        for _ in 0..120 {
            if cluster.live().all(|(_, peer)| peer.backlog() == 0) {
                break;
            }
            cluster.run_for(1_000 * MILLISECOND);
        }
        cluster
    }

    /// A cluster of which only member 0 runs; the others start within `spread` and join it.
    pub(crate) fn cold(setup: Setup, spread: Nanos) -> Self {
        let mut cluster = Self::new(setup, |rng, index| match index {
            0 => 0,
            _ => rng.random_range(0..spread),
        });
        for index in cluster.by_start() {
            cluster.run_until(cluster.members[index].starts);
            let now = cluster.network.now;
            let mut peer = P::new(setup, index, now);
            peer.join(now, (index > 0).then_some(0));
            cluster.members[index].peer = Some(peer);
            cluster.settle(index);
        }
        cluster
    }

    fn by_start(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|index| self.members[*index].starts);
        order
    }

    pub(crate) const fn now(&self) -> Nanos {
        self.network.now
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = (usize, &P)> {
        let peers = self.members.iter().map(|host| host.peer.as_ref());
        peers.enumerate().filter_map(|(index, peer)| peer.map(|peer| (index, peer)))
    }

    /// Loses this share of all packets from now on.
    pub(crate) const fn lose(&mut self, share: f64) {
        self.network.loss = share;
    }

    /// Ends a member without a word.
    pub(crate) fn kill(&mut self, index: usize) {
        self.members[index].peer = None;
    }

    /// What members noticed since the last call.
    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.network.seen)
    }

    pub(crate) fn sent(&self, index: usize) -> Traffic {
        self.members[index].sent
    }

    pub(crate) fn received(&self, index: usize) -> Traffic {
        self.members[index].received
    }

    /// Traffic that all members sent together.
    pub(crate) fn sent_by_all(&self) -> Traffic {
        let add = |sum: Traffic, host: &Host<P>| Traffic {
            packets: sum.packets + host.sent.packets,
            bytes: sum.bytes + host.sent.bytes,
        };
        self.members.iter().fold(Traffic::default(), add)
    }

    /// Pairs of running members of which one does not know the other.
    pub(crate) fn missing_pairs(&self) -> usize {
        let others = self.setup.members - 1;
        self.live().map(|(_, peer)| others.saturating_sub(peer.known())).sum()
    }

    pub(crate) fn run_for(&mut self, duration: Nanos) {
        self.run_until(self.network.now + duration);
    }

    fn run_until(&mut self, end: Nanos) {
        while let Some(Reverse((at, _, event))) = self.network.queue.peek() {
            let (at, event) = (*at, *event);
            if at > end {
                break;
            }
            self.network.queue.pop();
            self.network.now = at;
            match event {
                Event::Wake { member } => self.wake(member as usize),
                Event::Packet { to, packet } => self.deliver(to as usize, packet),
            }
        }
        self.network.now = end;
    }

    fn wake(&mut self, index: usize) {
        let now = self.network.now;
        let host = &mut self.members[index];
        if host.armed != Some(now) {
            return;
        }
        host.armed = None;
        let Some(peer) = &mut host.peer else { return };
        if peer.next_deadline().is_some_and(|at| at <= now) {
            peer.timeout(now);
        }
        self.settle(index);
    }

    fn deliver(&mut self, to: usize, packet: u32) {
        let now = self.network.now;
        let host = &mut self.members[to];
        if host.starts > now {
            let event = Event::Packet { to: to as u32, packet };
            self.network.at(host.starts + LATENCY, event);
            return;
        }
        let bytes = &self.network.packets[packet as usize];
        if let Some(peer) = &mut host.peer {
            host.received.add(bytes.len());
            peer.receive(now, bytes);
            self.settle(to);
        }
        self.network.free.push(packet);
    }

    /// Carries out what a member wants, and arms its next wake-up.
    fn settle(&mut self, index: usize) {
        let host = &mut self.members[index];
        let Some(peer) = &mut host.peer else { return };
        peer.drain(&mut Outlet { from: index, sent: &mut host.sent, network: &mut self.network });
        let Some(at) = peer.next_deadline() else {
            return;
        };
        let at = at.max(self.network.now);
        if host.armed.is_none_or(|armed| at < armed) {
            host.armed = Some(at);
            let member = index as u32;
            self.network.at(at, Event::Wake { member });
        }
    }
}

impl Network {
    fn at(&mut self, at: Nanos, event: Event) {
        self.entries += 1;
        self.queue.push(Reverse((at, self.entries, event)));
    }
}

/// What one member does to the world.
struct Outlet<'a> {
    from: usize,
    sent: &'a mut Traffic,
    network: &'a mut Network,
}

impl Sink for Outlet<'_> {
    fn send(&mut self, to: usize, bytes: &[u8]) {
        self.sent.add(bytes.len());
        let network = &mut *self.network;
        if bytes.len() > network.largest {
            network.largest = bytes.len();
            assert!(
                bytes.len() <= PACKET_BYTES_MAX,
                "member {} sent {} bytes, which is no packet",
                self.from,
                bytes.len()
            );
        }
        if network.loss > 0.0 && network.rng.random_bool(network.loss) {
            return;
        }
        let delay = LATENCY + network.rng.random_range(0..LATENCY);
        let packet = network.free.pop().unwrap_or_else(|| {
            network.packets.push(Vec::with_capacity(PACKET_BYTES_MAX));
            network.packets.len() as u32 - 1
        });
        let place = &mut network.packets[packet as usize];
        place.clear();
        place.extend_from_slice(bytes);
        let to = to as u32;
        network.at(network.now + delay, Event::Packet { to, packet });
    }

    fn observe(&mut self, what: Observation) {
        let (at, by) = (self.network.now, self.from);
        self.network.seen.push(Seen { at, by, what });
    }
}
