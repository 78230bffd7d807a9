//! SWIM (Das, Gupta, Motivala, DSN 2002), section 5, and the formulas of
//! section 3.

use std::collections::BTreeMap;
use std::time::Duration;

use swim_core::{Config, ConfigBuilder, Event, Status};

use super::count::Count;
use crate::machine::{Belief, HostId, Machine as _};
use crate::rng::{Chance, Rng};
use crate::stats::quantile;
use crate::swim::Swim;
use crate::time::{MILLISECOND, Nanos, SECOND, from_seconds};
use crate::watch::Watcher;
use crate::world::{Setup, Start, World};

/// The protocol period of the experiments.
const PERIOD: Nanos = 2 * SECOND;

/// Longest wait for a first ping, in periods: it is exceeded once in `e^40` times.
const WAIT_MAX: u64 = 40;

/// The machine as the paper describes it: no Lifeguard, fixed timeouts, one
/// helper, suspicion for `3 * ceil(ln(n + 1))` periods.
fn as_published(members: u32) -> ConfigBuilder {
    let periods = 3.0 * libm::ceil(libm::log(f64::from(members + 1)));
    Config::lan()
        .to_builder()
        .verify_claims(false)
        .protocol_period(Duration::from_nanos(PERIOD))
        .ping_timeout(Duration::from_millis(500))
        .ping_req_timeout(Duration::from_millis(1_200))
        .ping_req_helpers(1)
        .shared_rounds(false)
        .suspicion_probes(0)
        .awareness_max(1)
        .buddy(false)
        .suspect_timeout(Duration::from_nanos(PERIOD).mul_f64(periods))
        .suspect_timeout_scaled(false)
        .suspect_timeout_max_factor(1)
        .suspect_confirmations(0)
        .heal_probability_base(0)
}

fn build(builder: ConfigBuilder) -> Config {
    builder.build().expect("the settings of the paper are within their ranges")
}

fn settled<W: Watcher<Swim>>(
    members: u32,
    config: Config,
    seed: u64,
    watcher: W,
) -> World<Swim, W> {
    let mut world = World::new(Setup { hosts: members, config, seed }, watcher);
    world.warm(members);
    world.run_for(5 * PERIOD);
    world
}

/// How long it takes until somebody pings a member that crashed.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Crashes.
    pub crashes: u32,
    /// Mean of the period in which the first ping falls, the first one being 1:
    /// the paper's measure, `e / (e - 1)` in theory.
    pub whole_periods: f64,
    /// Mean of the wait itself, in periods: 1 in theory, because members do not
    /// begin their periods together.
    pub wait: f64,
    /// Mean of the time until the first member suspects, in periods.
    pub suspected: f64,
}

/// First detection among `members`, over many crashes at random times.
#[must_use]
pub fn first_detection(members: u32, crashes: u32) -> Detection {
    let (mut whole, mut wait, mut suspected) = (0.0, 0.0, 0.0);
    for seed in 0..u64::from(crashes) {
        let watcher = (Count::default(), Suspected::default());
        let mut world = settled(members, build(as_published(members)), seed, watcher);
        let mut rng = Rng::stream(seed, "crash");
        world.run_for(rng.below(5 * PERIOD));
        let victim = rng.below(members.into()) as HostId;
        let began = world.now();
        world.crash(victim);
        world.watcher.0.notes = true;
        world.watcher.1.subject = Some(victim);
        let limit = WAIT_MAX * PERIOD;
        world.run_while(PERIOD / 4, limit, |world| world.watcher.1.first.is_some());
        let ping = world.watcher.0.pings.iter().find(|(_, _, to)| *to == victim);
        let periods = |at: Nanos| (at - began) as f64 / PERIOD as f64;
        let first = ping.map_or(WAIT_MAX as f64, |(at, ..)| periods(*at));
        wait += first;
        whole += first.ceil().max(1.0);
        suspected += world.watcher.1.first.map_or(WAIT_MAX as f64, periods);
    }
    let mean = |sum: f64| sum / f64::from(crashes);
    Detection { crashes, whole_periods: mean(whole), wait: mean(wait), suspected: mean(suspected) }
}

