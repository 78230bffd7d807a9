//! What a case needs of a member beyond what the simulator does: pings and changes to feed to one
//! member alone, and the mistakes that it notices. A case is written once and runs on both.

use std::sync::Arc;
use std::time::Duration;

use swim_core::Config;
use swim_sim::{Boot, HostId, Machine, Names, UNIX_MS_AT_START};

/// Largest packet that a member may send, in bytes of UDP payload: what fits an Ethernet frame,
/// and what foca and memberlist use, too.
pub const PACKET_BYTES_MAX: usize = 1_400;

/// Time between two probes of a member: foca's cadence.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// How long a probed member may take before others are asked to ping it.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// How much longer than the target itself a helper may take: several round trips.
const HELPER_MARGIN: Duration = Duration::from_millis(20);

/// How long a suspect member has at least to refute, among `n` members: this, times `log10(n)`,
/// which is the rule of foca and memberlist. Both get the same, to be compared at one latency.
const SUSPICION: Duration = Duration::from_secs(4);

/// Bytes of a packet that are not changes: header, cursor and the list of differing buckets.
const HEADER_BYTES_MAX: usize = 220;

/// A cluster: its hosts, its settings, and the seed of all random choices in it.
#[derive(Clone, Debug)]
pub struct Setup {
    names: Arc<Names>,
    config: Arc<Config>,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Setup {
    /// A cluster of this many members.
    #[must_use]
    pub fn new(members: u32, seed: u64) -> Self {
        Self { names: Names::new(members), config: Arc::new(config()), seed }
    }

    /// Number of members.
    #[must_use]
    pub fn members(&self) -> u32 {
        self.names.len() as u32
    }

    /// The settings, which all members share.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Makes member 0, which does nothing yet.
    fn boot<P: Peer>(&self) -> P {
        P::new(Boot {
            host: 0,
            names: self.names.clone(),
            config: self.config.clone(),
            cluster_size: self.members(),
            stranger: false,
            labels: 0,
            seed: self.seed,
            now: 0,
            unix_ms: UNIX_MS_AT_START,
        })
    }
}

fn config() -> Config {
    Config::lan()
        .to_builder()
        .protocol_period(PROBE_PERIOD)
        .ping_timeout(PROBE_TIMEOUT)
        .ping_req_timeout(PROBE_TIMEOUT + HELPER_MARGIN)
        .suspect_timeout(SUSPICION)
        .late_acks(true)
        .message_bytes_max(PACKET_BYTES_MAX - HEADER_BYTES_MAX)
        .build()
        .expect("every value is in its range")
}

/// A change about a member, by how much newer it is than what members know from the start:
/// 0 is what everybody knows already.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Whom it is about.
    pub subject: HostId,
    /// How much newer it is.
    pub age: u16,
}

/// Something that a member noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It takes this member for failed from now on.
    Faulty(HostId),
    /// It contradicted a suspicion of itself.
    Refuted,
    /// It took a new incarnation or identity although nobody had suspected it.
    Renewed,
}

/// A member of a cluster that a case looks at.
pub trait Peer: Machine {
    /// Whether its packets are bytes as it makes them.
    const PACKETS_ARE_BYTES: bool;

    /// Changes in the form in which the implementation takes them, without any encoding.
    type Batch;

    /// What an event means for the cases.
    fn notice(&self, event: &Self::Event) -> Option<Notice>;

    /// A ping that another member could send it now.
    fn ping(&self, from: HostId, updates: &[Update]) -> Vec<u8>;

    /// Changes for [`apply`](Self::apply).
    fn batch(&self, updates: &[Update]) -> Self::Batch;

    /// Weighs changes of other members, and spreads those that are news.
    fn apply(&mut self, batch: Self::Batch);

    /// Encodes the packets that it wants to send, one after the other, and drops all effects.
    fn discard(&mut self, packet: &mut Vec<u8>);
}

/// A member that knows all others and has nothing left to spread.
///
/// # Panics
///
/// When the cluster has one member only.
#[must_use]
pub fn settled<P: Peer>(setup: &Setup) -> P {
    let mut peer: P = setup.boot();
    peer.preload(0, setup.members());
    while peer.poll().is_some() {}
    let mut packet = Vec::new();
    let mut pings = (1..setup.members()).cycle();
    while peer.backlog() > 0 {
        let from = pings.next().expect("a cluster has several members");
        let ping = peer.ping(from, &[]);
        peer.receive_bytes(0, &ping);
        peer.discard(&mut packet);
    }
    peer
}
