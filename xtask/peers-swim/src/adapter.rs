//! One face for both implementations: bytes and virtual time in, bytes and observations out.
//!
//! Everything that a case needs of a member goes through [`Peer`], so that a case is written once
//! and runs on both. Members are known by their index in the cluster; an adapter translates it to
//! the address that its implementation wants.

mod foca;
mod ours;

pub(crate) use self::foca::Foca;
pub(crate) use self::ours::Ours;

/// Nanoseconds of virtual time.
pub(crate) type Nanos = u64;

/// A millisecond of virtual time.
pub(crate) const MILLISECOND: Nanos = 1_000_000;
/// A second of virtual time.
pub(crate) const SECOND: Nanos = 1_000 * MILLISECOND;

/// Largest packet that a member may send, in bytes of UDP payload: what fits an Ethernet frame,
/// and what foca and memberlist use, too.
pub(crate) const PACKET_BYTES_MAX: usize = 1_400;

/// Time between two probes of a member: foca's cadence.
const PROBE_PERIOD: Nanos = SECOND;
/// How long a probed member may take before others are asked to ping it.
const PROBE_TIMEOUT: Nanos = 500 * MILLISECOND;
/// How long a suspect member has at least to refute, among `n` members: this, times `log10(n)`,
/// which is the rule of foca and memberlist. Both get the same, to be compared at one latency.
const SUSPICION: Nanos = 4 * PROBE_PERIOD;

/// A cluster: how many members it has, and the seed of all random choices in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) members: usize,
    pub(crate) seed: u64,
}

impl Setup {
    /// Seed of one member.
    fn seed_of(self, index: usize) -> u64 {
        self.seed.wrapping_mul(1_000_003).wrapping_add(index as u64 + 1)
    }
}

/// A statement about a member, by how much newer it is than what members know from the start:
/// 0 is what everybody knows already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    pub(crate) subject: usize,
    pub(crate) age: u16,
}

/// Something that a member noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// It takes this member for failed from now on.
    Faulty(usize),
    /// It contradicted a suspicion of itself.
    Refuted,
    /// It took a new incarnation or identity although nobody had suspected it.
    Renewed,
}

/// Where the effects of a member go.
pub(crate) trait Sink {
    fn send(&mut self, to: usize, bytes: &[u8]);
    fn observe(&mut self, observation: Observation);
}

/// A member of a cluster.
pub(crate) trait Peer: Sized {
    const NAME: &'static str;

    /// Statements in the form in which the implementation takes them, without any encoding.
    type Batch;

    /// Makes the member. It does nothing yet.
    fn new(setup: Setup, index: usize, now: Nanos) -> Self;

    /// Makes it know all members at once, as after a long time together, and begin to probe.
    fn preload(&mut self, now: Nanos);

    /// Makes it join through another member, or begin a cluster.
    fn join(&mut self, now: Nanos, via: Option<usize>);

    /// Gives it a packet.
    fn receive(&mut self, now: Nanos, bytes: &[u8]);

    /// Gives it the time, when [`next_deadline`](Self::next_deadline) asked for it.
    fn timeout(&mut self, now: Nanos);

    /// When it wants to be called.
    fn next_deadline(&self) -> Option<Nanos>;

    /// Carries out what it wants done. To be called after every other call.
    fn drain(&mut self, sink: &mut impl Sink);

    /// Number of other members that it takes for alive.
    fn known(&self) -> usize;

    /// Number of statements that it still has to spread.
    fn backlog(&self) -> usize;

    /// A ping that another member could send it now.
    fn ping(&self, from: usize, updates: &[Update]) -> Vec<u8>;

    /// Statements for [`apply`](Self::apply).
    fn batch(&self, updates: &[Update]) -> Self::Batch;

    /// Weighs statements of other members, and spreads those that are news.
    fn apply(&mut self, now: Nanos, batch: Self::Batch);
}

/// A sink that keeps nothing, for cases that look at one member alone.
pub(crate) struct Discard;

impl Sink for Discard {
    fn send(&mut self, to: usize, bytes: &[u8]) {
        std::hint::black_box((to, bytes));
    }

    fn observe(&mut self, observation: Observation) {
        std::hint::black_box(observation);
    }
}

/// A member that knows all others and has nothing left to spread.
pub(crate) fn settled<P: Peer>(setup: Setup) -> P {
    let mut peer = P::new(setup, 0, 0);
    peer.preload(0);
    peer.drain(&mut Discard);
    let mut pings = (1..setup.members).cycle();
    while peer.backlog() > 0 {
        let from = pings.next().expect("a cluster has several members");
        let ping = peer.ping(from, &[]);
        peer.receive(0, &ping);
        peer.drain(&mut Discard);
    }
    peer
}
