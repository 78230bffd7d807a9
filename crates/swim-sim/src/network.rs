//! What happens to a packet on its way.

use crate::machine::{HostId, Kind, Kinds};
use crate::rng::{Chance, Rng};
use crate::time::{MILLISECOND, Nanos};

/// How long packets take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// All the same.
    Fixed(Nanos),
    /// Evenly between two bounds.
    Uniform {
        /// Shortest.
        min: Nanos,
        /// Longest.
        max: Nanos,
    },
    /// A shortest time and an exponential tail.
    Exponential {
        /// Shortest.
        min: Nanos,
        /// Mean of what comes on top.
        mean: Nanos,
    },
}

impl Latency {
    /// One switch of a data centre between the hosts, and some queueing.
    pub const LAN: Self = Self::Uniform { min: MILLISECOND / 4, max: MILLISECOND };

    fn draw(self, rng: &mut Rng) -> Nanos {
        match self {
            Self::Fixed(latency) => latency,
            Self::Uniform { min, max } => rng.within(min, max),
            // The logarithm of a portable library: the one of the platform may
            // differ in its last bit.
            Self::Exponential { min, mean } => {
                min + (-libm::log(rng.unit()) * mean as f64) as Nanos
            }
        }
    }
}

/// A set of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Every host.
    All,
    /// These hosts, as a mark for each.
    Marked(Vec<bool>),
}

impl Hosts {
    /// Just these hosts.
    #[must_use]
    pub fn of(hosts: &[HostId]) -> Self {
        let len = hosts.iter().max().map_or(0, |last| *last as usize + 1);
        let mut marks = vec![false; len];
        for host in hosts {
            marks[*host as usize] = true;
        }
        Self::Marked(marks)
    }

    /// Whether a host is in the set.
    #[must_use]
    pub fn contains(&self, host: HostId) -> bool {
        match self {
            Self::All => true,
            Self::Marked(marks) => marks.get(host as usize).copied().unwrap_or(false),
        }
    }
}

/// What happens to packets from some hosts to some others. A partition is a
/// pair of rules that lose everything; an asymmetric fault is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Senders.
    pub from: Hosts,
    /// Receivers.
    pub to: Hosts,
    /// Kinds of messages.
    pub kinds: Kinds,
    /// How many are lost.
    pub loss: Chance,
    /// By how much they are late.
    pub delay: Nanos,
}

impl Rule {
    /// Nothing from these hosts reaches those.
    #[must_use]
    pub const fn cut(from: Hosts, to: Hosts) -> Self {
        Self { from, to, kinds: Kinds::ALL, loss: Chance::ALWAYS, delay: 0 }
    }

    fn applies(&self, from: HostId, to: HostId, kind: Kind) -> bool {
        self.kinds.contains(kind) && self.from.contains(from) && self.to.contains(to)
    }
}

/// A rule that is in force; give it back to [`Network::lift`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

/// The network between the hosts. Its fields may be changed at any time.
#[derive(Debug)]
pub struct Network {
    /// How long packets take.
    pub latency: Latency,
    /// Packets that are lost, on each way.
    pub loss: Chance,
    /// Packets that arrive twice.
    pub duplication: Chance,
    /// Packets that are overtaken by later ones.
    pub reordering: Chance,
    /// By how much at most an overtaken packet is late.
    pub reordering_delay: Nanos,
    /// Packets whose bytes are damaged.
    pub corruption: Chance,
    /// Largest packet that gets through, in bytes without headers.
    pub mtu: Option<usize>,
    /// Whether the sender of a request learns that nobody listens there, as
    /// over TCP. Over UDP it does not.
    pub refuses: bool,
    rules: Vec<(RuleId, Rule)>,
    rules_made: u64,
    latencies: Rng,
    losses: Rng,
    duplicates: Rng,
    reorders: Rng,
    corruptions: Rng,
}

