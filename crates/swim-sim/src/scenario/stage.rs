//! The cluster that a scenario acts on, and the measurements meanwhile.

use std::collections::BTreeMap;

use super::{Outcome, Params, Recorder, Seen};
use crate::machine::{Belief, Command, HostId, Machine};
use crate::network::{Latency, RuleId};
use crate::rng::{Chance, Rng};
use crate::stats::{Curve, Metric, quantile};
use crate::time::{Nanos, SECOND, seconds};
use crate::world::{Setup, Start, World};

/// Time between two questions whether something has come to pass.
const STEP: Nanos = SECOND / 20;

/// Time between two looks at who has heard of a change.
const LABEL_STEP: Nanos = SECOND / 1000;

/// How long a stage waits for something before it goes on without.
const LIMIT: Nanos = 900 * SECOND;

/// Hosts that new members contact in a cold cluster.
const SEEDS: u32 = 3;

/// One repetition of a scenario.
#[derive(Debug)]
pub struct Stage<M: Machine> {
    pub(crate) params: Params,
    pub(crate) world: World<M, Recorder>,
    pub(crate) rng: Rng,
    /// Values by name of the metric.
    values: BTreeMap<&'static str, Vec<f64>>,
    /// Failures that are to be detected.
    failures: Vec<(HostId, Nanos)>,
    /// Traffic and time when the measurement began.
    since: (Nanos, Vec<(u64, u64)>),
}

/// Names and units of all metrics, in the order of reports.
pub(crate) const METRICS: [(&str, &str); 16] = [
    ("first detection", "s"),
    ("median detection", "s"),
    ("99 % detection", "s"),
    ("last detection", "s"),
    ("not detected", "pairs"),
    ("first to last", "s"),
    ("false positives", "events"),
    ("false positives at healthy", "events"),
    ("members taken for failed wrongly", "members"),
    ("time to one view", "s"),
    ("views that never agreed", "runs"),
    ("time to be known by all", "s"),
    ("time to each member", "s"),
    ("sizes of views seen", "sizes"),
    ("messages", "1/node/s"),
    ("bytes", "B/node/s"),
];

impl<M: Machine> Stage<M> {
    pub(crate) fn new(params: &Params, repetition: u64) -> Self {
        let seed = params.seed + repetition;
        // Room for as many new hosts as there are members.
        let hosts = 2 * params.nodes;
        let setup = Setup { hosts, config: params.config.clone(), seed };
        let mut world = World::new(setup, Recorder::new(hosts));
        world.counts_bytes = true;
        world.network.latency = Latency::LAN;
        Self {
            params: params.clone(),
            world,
            rng: Rng::stream(seed, "scenario"),
            values: BTreeMap::new(),
            failures: Vec::new(),
            since: (0, Vec::new()),
        }
    }

    /// Begins with a cluster that has been together for long, at a random phase.
    pub(crate) fn settled(&mut self) {
        self.world.warm(self.params.nodes);
        self.lose();
        let phase = self.rng.below(5 * SECOND);
        self.world.run_for(5 * SECOND + phase);
        self.measure_from_now();
    }

    /// Begins with nobody; new members know a few seed hosts.
    pub(crate) fn empty(&mut self) {
        self.world.discovery = (0..SEEDS.min(self.params.nodes)).collect();
        self.lose();
        self.measure_from_now();
    }

    fn lose(&mut self) {
        self.world.network.loss = Chance::of(self.params.loss);
    }

    /// Forgets all events and traffic so far.
    pub(crate) fn measure_from_now(&mut self) {
        self.world.watcher.seen.clear();
        self.world.watcher.sizes_seen.clear();
        self.since = (self.world.now(), self.sent());
    }

    fn sent(&self) -> Vec<(u64, u64)> {
        let hosts = 0..self.world.setup().hosts;
        let sent = hosts.map(|host| self.world.traffic(host).0);
        sent.map(|sent| (sent.packets, sent.bytes)).collect()
    }