/// Notes who first takes a member for suspect, and when all others do.
#[derive(Debug, Default)]
struct Suspected {
    subject: Option<HostId>,
    first: Option<Nanos>,
    all: BTreeMap<HostId, Nanos>,
}

impl Watcher<Swim> for Suspected {
    fn event(&mut self, at: Nanos, host: HostId, event: &Event, machine: &Swim) {
        let Event::MemberChanged { after: Some(after), .. } = event else { return };
        let about = machine.names().host(&after.address);
        if about.is_some() && about == self.subject && after.status != Status::Alive {
            self.first.get_or_insert(at);
            self.all.entry(host).or_insert(at);
        }
    }
}

/// Longest time between two pings of one member by another one, in periods; at
/// most `2 * members - 1` by section 4.3.
#[must_use]
pub fn longest_gap(members: u32) -> f64 {
    let watcher = Count { notes: true, ..Count::default() };
    let mut world = settled(members, build(as_published(members)), 1, watcher);
    world.run_for(u64::from(members) * 40 * PERIOD);
    let mut last: BTreeMap<(HostId, HostId), Nanos> = BTreeMap::new();
    let mut longest = 0;
    for (at, from, to) in &world.watcher.pings {
        if let Some(before) = last.insert((*from, *to), *at) {
            longest = longest.max(at - before);
        }
    }
    longest as f64 / PERIOD as f64
}

/// Messages that a member sends in a period: mean and standard deviation.
#[must_use]
pub fn load(members: u32) -> (f64, f64) {
    const PERIODS: u64 = 200;
    let watcher = Count { notes: true, ..Count::default() };
    let mut world = settled(members, build(as_published(members)), 1, watcher);
    let began = world.now();
    world.run_for(PERIODS * PERIOD);
    let mut counts = vec![0.0; members as usize * PERIODS as usize];
    for (at, from) in &world.watcher.messages {
        if *at >= began {
            let period = ((at - began) / PERIOD).min(PERIODS - 1);
            counts[*from as usize * PERIODS as usize + period as usize] += 1.0;
        }
    }
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    let variance = counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>();
    (mean, (variance / counts.len() as f64).sqrt())
}

/// Periods from the first member that knows of a failure until half of all and
/// all do, medians over some crashes.
#[must_use]
pub fn infection(members: u32, crashes: u32) -> (f64, f64) {
    let (mut half, mut all) = (Vec::new(), Vec::new());
    for seed in 0..u64::from(crashes) {
        let watcher = Suspected::default();
        let mut world = settled(members, build(as_published(members)), seed, watcher);
        let victim = Rng::stream(seed, "crash").below(members.into()) as HostId;
        world.watcher.subject = Some(victim);
        world.crash(victim);
        let others = members as usize - 1;
        world.run_while(PERIOD / 4, 30 * PERIOD, |world| world.watcher.all.len() >= others);
        let first = world.watcher.first.unwrap_or_default();
        let periods = |at: &Nanos| (at - first) as f64 / PERIOD as f64;
        let mut times: Vec<f64> = world.watcher.all.values().map(periods).collect();
        times.sort_by(f64::total_cmp);
        half.extend(quantile(&times, 0.5));
        all.extend(times.last());
    }
    half.sort_by(f64::total_cmp);
    all.sort_by(f64::total_cmp);
    (quantile(&half, 0.5).unwrap_or(0.0), quantile(&all, 0.5).unwrap_or(0.0))
}

/// Periods until half of `members` are infected by the model of section 5:
/// `x(t) = n / (1 + (n - 1) * exp(-(2 - 1/n) * t))`.
#[must_use]
pub fn infection_model(members: u32) -> f64 {
    let n = f64::from(members);
    libm::log(n - 1.0) / (2.0 - 1.0 / n)
}

