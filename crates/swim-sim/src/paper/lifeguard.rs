//! Lifeguard (Dadgar, Phillips, Currey, arXiv 1707.00788v2), section V: slow
//! members accuse others.

use std::collections::BTreeSet;
use std::time::Duration;

use swim_core::{Config, ConfigBuilder};

use crate::host::Pause;
use crate::machine::{Belief, HostId, Machine, Observation};
use crate::network::Latency;
use crate::rng::Rng;
use crate::scenario::Seen;
use crate::swim::Swim;
use crate::time::{MILLISECOND, Nanos, SECOND};
use crate::watch::Watcher;
use crate::world::{Setup, World};

/// Members of the experiments.
pub const MEMBERS: u32 = 128;

/// Numbers of anomalous members.
pub const CONCURRENT: [u32; 9] = [1, 4, 8, 12, 16, 20, 24, 28, 32];

/// How long an anomaly lasts, in milliseconds.
pub const DURATIONS_MS: [u64; 6] = [128, 512, 2_048, 8_192, 16_384, 32_768];

/// Time between two anomalies, in milliseconds.
pub const INTERVALS_MS: [u64; 8] = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384];

/// How long anomalies go on; the last one is waited for.
const LASTS: Nanos = 120 * SECOND;

/// Parts of Lifeguard, as the rows of Table IV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// None of them.
    Swim,
    /// Probes that stretch.
    Probe,
    /// Suspicions that shrink with confirmations.
    Suspicion,
    /// Suspects that are always told.
    Buddy,
    /// All of them.
    Lifeguard,
}

impl Parts {
    /// All rows.
    pub const ALL: [Self; 5] =
        [Self::Swim, Self::Probe, Self::Suspicion, Self::Buddy, Self::Lifeguard];

    /// The name of the row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Swim => "SWIM",
            Self::Probe => "LHA-Probe",
            Self::Suspicion => "LHA-Suspicion",
            Self::Buddy => "Buddy System",
            Self::Lifeguard => "Lifeguard",
        }
    }

    /// The settings of the row: three confirmations, a period of one second,
    /// and memberlist's limits of gossip. A probe that fails is over when the
    /// next one begins.
    ///
    /// # Panics
    ///
    /// When alpha or beta is 0.
    #[must_use]
    pub fn config(self, alpha: u32, beta: u32) -> Config {
        let has = |part| self == part || self == Self::Lifeguard;
        let builder: ConfigBuilder = Config::lan()
            .to_builder()
            .protocol_period(Duration::from_secs(1))
            .ping_timeout(Duration::from_millis(499))
            .ping_req_timeout(Duration::from_millis(499))
            .piggyback_factor(4)
            .message_bytes_max(1_400)
            .shared_rounds(false)
            .verify_claims(false)
            .probes_max(1)
            .late_acks(has(Self::Probe))
            .awareness_max(if has(Self::Probe) { 9 } else { 1 })
            .buddy(has(Self::Buddy))
            .suspect_timeout(Duration::from_secs(1) * alpha)
            .suspect_timeout_max_factor(if has(Self::Suspicion) { beta } else { 1 })
            .suspect_confirmations(if has(Self::Suspicion) { 3 } else { 0 })
            .inconclusive_probes_max(0)
            .suspicion_probes(0);
        builder.build().expect("alpha and beta are above 0, the rest is within its ranges")
    }
}

/// How members are slow, and how long packets take from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// The way in which slow members stand still.
    pub pause: Pause,
    /// How long packets take.
    pub latency: Latency,
}

impl Model {
    /// Threads that block where they send or receive, with packets that take
    /// this long in the mean: the paper's processes shared one machine, and it
    /// does not say how long their packets took.
    #[must_use]
    pub const fn blocked(mean: Nanos) -> Self {
        let latency = Latency::Uniform { min: mean / 2, max: mean * 3 / 2 };
        Self { pause: Pause::Blocked, latency }
    }

    fn world<W: Watcher<Swim>>(self, config: &Config, seed: u64, watcher: W) -> World<Swim, W> {
        let setup = Setup { hosts: MEMBERS, config: config.clone(), seed };
        let mut world = World::new(setup, watcher);
        world.network.latency = self.latency;
        world.warm(MEMBERS);
        world.run_for(15 * SECOND);
        world
    }
}

/// One run of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Members that stand still.
    pub anomalous: u32,
    /// How long, in milliseconds.
    pub duration_ms: u64,
    /// How long they go on after it, in milliseconds; 0 where they stand still
    /// only once.
    pub interval_ms: u64,
    /// Which of the repetitions it is; each has seeds of its own.
    pub repetition: u64,
}

