//! What a seed decides: the cluster, its settings, and what goes wrong when.

use std::time::Duration;

use swim_core::{Config, ConfigBuilder};

use super::fault::{Fault, Faults};
use crate::host::Pause;
use crate::machine::{HostId, Kind, Kinds};
use crate::network::{Hosts, Latency, Rule};
use crate::rng::{Chance, Rng};
use crate::time::{MILLISECOND, Nanos, SECOND};

/// Something that is done at a point in time.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it; the doc of `Fault` says what for")]
pub enum Step {
    Loss(Chance),
    Duplication(Chance),
    Reordering(Chance, Nanos),
    Corruption(Chance),
    /// A rule under a name of the plan.
    AddRule(usize, Rule),
    LiftRule(usize),
    Crash(HostId),
    /// A process begins; it remembers whom its predecessor knew, or asks
    /// discovery.
    Start {
        host: HostId,
        remembers: bool,
        labels: u32,
    },
    StartStranger(HostId),
    Pause(HostId, Pause),
    Resume(HostId),
    Slow(HostId, Nanos),
    ClockRate(HostId, u64),
    ClockLeap(HostId, Nanos),
    WallClock(HostId, i64),
    Leave {
        host: HostId,
        evict: bool,
    },
    Rejoin(HostId),
    Labels(HostId, u32),
    Discovery(Vec<HostId>),
    Reap(HostId),
}

/// Everything that a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Kinds of faults that were drawn and not masked.
    pub faults: Faults,
    /// Hosts that begin as a cluster: those with the lowest numbers.
    pub members: u32,
    /// All hosts: those that may join, and strangers at the end.
    pub hosts: u32,
    /// How many of them are strangers.
    pub strangers: u32,
    /// Whether the cluster begins settled, or joins at the start.
    pub warm: bool,
    /// Settings.
    pub config: Config,
    /// How long packets take.
    pub latency: Latency,
    /// Whether senders learn that nobody listens.
    pub refuses: bool,
    /// Largest packet that gets through.
    pub mtu: Option<usize>,
    /// What happens when, in order.
    pub steps: Vec<(Nanos, Step)>,
    /// How long faults go on.
    pub trouble: Nanos,
}

/// How likely each kind of fault takes part, in each run. With about a third
/// of them each run is a different mixture (swarm testing: Groce and others,
/// ISSTA 2012), and many runs have each pair.
const TAKES_PART: f64 = 0.35;

/// Longest time that faults go on. What goes wrong in the field lasts for seconds
/// or for hours, and what ends healing, memory and patience is found only where
/// faults outlast them.
const TROUBLE_MAX: Nanos = 2 * 60 * 60 * SECOND;

/// Shortest time that faults go on: a few suspicions.
const TROUBLE_MIN: Nanos = 20 * SECOND;

/// Members of a cluster.
const MEMBERS_MAX: u64 = 200;

/// Time of all members together that a run may take among faults: 250,000 protocol
/// periods of 200 ms, about a second of a processor. Six members have two hours
/// for it, 30 have 28 minutes, 200 have 4 minutes.
const MEMBER_TIME_MAX: Nanos = 50_000 * SECOND;