/// A packet that will arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) delay: Nanos,
    pub(crate) corrupt: bool,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            latency: Latency::LAN,
            loss: Chance::NEVER,
            duplication: Chance::NEVER,
            reordering: Chance::NEVER,
            reordering_delay: 0,
            corruption: Chance::NEVER,
            mtu: None,
            refuses: false,
            rules: Vec::new(),
            rules_made: 0,
            latencies: Rng::stream(seed, "latency"),
            losses: Rng::stream(seed, "loss"),
            duplicates: Rng::stream(seed, "duplication"),
            reorders: Rng::stream(seed, "reordering"),
            corruptions: Rng::stream(seed, "corruption"),
        }
    }

    /// Puts a rule into force.
    pub fn add(&mut self, rule: Rule) -> RuleId {
        self.rules_made += 1;
        let id = RuleId(self.rules_made);
        self.rules.push((id, rule));
        id
    }

    /// Ends a rule; one that has ended is nothing.
    pub fn lift(&mut self, id: RuleId) {
        self.rules.retain(|(other, _)| *other != id);
    }

    /// From now on everything arrives, once, in time and intact.
    pub fn calm(&mut self) {
        self.rules.clear();
        self.loss = Chance::NEVER;
        self.duplication = Chance::NEVER;
        self.reordering = Chance::NEVER;
        self.corruption = Chance::NEVER;
    }

    /// Whether every packet is let through and none is looked at.
    const fn is_plain(&self) -> bool {
        !self.loss.is_possible()
            && !self.duplication.is_possible()
            && !self.reordering.is_possible()
            && !self.corruption.is_possible()
            && self.rules.is_empty()
    }

    /// When a packet arrives, if at all, and its duplicate.
    #[inline]
    pub(crate) fn route(
        &mut self,
        from: HostId,
        to: HostId,
        kind: impl FnOnce() -> Kind,
    ) -> [Option<Arrival>; 2] {
        let delay = self.latency.draw(&mut self.latencies);
        if self.is_plain() {
            return [Some(Arrival { delay, corrupt: false }), None];
        }
        self.route_through_faults(from, to, kind(), delay)
    }

    fn route_through_faults(
        &mut self,
        from: HostId,
        to: HostId,
        kind: Kind,
        delay: Nanos,
    ) -> [Option<Arrival>; 2] {
        let mut delay = delay;
        for (_, rule) in &self.rules {
            if rule.applies(from, to, kind) {
                if self.losses.happens(rule.loss) {
                    return [None, None];
                }
                delay += rule.delay;
            }
        }
        if self.loss.is_possible() && self.losses.happens(self.loss) {
            return [None, None];
        }
        let twice = self.duplication.is_possible() && self.duplicates.happens(self.duplication);
        let first = self.damaged(delay);
        let second = twice.then(|| {
            let delay = delay + self.latency.draw(&mut self.duplicates);
            self.damaged(delay)
        });
        [Some(first), second]
    }

    fn damaged(&mut self, mut delay: Nanos) -> Arrival {
        if self.reordering.is_possible() && self.reorders.happens(self.reordering) {
            delay += self.reorders.below(self.reordering_delay);
        }
        let corrupt = self.corruption.is_possible() && self.corruptions.happens(self.corruption);
        Arrival { delay, corrupt }
    }

    /// Damages bytes: flips bits, cuts the end off, or repeats a part.
    pub(crate) fn corrupt(&mut self, bytes: &mut Vec<u8>) {
        let rng = &mut self.corruptions;
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len() as u64;
        match rng.below(4) {
            0 => bytes.truncate(rng.below(len) as usize),
            1 => {
                let start = rng.below(len) as usize;
                let end = start + rng.below(len - start as u64) as usize;
                bytes.extend_from_within(start..end);
            }
            _ => {
                for _ in 0..=rng.below(4) {
                    bytes[rng.below(len) as usize] ^= 1 << rng.below(8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(network: &mut Network, from: HostId, to: HostId) -> usize {
        let one = |network: &mut Network| network.route(from, to, || Kind::Ping);
        (0..1000).map(|_| one(network).iter().flatten().count()).sum()
    }

    #[test]
    fn a_rule_concerns_one_direction_and_one_kind() {
        let mut network = Network::new(1);
        let kinds = Kinds::of(&[Kind::Ping]);
        let rule = Rule { kinds, ..Rule::cut(Hosts::of(&[1]), Hosts::of(&[2, 3])) };
        let id = network.add(rule);
        assert_eq!(arrivals(&mut network, 1, 2), 0);
        assert_eq!(arrivals(&mut network, 2, 1), 1000);
        assert_eq!(arrivals(&mut network, 1, 4), 1000);
        assert!(network.route(1, 2, || Kind::Ack)[0].is_some());
        network.lift(id);
        assert_eq!(arrivals(&mut network, 1, 2), 1000);
    }

    #[test]
    fn shares_of_loss_and_duplication_are_met() {
        let mut network = Network::new(1);
        network.loss = Chance::of(0.3);
        assert!((650..750).contains(&arrivals(&mut network, 0, 1)));
        network.calm();
        network.duplication = Chance::of(0.5);
        assert!((1450..1550).contains(&arrivals(&mut network, 0, 1)));
    }

    #[test]
    fn latencies_have_their_mean() {
        let mut rng = Rng::new(1);
        let latency = Latency::Exponential { min: MILLISECOND, mean: 4 * MILLISECOND };
        let draws: Vec<Nanos> = (0..10_000).map(|_| latency.draw(&mut rng)).collect();
        let mean = draws.iter().sum::<Nanos>() / 10_000;
        assert!(draws.iter().all(|draw| *draw >= MILLISECOND));
        assert!((4_800_000..5_200_000).contains(&mean), "{mean}");
    }
}