    /// Distinct members at random.
    pub(crate) fn some_members(&mut self, count: u32) -> Vec<HostId> {
        let mut members: Vec<HostId> = (0..self.params.nodes).collect();
        self.rng.shuffle(&mut members);
        members.truncate(count as usize);
        members
    }

    /// A part of the members in percent, at least one.
    pub(crate) fn percent(&self, percent: u32) -> u32 {
        (self.params.nodes * percent / 100).max(1)
    }

    /// Kills a process; its failure is to be detected.
    pub(crate) fn fail(&mut self, host: HostId) {
        self.failures.push((host, self.world.now()));
        self.world.crash(host);
    }

    /// A process leaves and ends when its news had time to spread.
    pub(crate) fn leave_and_end(&mut self, host: HostId) {
        self.world.watcher.left(host);
        self.world.command(host, Command::Leave);
        self.world.run_for(2 * SECOND);
        self.world.crash(host);
    }

    pub(crate) fn start(&mut self, host: HostId) {
        self.world.start(host, Start::default());
    }

    pub(crate) fn wait(&mut self, duration: Nanos) {
        self.world.run_for(duration);
    }

    pub(crate) fn lift(&mut self, rules: impl IntoIterator<Item = RuleId>) {
        rules.into_iter().for_each(|rule| self.world.network.lift(rule));
    }

    /// Waits until everybody has detected every failure, and measures when.
    pub(crate) fn await_detection(&mut self) {
        let failures = std::mem::take(&mut self.failures);
        let Some(began) = failures.iter().map(|(_, at)| *at).min() else { return };
        let unaware = |world: &World<M, Recorder>| {
            world.running().any(|(_, machine)| {
                failures.iter().any(|(host, _)| {
                    matches!(machine.belief(*host), Some(Belief::Alive | Belief::Suspect))
                })
            })
        };
        self.world.run_while(SECOND / 2, LIMIT, |world| !unaware(world));
        let observers = self.world.running().count();
        let seen: Vec<Seen> =
            self.world.watcher.seen.iter().filter(|seen| seen.at >= began).copied().collect();
        for (host, at) in failures {
            self.measure_detection(host, at, observers, &seen);
        }
    }

    fn measure_detection(&mut self, host: HostId, at: Nanos, observers: usize, seen: &[Seen]) {
        let mut first: BTreeMap<HostId, f64> = BTreeMap::new();
        for one in seen {
            let detected = matches!(one.what.belief, Belief::Faulty | Belief::Left | Belief::Gone);
            if one.what.subject == host && detected && one.at >= at {
                first.entry(one.by).or_insert(seconds(one.at - at));
            }
        }
        let mut times: Vec<f64> = first
            .into_iter()
            .filter(|(by, _)| self.world.machine(*by).is_some())
            .map(|(_, time)| time)
            .collect();
        times.sort_by(f64::total_cmp);
        self.value("not detected", observers.saturating_sub(times.len()) as f64);
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
        let (first, last) = (*first, *last);
        self.value("first detection", first);
        self.value("last detection", last);
        self.value("first to last", last - first);
        for (name, share) in [("median detection", 0.5), ("99 % detection", 0.99)] {
            self.value(name, quantile(&times, share).unwrap_or(last));
        }
        self.values.entry("detection curve").or_default().extend(&times);
        let news = times.iter().map(|time| time - first);
        self.values.entry("news curve").or_default().extend(news);
        self.values.entry("pairs").or_default().push(observers as f64);
    }

    /// Waits until all members have one view, and measures how long it took.
    pub(crate) fn await_one_view(&mut self) {
        let began = self.world.now();
        let agreed = self.world.run_while(STEP, LIMIT, |world| {
            world.agree() && world.running().all(|(_, machine)| machine.is_member())
        });
        if agreed {
            self.value("time to one view", seconds(self.world.now() - began));
        }
        self.value("views that never agreed", f64::from(u8::from(!agreed)));
    }

