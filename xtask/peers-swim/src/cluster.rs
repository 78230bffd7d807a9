//! A cluster of members of one implementation, in the world of the simulator.
//!
//! The cost of its queue is part of what a case measures, for both sides alike.

use peers_swim::{Notice, PACKET_BYTES_MAX, Peer, Setup};
use swim_sim::{
    Fate, HostId, Latency, MILLISECOND, Nanos, Rng, SECOND, Start, Traffic, Watcher, World,
};

/// A packet takes this long, and up to as long again.
const LATENCY: Nanos = MILLISECOND / 2;

/// The clocks of members differ by less than this, in milliseconds, as with NTP.
const CLOCKS_OFF_MS: u64 = 20;

/// Periods after which a cluster has spread everything: bounded by the number of times that a
/// change is sent, at two messages a second.
const PERIODS_UNTIL_SPREAD: u32 = 120;

/// What members noticed, by whom and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Nanos,
    pub(crate) by: HostId,
    pub(crate) what: Notice,
}

/// Keeps what members notice.
#[derive(Debug, Default)]
pub(crate) struct Notices(Vec<Seen>);

impl<P: Peer> Watcher<P> for Notices {
    fn event(&mut self, at: Nanos, by: HostId, event: &P::Event, machine: &P) {
        self.0.extend(machine.notice(event).map(|what| Seen { at, by, what }));
    }

    fn sent(&mut self, _: Nanos, from: HostId, _: Option<HostId>, _: &P::Packet, fate: Fate) {
        assert!(fate != Fate::TooLarge, "member {from} sent more than a packet holds");
    }
}

/// A cluster of members of one implementation.
pub(crate) struct Cluster<P: Peer> {
    pub(crate) world: World<P, Notices>,
    members: u32,
}

impl<P: Peer> Cluster<P> {
    fn new(setup: &Setup) -> Self {
        let (hosts, seed) = (setup.members(), setup.seed);
        let world = swim_sim::Setup { hosts, config: setup.config().clone(), seed };
        let mut world = World::new(world, Notices::default());
        world.network.latency = Latency::Uniform { min: LATENCY, max: 2 * LATENCY };
        world.network.mtu = Some(PACKET_BYTES_MAX);
        world.counts_bytes = true;
        world.encodes = !P::PACKETS_ARE_BYTES;
        let mut rng = Rng::stream(seed, "clocks");
        for host in 0..hosts {
            let ahead_ms = rng.below(CLOCKS_OFF_MS);
            world.leap_clock(host, ahead_ms * MILLISECOND);
            // All take the same time for their first incarnation.
            world.set_wall_clock(host, -(ahead_ms as i64));
        }
        Self { world, members: hosts }
    }

    /// A cluster whose members know each other from the start and have spread everything.
    pub(crate) fn warm(setup: &Setup) -> Self {
        let mut cluster = Self::new(setup);
        cluster.world.warm(cluster.members);
        for _ in 0..PERIODS_UNTIL_SPREAD {
            if cluster.world.running().all(|(_, peer)| peer.backlog() == 0) {
                break;
            }
            cluster.world.run_for(SECOND);
        }
        cluster
    }

    /// A cluster of which only member 0 runs; the others start within `spread` and join it.
    pub(crate) fn cold(setup: &Setup, spread: Nanos) -> Self {
        let mut cluster = Self::new(setup);
        let mut rng = Rng::stream(setup.seed, "starts");
        let mut starts: Vec<(Nanos, HostId)> =
            (1..cluster.members).map(|host| (rng.below(spread), host)).collect();
        starts.sort_unstable();
        cluster.start(0, Vec::new());
        for (at, host) in starts {
            cluster.world.run_until(at);
            cluster.start(host, vec![0]);
        }
        cluster
    }

    fn start(&mut self, host: HostId, peers: Vec<HostId>) {
        self.world.start(host, Start { peers: Some(peers), ..Start::default() });
    }

    /// Stops to count bytes, and to check that no packet is too large: the time that this takes is
    /// not the members'.
    pub(crate) const fn count_nothing(&mut self) {
        self.world.counts_bytes = false;
        self.world.network.mtu = None;
    }

    /// What members noticed since the last call.
    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.world.watcher.0)
    }

    /// Traffic that all members sent together.
    pub(crate) fn sent_by_all(&self) -> Traffic {
        let sent = (0..self.members).map(|host| self.world.traffic(host).0);
        sent.fold(Traffic::default(), |sum, sent| Traffic {
            packets: sum.packets + sent.packets,
            bytes: sum.bytes + sent.bytes,
        })
    }

    /// Pairs of running members of which one does not know the other.
    pub(crate) fn missing_pairs(&self) -> usize {
        let all = self.members as usize;
        self.world.running().map(|(_, peer)| all.saturating_sub(peer.reachable())).sum()
    }
}