impl Plan {
    /// Draws the plan of a seed, without the faults in `masked`.
    #[must_use]
    pub fn draw(seed: u64, masked: Faults) -> Self {
        let mut rng = Rng::stream(seed, "cluster");
        let trouble = rng.log_uniform(TROUBLE_MIN, TROUBLE_MAX);
        let members = size(&mut rng, trouble);
        let joiners = 1 + members / 4;
        let hosts = members + joiners + 2;
        let mut plan = Self {
            seed,
            faults: Faults::default(),
            members,
            hosts,
            strangers: 2,
            warm: rng.happens(Chance::of(0.6)),
            latency: latency(&mut rng),
            refuses: rng.happens(Chance::of(0.4)),
            mtu: None,
            config: Config::lan(),
            steps: Vec::new(),
            trouble,
        };
        plan.mtu = rng.happens(Chance::of(0.3)).then_some(1_400);
        plan.config = config(&mut rng, plan.mtu.is_some());
        plan.latency = within_timeout(plan.latency, &plan.config);
        for fault in Fault::ALL {
            let mut rng = Rng::stream(seed, fault.as_str());
            let takes_part = rng.happens(Chance::of(TAKES_PART));
            if takes_part && !masked.contains(*fault) {
                plan.faults = plan.faults.with(*fault);
                plan.draw_fault(*fault, &mut rng);
            }
        }
        plan.steps.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_fault(&mut self, fault: Fault, rng: &mut Rng) {
        match fault {
            Fault::Loss => self.phases(rng, |rng| Step::Loss(share(rng, 300)), Step::Loss),
            Fault::Duplication => {
                self.phases(rng, |rng| Step::Duplication(share(rng, 200)), Step::Duplication);
            }
            Fault::Reordering => self.phases(
                rng,
                |rng| Step::Reordering(share(rng, 300), rng.within(1, 5_000) * MILLISECOND),
                |never| Step::Reordering(never, 0),
            ),
            Fault::Corruption => {
                self.phases(rng, |rng| Step::Corruption(share(rng, 50)), Step::Corruption);
            }
            Fault::Partition => self.draw_rules(rng, 3, partition),
            Fault::Asymmetric => self.draw_rules(rng, 4, asymmetric),
            Fault::Filter => self.draw_rules(rng, 3, filter),
            Fault::Crash => self.draw_crashes(rng),
            Fault::Pause => self.draw_pauses(rng),
            Fault::Slow => self.draw_slowness(rng),
            Fault::Clock => self.draw_clocks(rng),
            Fault::Leave => self.draw_leaves(rng),
            Fault::Labels => {
                self.some(rng, 8, |rng, host| Step::Labels(host, rng.within(1, 9) as u32));
            }
            Fault::Join => self.draw_joins(rng),
            Fault::Discovery => self.draw_discovery(rng),
            Fault::Stranger => self.draw_strangers(rng),
            Fault::Reap => self.some(rng, 3, |_, host| Step::Reap(host)),
        }
    }

    fn time(&self, rng: &mut Rng) -> Nanos {
        rng.below(self.trouble)
    }

    /// When something ends that began at a time: after `min` at the earliest,
    /// and with all other faults at the latest.
    fn until(&self, rng: &mut Rng, at: Nanos, min: Nanos) -> Nanos {
        (at + rng.log_uniform(min, TROUBLE_MAX)).min(self.trouble.max(at + min))
    }

    fn member(&self, rng: &mut Rng) -> HostId {
        rng.below(self.members.into()) as HostId
    }

    /// How many hosts a fault hits: mostly few, at times many.
    fn count(&self, rng: &mut Rng, most: u64) -> u64 {
        let all = u64::from(self.members);
        if rng.happens(Chance::of(0.15)) {
            rng.within(1, all)
        } else {
            rng.within(1, most.min(all))
        }
    }

    fn some(&mut self, rng: &mut Rng, most: u64, step: impl Fn(&mut Rng, HostId) -> Step) {
        for _ in 0..rng.within(1, most) {
            let (at, host) = (self.time(rng), self.member(rng));
            self.steps.push((at, step(rng, host)));
        }
    }

    /// A fault of the whole network that begins and ends.
    fn phases(
        &mut self,
        rng: &mut Rng,
        begin: impl Fn(&mut Rng) -> Step,
        end: impl Fn(Chance) -> Step,
    ) {
        for _ in 0..rng.within(1, 3) {
            let at = self.time(rng);
            self.steps.push((at, begin(rng)));
            let until = at + rng.below(self.trouble - at);
            if rng.happens(Chance::of(0.7)) {
                self.steps.push((until, end(Chance::NEVER)));
            }
        }
    }

    fn draw_rules(
        &mut self,
        rng: &mut Rng,
        most: u64,
        rules: impl Fn(&Self, &mut Rng) -> Vec<Rule>,
    ) {
        for _ in 0..rng.within(1, most) {
            let at = self.time(rng);
            let until = self.until(rng, at, SECOND / 2);
            for rule in rules(self, rng) {
                let name = self.steps.len();
                self.steps.push((at, Step::AddRule(name, rule)));
                self.steps.push((until, Step::LiftRule(name)));
            }
        }
    }

    fn draw_crashes(&mut self, rng: &mut Rng) {
        let at = self.time(rng);
        let together = rng.happens(Chance::of(0.3));
        for _ in 0..self.count(rng, 4) {
            let at = if together { at } else { self.time(rng) };
            let host = self.member(rng);
            self.steps.push((at, Step::Crash(host)));
            if rng.happens(Chance::of(0.7)) {
                let back = self.until(rng, at, MILLISECOND);
                let remembers = rng.happens(Chance::of(0.5));
                let labels = rng.below(3) as u32;
                self.steps.push((back, Step::Start { host, remembers, labels }));
            }
        }
    }

    fn draw_pauses(&mut self, rng: &mut Rng) {
        let (at, pause) = (self.time(rng), *rng.pick(&Pause::ALL));
        let together = rng.happens(Chance::of(0.5));
        for _ in 0..self.count(rng, 4) {
            let at = if together { at } else { self.time(rng) };
            let host = self.member(rng);
            self.steps.push((at, Step::Pause(host, pause)));
            let until = self.until(rng, at, 100 * MILLISECOND);
            self.steps.push((until, Step::Resume(host)));
        }
    }

    fn draw_slowness(&mut self, rng: &mut Rng) {
        for _ in 0..self.count(rng, 3) {
            let (at, host) = (self.time(rng), self.member(rng));
            let service = rng.within(1, 400) * MILLISECOND;
            self.steps.push((at, Step::Slow(host, service)));
            let until = self.until(rng, at, SECOND);
            self.steps.push((until, Step::Slow(host, 0)));
        }
    }

    fn draw_clocks(&mut self, rng: &mut Rng) {
        for _ in 0..self.count(rng, 6) {
            let (at, host) = (self.time(rng), self.member(rng));
            let step = match rng.below(4) {
                0 => Step::ClockRate(host, rng.within(900_000, 1_100_000)),
                1 => Step::ClockLeap(host, rng.within(1, 60) * SECOND),
                // An hour off, or a clock that begins in 1970.
                2 => Step::WallClock(host, rng.within(0, 7_200_000) as i64 - 3_600_000),
                _ => Step::WallClock(host, -1_699_999_990_000),
            };
            let at = if matches!(step, Step::WallClock(..)) { 0 } else { at };
            self.steps.push((at, step));
        }
    }

    fn draw_leaves(&mut self, rng: &mut Rng) {
        for _ in 0..rng.within(1, 3) {
            let (at, host) = (self.time(rng), self.member(rng));
            let evict = rng.happens(Chance::of(0.4));
            self.steps.push((at, Step::Leave { host, evict }));
            let after = self.until(rng, at, 10 * MILLISECOND);
            match rng.below(3) {
                0 => self.steps.push((after, Step::Rejoin(host))),
                1 => self.steps.push((after, Step::Crash(host))),
                _ => {}
            }
        }
    }

    fn draw_joins(&mut self, rng: &mut Rng) {
        let joiners = self.members..self.hosts - self.strangers;
        let at = self.time(rng);
        let together = rng.happens(Chance::of(0.5));
        for host in joiners {
            let at = if together { at } else { self.time(rng) };
            let labels = rng.below(3) as u32;
            self.steps.push((at, Step::Start { host, remembers: false, labels }));
        }
    }

    fn draw_discovery(&mut self, rng: &mut Rng) {
        for _ in 0..rng.within(1, 4) {
            let at = self.time(rng);
            let list = match rng.below(3) {
                0 => Vec::new(),
                // Hosts that are there, and some that are not.
                1 => (0..self.hosts).filter(|_| rng.happens(Chance::of(0.3))).collect(),
                _ => vec![self.member(rng), self.hosts - 1],
            };
            self.steps.push((at, Step::Discovery(list)));
            let until = self.until(rng, at, SECOND);
            self.steps.push((until, Step::Discovery((0..self.members).collect())));
        }
    }

    fn draw_strangers(&mut self, rng: &mut Rng) {
        let strangers = self.hosts - self.strangers..self.hosts;
        for host in strangers.clone() {
            let at = self.time(rng);
            self.steps.push((at, Step::StartStranger(host)));
        }
        let at = self.time(rng);
        self.steps.push((at, Step::Discovery((0..self.hosts).collect())));
    }
}

/// How many members a cluster has that is among faults for so long. Mostly few, where
/// everything meets everything; some many, because what spreads through a cluster
/// costs the square of its size: log-uniformly up to a bound that is drawn so itself.
fn size(rng: &mut Rng, trouble: Nanos) -> u32 {
    let most = MEMBERS_MAX.min(MEMBER_TIME_MAX / trouble);
    // The largest number is as likely as those before it.
    let bound = rng.log_uniform(2, most + 1).min(most);
    rng.log_uniform(2, bound + 1).min(bound) as u32
}

fn latency(rng: &mut Rng) -> Latency {
    match rng.below(4) {
        0 => Latency::Fixed(MILLISECOND),
        1 => Latency::LAN,
        2 => Latency::Uniform { min: MILLISECOND, max: rng.within(2, 200) * MILLISECOND },
        _ => Latency::Exponential { min: MILLISECOND / 2, mean: rng.within(1, 60) * MILLISECOND },
    }
}

/// The latency, cut to what the settings are made for: a ping is answered in
/// its time unless there is a fault. Where that is not so, members go on
/// suspecting each other, and no view is the last one. Of round trips with an
/// exponential tail one in 10^7 takes more than 20 means.
fn within_timeout(latency: Latency, config: &Config) -> Latency {
    let timeout = config.ping_timeout().as_nanos() as Nanos;
    match latency {
        Latency::Fixed(_) => latency,
        Latency::Uniform { min, max } => Latency::Uniform { min, max: max.min(timeout / 3) },
        Latency::Exponential { min, mean } => {
            Latency::Exponential { min, mean: mean.min(timeout / 20) }
        }
    }
}

/// A chance of up to so many in a thousand.
fn share(rng: &mut Rng, per_mille_max: u64) -> Chance {
    Chance::of(rng.within(1, per_mille_max) as f64 / 1_000.0)
}

/// A preset with some of its settings drawn.
fn config(rng: &mut Rng, small_packets: bool) -> Config {
    let preset = match rng.below(10) {
        0..=5 => Config::lan(),
        6..=7 => Config::local(),
        _ => Config::ringpop(),
    };
    let mut builder: ConfigBuilder = preset.to_builder();
    if rng.happens(Chance::of(0.5)) {
        builder = builder.late_acks(true);
    }
    if rng.happens(Chance::of(0.4)) {
        let seconds = |rng: &mut Rng, min, max| Duration::from_secs(rng.within(min, max));
        builder = builder.faulty_timeout(seconds(rng, 5, 40));
        builder = builder.tombstone_timeout(seconds(rng, 10, 30));
    }
    if rng.happens(Chance::of(0.2)) {
        builder = builder.suspect_timeout(Duration::from_millis(rng.within(500, 3_000)));
    }
    if rng.happens(Chance::of(0.2)) {
        builder = builder.ping_req_helpers(rng.below(6) as usize);
    }
    if rng.happens(Chance::of(0.15)) {
        builder = builder.faulty_accusers_min(2);
    }
    if rng.happens(Chance::of(0.15)) {
        builder = builder.piggyback_factor(rng.within(1, 5) as u32);
    }
    // With Ringpop's whole lists a small packet holds no list.
    if small_packets || rng.happens(Chance::of(0.2)) {
        builder = builder.message_bytes_max(1_000).sync_whole_list(false);
    }
    builder.build().expect("every drawn value is within its range")
}

fn partition(plan: &Plan, rng: &mut Rng) -> Vec<Rule> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let share = Chance::of(rng.within(1, 9) as f64 / 10.0);
    for host in 0..plan.hosts {
        if rng.happens(share) { left.push(host) } else { right.push(host) }
    }
    let (left, right) = (Hosts::of(&left), Hosts::of(&right));
    vec![Rule::cut(left.clone(), right.clone()), Rule::cut(right, left)]
}