impl Run {
    fn seed(self) -> u64 {
        let Self { anomalous, duration_ms, interval_ms, repetition } = self;
        repetition << 48 | u64::from(anomalous) << 40 | duration_ms << 20 | interval_ms
    }

    fn anomalous(self) -> Vec<HostId> {
        let mut hosts: Vec<HostId> = (0..MEMBERS).collect();
        Rng::stream(self.seed(), "anomalous").shuffle(&mut hosts);
        hosts.truncate(self.anomalous as usize);
        hosts
    }
}

/// What happened in some runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accusations {
    /// Members that are well and were taken for failed, counted at each member.
    pub false_positives: u64,
    /// Those counted at members that are well themselves.
    pub at_healthy: u64,
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent.
    pub bytes: u64,
}

impl Accusations {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            false_positives: self.false_positives + other.false_positives,
            at_healthy: self.at_healthy + other.at_healthy,
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Counts accusations of members that are well.
#[derive(Debug)]
struct Judge {
    anomalous: Vec<bool>,
    counted: Accusations,
}

impl<M: Machine> Watcher<M> for Judge {
    fn event(&mut self, _: Nanos, host: HostId, event: &M::Event, machine: &M) {
        let Some(Observation { subject, belief: Belief::Faulty, .. }) = machine.observation(event)
        else {
            return;
        };
        if !self.anomalous[subject as usize] {
            self.counted.false_positives += 1;
            self.counted.at_healthy += u64::from(!self.anomalous[host as usize]);
        }
    }
}

/// The Interval experiment: some members stand still, go on, and so on, all
/// together.
#[must_use]
pub fn interval(config: &Config, model: Model, run: Run) -> Accusations {
    let judge = Judge { anomalous: vec![false; MEMBERS as usize], counted: Accusations::default() };
    let mut world = model.world(config, run.seed(), judge);
    let hosts = run.anomalous();
    hosts.iter().for_each(|host| world.watcher.anomalous[*host as usize] = true);
    world.counts_bytes = true;
    let sent = |world: &World<Swim, Judge>| {
        let sent = (0..MEMBERS).map(|host| world.traffic(host).0);
        sent.fold((0, 0), |(packets, bytes), sent| (packets + sent.packets, bytes + sent.bytes))
    };
    let (began, before) = (world.now(), sent(&world));
    while world.now() - began < LASTS {
        hosts.iter().for_each(|host| world.pause(*host, model.pause));
        world.run_for(run.duration_ms * MILLISECOND);
        hosts.iter().for_each(|host| world.resume(*host));
        world.run_for(run.interval_ms * MILLISECOND);
    }
    let after = sent(&world);
    let messages = after.0 - before.0;
    Accusations { messages, bytes: after.1 - before.1, ..world.watcher.counted }
}

/// How long after the end of a single anomaly detections still count.
const AFTERMATH: Nanos = 10 * SECOND;

/// Seconds from the start of an anomaly until members that are well take the
/// anomalous ones for failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detections {
    /// Until the first of them does, for each anomalous one that was detected.
    pub first: Vec<f64>,
    /// Until the last of them does, for each that all detected.
    pub full: Vec<f64>,
}

/// The Threshold experiment: some members stand still once, all together.
#[must_use]
pub fn threshold(config: &Config, model: Model, run: Run) -> Detections {
    let mut world = model.world(config, run.seed(), crate::scenario::Recorder::new(MEMBERS));
    world.run_for(Rng::stream(run.seed(), "start").below(SECOND));
    let hosts = run.anomalous();
    let began = world.now();
    hosts.iter().for_each(|host| world.pause(*host, model.pause));
    world.run_for(run.duration_ms * MILLISECOND);
    hosts.iter().for_each(|host| world.resume(*host));
    world.run_for(AFTERMATH);
    let mut detections = Detections::default();
    for host in &hosts {
        let is_detection = |seen: &&Seen| {
            (seen.what.subject, seen.what.belief) == (*host, Belief::Faulty)
                && !hosts.contains(&seen.by)
        };
        let seen: Vec<&Seen> = world.watcher.seen.iter().filter(is_detection).collect();
        let seconds = |seen: &Seen| (seen.at - began) as f64 / SECOND as f64;
        detections.first.extend(seen.first().map(|seen| seconds(seen)));
        let by: BTreeSet<HostId> = seen.iter().map(|seen| seen.by).collect();
        if by.len() as u32 == MEMBERS - run.anomalous {
            detections.full.extend(seen.last().map(|seen| seconds(seen)));
        }
    }
    detections
}