/// Share of probes of a member that is well which fail: measured and by the
/// formula of section 3.1.
#[derive(Clone, Copy, Debug)]
pub struct FalseDetection {
    /// Share of packets that are lost on each way.
    pub loss: f64,
    /// Helpers.
    pub helpers: usize,
    /// `(1 - q^2) * (1 - q^4)^k` with `q = 1 - loss`.
    pub formula: f64,
    /// Failed probes.
    pub failed: u64,
    /// Probes.
    pub probes: u64,
}

impl FalseDetection {
    /// The measured share.
    #[must_use]
    pub fn measured(&self) -> f64 {
        self.failed as f64 / self.probes as f64
    }

    /// Whether enough failures were to be expected to tell a deviation of 15 %
    /// from chance, at three standard deviations.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        self.formula * self.probes as f64 >= 400.0
    }
}

/// Failures that are wanted, for a standard deviation of 1.6 %.
const FAILURES_WANTED: f64 = 4_000.0;

/// Measures one cell of the table with at most `probes_max` probes.
#[must_use]
pub fn false_detection(loss: f64, helpers: usize, probes_max: u64) -> FalseDetection {
    const MEMBERS: u32 = 100;
    let q = 1.0 - loss;
    let formula = (1.0 - q.powi(2)) * (1.0 - q.powi(4)).powi(helpers as i32);
    let wanted = ((FAILURES_WANTED / formula) as u64).clamp(20_000, probes_max.max(20_000));
    // Nobody is ever faulty: all members are probed to the end.
    let config = as_published(MEMBERS)
        .protocol_period(Duration::from_millis(400))
        .ping_timeout(Duration::from_millis(50))
        .ping_req_timeout(Duration::from_millis(150))
        .ping_req_helpers(helpers)
        .suspect_timeout(Duration::from_secs(365 * 24 * 3_600));
    let setup = Setup { hosts: MEMBERS, config: build(config), seed: 1 + helpers as u64 };
    let mut world: World<Swim> = World::new(setup, ());
    world.warm(MEMBERS);
    world.network.loss = Chance::of(loss);
    world.run_for(10 * SECOND);
    let counts = |world: &World<Swim>| {
        world.running().fold((0, 0), |(failed, probes), (_, machine)| {
            let stats = machine.node().stats();
            let failed = failed + stats.probes_failed + stats.probes_inconclusive;
            // A helper pings as often as it is asked to.
            (failed, probes + stats.pings_sent - stats.ping_reqs_received)
        })
    };
    let before = counts(&world);
    world.run_for(wanted / u64::from(MEMBERS) * 400 * MILLISECOND);
    let after = counts(&world);
    let (failed, probes) = (after.0 - before.0, after.1 - before.1);
    FalseDetection { loss, helpers, formula, failed, probes }
}

/// When the 17 members of the last experiment join, in seconds.
const JOINS: [f64; 17] = [
    0.0, 3.6, 8.7, 14.2, 18.7, 23.7, 28.7, 33.7, 38.7, 43.7, 48.7, 53.7, 58.7, 63.7, 68.7, 73.9,
    79.0,
];

/// Members that the median member takes for reachable after 175 s, with 17
/// members that join one after the other while 10 % of all packets are lost.
#[must_use]
pub fn joins(with_suspicion: bool, seed: u64) -> usize {
    let members = JOINS.len() as u32;
    let mut config = as_published(members);
    if !with_suspicion {
        config = config.suspect_timeout(Duration::from_millis(1));
    }
    let setup = Setup { hosts: members, config: build(config), seed };
    let mut world: World<Swim> = World::new(setup, ());
    world.discovery = vec![0];
    world.network.loss = Chance::of(0.1);
    for (host, at) in (0..).zip(JOINS) {
        world.run_until(from_seconds(at));
        world.start(host, Start::default());
    }
    world.run_until(175 * SECOND);
    let known = |machine: &Swim| {
        let reachable =
            |host: &HostId| matches!(machine.belief(*host), Some(Belief::Alive | Belief::Suspect));
        (0..members).filter(reachable).count()
    };
    let mut sizes: Vec<usize> = world.running().map(|(_, machine)| known(machine)).collect();
    sizes.sort_unstable();
    sizes[sizes.len() / 2]
}