fn asymmetric(plan: &Plan, rng: &mut Rng) -> Vec<Rule> {
    let few: Vec<HostId> = (0..plan.count(rng, 3)).map(|_| plan.member(rng)).collect();
    let few = Hosts::of(&few);
    let loss = if rng.happens(Chance::of(0.5)) { Chance::ALWAYS } else { share(rng, 900) };
    let delay = if rng.happens(Chance::of(0.3)) { rng.within(1, 2_000) * MILLISECOND } else { 0 };
    let (from, to) =
        if rng.happens(Chance::of(0.5)) { (few, Hosts::All) } else { (Hosts::All, few) };
    vec![Rule { from, to, kinds: Kinds::ALL, loss, delay }]
}

fn filter(_: &Plan, rng: &mut Rng) -> Vec<Rule> {
    let kind = *rng.pick(&Kind::ALL);
    let loss = share(rng, 1_000);
    vec![Rule { from: Hosts::All, to: Hosts::All, kinds: Kinds::of(&[kind]), loss, delay: 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_fault_leaves_the_others_as_they_are() {
        for seed in 0..200 {
            let whole = Plan::draw(seed, Faults::default());
            for fault in whole.faults.iter() {
                let masked = Plan::draw(seed, Faults::default().with(fault));
                assert!(!masked.faults.contains(fault));
                assert_eq!(masked.config, whole.config);
                let mut steps = whole.steps.iter().map(|(at, step)| (*at, without_name(step)));
                let all_found = masked.steps.iter().all(|(at, step)| {
                    let wanted = (*at, without_name(step));
                    steps.any(|step| step == wanted)
                });
                assert!(all_found, "seed {seed} without {fault}");
            }
        }
    }

    /// Names of rules only tie the end of one to its beginning.
    fn without_name(step: &Step) -> Step {
        match step {
            Step::AddRule(_, rule) => Step::AddRule(0, rule.clone()),
            Step::LiftRule(_) => Step::LiftRule(0),
            other => other.clone(),
        }
    }

    /// A length of time in three classes: up to a minute, up to ten, or more.
    fn length(time: Nanos) -> usize {
        [60 * SECOND, 600 * SECOND].partition_point(|longest| *longest <= time)
    }

    /// Faults of all lengths are drawn, and none outlasts the time of faults by more
    /// than its shortest.
    #[test]
    fn faults_last_for_seconds_and_for_hours() {
        let mut runs = [0; 3];
        for seed in 0..2_000 {
            let plan = Plan::draw(seed, Faults::default());
            assert!((TROUBLE_MIN..=TROUBLE_MAX).contains(&plan.trouble));
            assert!(plan.trouble * Nanos::from(plan.members) <= MEMBER_TIME_MAX);
            let last = plan.steps.last().map_or(0, |(at, _)| *at);
            assert!(last <= plan.trouble + SECOND, "seed {seed}");
            runs[length(plan.trouble)] += 1;
        }
        assert!(runs.iter().all(|runs| *runs > 300), "{runs:?}");
    }

    /// A budget for each run leaves no gap: short and long times meet small clusters and
    /// the largest that fit, and each kind of fault comes with each length of time.
    #[test]
    fn a_sample_of_plans_covers_short_and_long_small_and_large() {
        let plans: Vec<Plan> = (0..2_000).map(|seed| Plan::draw(seed, Faults::default())).collect();
        let runs =
            |wanted: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| wanted(plan)).count();
        let cells: [(usize, &[(u32, u32)]); 3] = [
            (0, &[(2, 5), (6, 20), (21, 80), (81, 200)]),
            (1, &[(2, 5), (6, 20), (21, 80), (81, 200)]),
            (2, &[(2, 3), (4, 9), (10, 50)]),
        ];
        for (time, sizes) in cells {
            for (least, most) in sizes {
                let found = runs(&|plan| {
                    length(plan.trouble) == time && (*least..=*most).contains(&plan.members)
                });
                assert!(found >= 5, "{least} to {most} members, length {time}: {found} of 2,000");
            }
        }
        for fault in Fault::ALL {
            for time in 0..3 {
                let with =
                    |plan: &Plan| plan.faults.contains(*fault) && length(plan.trouble) == time;
                assert!(runs(&with) >= 100, "{fault} with length {time}");
            }
        }
        let hours = runs(&|plan| plan.trouble > 60 * 60 * SECOND);
        assert!(hours >= 100, "{hours} of 2,000 last for more than an hour");
        let mean =
            plans.iter().map(|plan| plan.trouble / SECOND * u64::from(plan.members)).sum::<u64>();
        assert!(mean / 2_000 < 7_500, "a run takes {} s of all its members", mean / 2_000);
    }

    #[test]
    fn every_fault_takes_part_in_some_runs_and_not_in_others() {
        for fault in Fault::ALL {
            let drawn = |seed| Plan::draw(seed, Faults::default()).faults.contains(*fault);
            let count = (0..100).filter(|seed| drawn(*seed)).count();
            assert!((15..60).contains(&count), "{fault} in {count} of 100");
            assert_eq!(fault.as_str().parse(), Ok(*fault));
        }
        assert!("fire".parse::<Fault>().unwrap_err().contains("partition"));
    }
}