    /// Waits until everybody knows these hosts, and measures how long it took.
    pub(crate) fn await_known(&mut self, hosts: &[HostId]) {
        let began = self.world.now();
        let known = |world: &World<M, Recorder>| {
            world.running().all(|(_, machine)| {
                hosts.iter().all(|host| machine.belief(*host) == Some(Belief::Alive))
            })
        };
        if self.world.run_while(STEP, LIMIT, known) {
            self.value("time to be known by all", seconds(self.world.now() - began));
        }
    }

    /// Has a member change its labels, and measures when each of the others hears of it.
    pub(crate) fn change_labels(&mut self, host: HostId) {
        let began = self.world.now();
        let old = self.world.machine(host).map(Machine::fingerprint);
        self.world.command(host, Command::SetLabels((began % u64::from(u32::MAX)) as u32));
        let mut unaware: Vec<HostId> =
            self.world.running().map(|(other, _)| other).filter(|other| *other != host).collect();
        while !unaware.is_empty() && self.world.now() - began < LIMIT {
            self.world.run_for(LABEL_STEP);
            let took = seconds(self.world.now() - began);
            let heard = |other: &HostId| self.world.machine(*other).map(M::fingerprint) != old;
            let before = unaware.len();
            unaware.retain(|other| !heard(other));
            let heard = before - unaware.len();
            self.values.entry("time to each member").or_default().extend(vec![took; heard]);
        }
    }

    pub(crate) fn value(&mut self, name: &'static str, value: f64) {
        self.values.entry(name).or_default().push(value);
    }

    /// Ends the repetition with what all scenarios measure.
    pub(crate) fn finish(mut self) -> BTreeMap<&'static str, Vec<f64>> {
        let wrong = |seen: &&Seen| seen.is_false && seen.what.belief == Belief::Faulty;
        let wrong: Vec<Seen> = self.world.watcher.seen.iter().filter(wrong).copied().collect();
        let healthy = wrong.iter().filter(|seen| seen.by_healthy).count();
        let mut subjects: Vec<HostId> = wrong.iter().map(|seen| seen.what.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        self.value("false positives", wrong.len() as f64);
        self.value("false positives at healthy", healthy as f64);
        self.value("members taken for failed wrongly", subjects.len() as f64);
        self.value("sizes of views seen", self.world.watcher.sizes_seen.len() as f64);
        let (since, before) = std::mem::take(&mut self.since);
        let lasted = seconds(self.world.now() - since);
        let rates: Vec<(f64, f64)> = self
            .sent()
            .iter()
            .zip(&before)
            .map(|(now, before)| ((now.0 - before.0) as f64, (now.1 - before.1) as f64))
            .filter(|(packets, _)| *packets > 0.0)
            .collect();
        for (packets, bytes) in rates {
            self.value("messages", packets / lasted);
            self.value("bytes", bytes / lasted);
        }
        self.values
    }
}

/// The values of all repetitions.
#[derive(Debug, Default)]
pub(super) struct Tally {
    values: BTreeMap<&'static str, Vec<f64>>,
}

impl Tally {
    pub(super) fn add(&mut self, values: BTreeMap<&'static str, Vec<f64>>) {
        for (name, values) in values {
            self.values.entry(name).or_default().extend(values);
        }
    }

    pub(super) fn outcome(mut self) -> Outcome {
        let mut take = |name: &str| self.values.remove(name).unwrap_or_default();
        let pairs = take("pairs").iter().sum::<f64>() as usize;
        let (detection, news) = (take("detection curve"), take("news curve"));
        let mut curves = Vec::new();
        if pairs > 0 {
            let since = "seconds since the failure";
            curves.push(Curve::shares("who has detected it", since, &detection, pairs));
            let since = "seconds since the first one knew";
            curves.push(Curve::shares("who has heard of it", since, &news, pairs));
        }
        let metrics = METRICS.iter().map(|(name, unit)| Metric { name, unit, values: take(name) });
        let metrics = metrics.filter(|metric| !metric.values.is_empty()).collect();
        Outcome { metrics, curves }
    }
}
