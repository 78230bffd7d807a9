//! The face that a membership implementation shows to the simulator.
//!
//! [`Swim`](crate::Swim) is `swim-core` behind it. Another implementation that
//! wants to be compared under the same network and faults implements it, too.

use std::fmt;
use std::sync::Arc;

use swim_core::{Address, Config};

use crate::time::Nanos;

/// A place in the network where one process at a time may run. It stands for
/// an address.
pub type HostId = u32;

/// The addresses of all hosts and the names of applications, made once and
/// shared by all machines.
#[derive(Debug)]
pub struct Names {
    addresses: Vec<Address>,
    apps: [Arc<str>; 2],
}

/// Applications in the network: ours, and that of strangers.
const APPS: [&str; 2] = ["sim", "another"];

impl Names {
    /// Names for this many hosts.
    ///
    /// # Panics
    ///
    /// When there are more than 2^24.
    #[must_use]
    pub fn new(hosts: u32) -> Arc<Self> {
        assert!(hosts <= 1 << 24, "addresses have three octets for the host");
        let name = |host: u32| {
            let [_, b, c, d] = host.to_be_bytes();
            Address::new(&format!("10.{b}.{c}.{d}:7946")).expect("the text is an address")
        };
        Arc::new(Self { addresses: (0..hosts).map(name).collect(), apps: APPS.map(Arc::from) })
    }

    /// The application of a process.
    #[must_use]
    pub fn app(&self, stranger: bool) -> Arc<str> {
        self.apps[usize::from(stranger)].clone()
    }

    /// The address of a host.
    ///
    /// # Panics
    ///
    /// When there is no such host.
    #[must_use]
    pub fn address(&self, host: HostId) -> &Address {
        &self.addresses[host as usize]
    }

    /// The host with this address; `None` when there is none, as for addresses
    /// that were corrupted on their way.
    #[must_use]
    pub fn host(&self, address: &Address) -> Option<HostId> {
        let digits = address.as_str().strip_prefix("10.")?;
        let (mut host, mut octet) = (0u32, 0u32);
        for byte in digits.bytes() {
            match byte {
                b'0'..=b'9' => octet = octet * 10 + u32::from(byte - b'0'),
                b'.' => {
                    host = host << 8 | octet & 0xff;
                    octet = 0;
                }
                _ => break,
            }
        }
        host = host << 8 | octet & 0xff;
        let name = self.addresses.get(host as usize)?;
        (name == address).then_some(host)
    }

    /// Number of hosts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is no host.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

/// What a process is started with.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Where it runs.
    pub host: HostId,
    /// All hosts.
    pub names: Arc<Names>,
    /// Settings. Implementations with other settings take what corresponds.
    pub config: Arc<Config>,
    /// Size of cluster that the settings are for, where an implementation wants
    /// to know.
    pub cluster_size: u32,
    /// Whether it belongs to another application.
    pub stranger: bool,
    /// Version of its labels; 0 for none.
    pub labels: u32,
    /// Seed of its random choices.
    pub seed: u64,
    /// Local time.
    pub now: Nanos,
    /// Wall clock in milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

/// One effect of an input.
#[derive(Debug)]
pub enum Effect<P, E> {
    /// Send a packet; to nobody when the address belongs to no host.
    Send {
        /// The receiver.
        to: Option<HostId>,
        /// The packet.
        packet: P,
    },
    /// Something happened.
    Event(E),
}

/// What a machine asks its driver for: peers from discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// To join them.
    Join,
    /// To look for other partitions among them.
    Heal,
}

/// What a member believes about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Belief {
    /// It is well.
    Alive,
    /// It may have failed.
    Suspect,
    /// It has failed.
    Faulty,
    /// It left on its own accord.
    Left,
    /// It is forgotten.
    Gone,
}

/// That a member now believes something about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Whom it is about.
    pub subject: HostId,
    /// The believed status.
    pub belief: Belief,
    /// Which version of the subject it is about.
    pub version: u64,
}

/// Kinds of messages, for filters and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the protocol")]
pub enum Kind {
    Ping,
    Ack,
    PingReq,
    PingReqAck,
    Join,
    JoinAck,
    Sync,
    SyncAck,
    Refused,
    Gossip,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Ping,
        Self::Ack,
        Self::PingReq,
        Self::PingReqAck,
        Self::Join,
        Self::JoinAck,
        Self::Sync,
        Self::SyncAck,
        Self::Refused,
        Self::Gossip,
    ];
}

/// A set of kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// Every kind.
    pub const ALL: Self = Self(u16::MAX);

    /// Just these kinds.
    #[must_use]
    pub fn of(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |set, kind| set | 1 << *kind as u8))
    }

    /// Whether a kind is in the set.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// A command of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Join these hosts.
    Join(Vec<HostId>),
    /// Take note of what discovery lists.
    Discovered(Vec<HostId>),
    /// Leave the cluster.
    Leave,
    /// Declare itself faulty and go.
    EvictSelf,
    /// Take new labels, by their version.
    SetLabels(u32),
    /// Forget members that are gone.
    ReapFaulty,
    /// The prober is stuck in a send from now on: it begins one more probe at
    /// most, and probes that nobody answers do not end.
    HoldProbes,
    /// The prober goes on: probes that took too long fail, and the next begins.
    ReleaseProbes,
}

/// A membership implementation without I/O.
pub trait Machine: Sized {
    /// Its name, for reports.
    const NAME: &'static str;
    /// What it sends: a value where the implementation has one, bytes otherwise.
    type Packet: Clone + fmt::Debug;
    /// What it reports.
    type Event: fmt::Debug;

    /// Makes a process. It does nothing yet.
    fn new(boot: Boot) -> Self;

    /// Makes it know hosts `0..members` at once, as after a long time together,
    /// and begin to probe. All of them were started with the same wall clock.
    fn preload(&mut self, now: Nanos, members: u32);

    /// Runs a command. One that does not fit the state of the machine does
    /// nothing.
    fn command(&mut self, now: Nanos, command: Command);

    /// Takes a packet.
    fn receive(&mut self, now: Nanos, packet: Self::Packet);

    /// Takes a packet as bytes, which may be corrupted.
    fn receive_bytes(&mut self, now: Nanos, bytes: &[u8]);

    /// Learns that a packet of its own could not be delivered.
    fn undelivered(&mut self, now: Nanos, packet: &Self::Packet);

    /// Runs due timers.
    fn timeout(&mut self, now: Nanos);

    /// When it wants [`timeout`](Self::timeout).
    fn deadline(&self) -> Option<Nanos>;

    /// The next effect.
    fn poll(&mut self) -> Option<Effect<Self::Packet, Self::Event>>;

    /// What an event says about a member.
    fn observation(&self, event: &Self::Event) -> Option<Observation>;

    /// The version of itself that it spreads: greater than that of any process
    /// that ran on its host before.
    fn version(&self) -> u64;

    /// What an event asks the driver for.
    fn want(event: &Self::Event) -> Option<Want>;

    /// The sender of a packet.
    fn sender(packet: &Self::Packet, names: &Names) -> Option<HostId>;

    /// Kind of a packet.
    fn kind(packet: &Self::Packet) -> Kind;

    /// Bytes of a packet on the wire, without headers of the transport.
    fn bytes(packet: &Self::Packet) -> usize;

    /// Appends the encoding of a packet.
    fn encode(packet: &Self::Packet, bytes: &mut Vec<u8>);

    /// What it believes about a host; `None` when it never heard of it.
    fn belief(&self, host: HostId) -> Option<Belief>;

    /// Whether it takes part: it has joined and has not left.
    fn is_member(&self) -> bool;

    /// Members that it takes for reachable, itself included.
    fn reachable(&self) -> usize;

    /// Equal for equal views.
    fn fingerprint(&self) -> u64;

    /// Changes that it still has to spread.
    fn backlog(&self) -> usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hosts_are_inverse_to_each_other() {
        let names = Names::new(70_000);
        for host in [0, 1, 255, 256, 65_535, 69_999] {
            assert_eq!(names.host(names.address(host)), Some(host));
        }
        for text in ["10.1.17.112:7946", "10.0.0.1:7947", "10.00.0.1:7946", "x", "10.", "10.0.0.1"]
        {
            assert_eq!(names.host(&text.parse().unwrap()), None, "{text}");
        }
    }
}
