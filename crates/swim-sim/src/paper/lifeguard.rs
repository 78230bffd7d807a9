//! Lifeguard (Dadgar, Phillips, Currey, arXiv 1707.00788v2), section V: slow
//! members accuse others.

use std::time::Duration;

use swim_core::{Config, ConfigBuilder};

use crate::host::Pause;
use crate::machine::{Belief, HostId, Machine, Observation};
use crate::rng::Rng;
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

    /// The settings of the row: alpha 5, beta 6, three confirmations, a period
    /// of one second.
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
            .ping_timeout(Duration::from_millis(500))
            .ping_req_timeout(Duration::from_millis(500))
            .shared_rounds(false)
            .probes_max(1)
            .late_acks(has(Self::Probe))
            .awareness_max(if has(Self::Probe) { 9 } else { 1 })
            .buddy(has(Self::Buddy))
            .suspect_timeout(Duration::from_secs(1) * alpha)
            .suspect_timeout_max_factor(if has(Self::Suspicion) { beta } else { 1 })
            .suspect_confirmations(if has(Self::Suspicion) { 3 } else { 0 })
            .inconclusive_probes_max(0);
        builder.build().expect("alpha and beta are above 0, the rest is within its ranges")
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
        let Some(Observation { subject, belief: Belief::Faulty }) = machine.observation(event)
        else {
            return;
        };
        if !self.anomalous[subject as usize] {
            self.counted.false_positives += 1;
            self.counted.at_healthy += u64::from(!self.anomalous[host as usize]);
        }
    }
}

/// One run of the Interval experiment: `anomalous` members stand still for a
/// duration, go on for an interval, and so on, all together.
#[must_use]
pub fn interval(
    config: &Config,
    pause: Pause,
    anomalous: u32,
    (duration_ms, interval_ms): (u64, u64),
    seed: u64,
) -> Accusations {
    let judge = Judge { anomalous: vec![false; MEMBERS as usize], counted: Accusations::default() };
    let setup = Setup { hosts: MEMBERS, config: config.clone(), seed };
    let mut world: World<Swim, Judge> = World::new(setup, judge);
    world.warm(MEMBERS);
    world.run_for(15 * SECOND);
    let mut hosts: Vec<HostId> = (0..MEMBERS).collect();
    Rng::stream(seed, "anomalous").shuffle(&mut hosts);
    hosts.truncate(anomalous as usize);
    hosts.iter().for_each(|host| world.watcher.anomalous[*host as usize] = true);
    world.counts_bytes = true;
    let sent = |world: &World<Swim, Judge>| {
        let sent = (0..MEMBERS).map(|host| world.traffic(host).0);
        sent.fold((0, 0), |(packets, bytes), sent| (packets + sent.packets, bytes + sent.bytes))
    };
    let (began, before) = (world.now(), sent(&world));
    while world.now() - began < LASTS {
        hosts.iter().for_each(|host| world.pause(*host, pause));
        world.run_for(duration_ms * MILLISECOND);
        hosts.iter().for_each(|host| world.resume(*host));
        world.run_for(interval_ms * MILLISECOND);
    }
    let after = sent(&world);
    let messages = after.0 - before.0;
    Accusations { messages, bytes: after.1 - before.1, ..world.watcher.counted }
}

/// Seconds from the start of a single anomaly of 32 s until the first member
/// that is well takes each anomalous one for failed.
#[must_use]
pub fn first_detections(config: &Config, pause: Pause, anomalous: u32, seed: u64) -> Vec<f64> {
    let recorder = crate::scenario::Recorder::new(MEMBERS);
    let setup = Setup { hosts: MEMBERS, config: config.clone(), seed };
    let mut world: World<Swim, _> = World::new(setup, recorder);
    world.warm(MEMBERS);
    let mut rng = Rng::stream(seed, "anomalous");
    world.run_for(15 * SECOND + rng.below(SECOND));
    let mut hosts: Vec<HostId> = (0..MEMBERS).collect();
    rng.shuffle(&mut hosts);
    hosts.truncate(anomalous as usize);
    let began = world.now();
    hosts.iter().for_each(|host| world.pause(*host, pause));
    world.run_for(32_768 * MILLISECOND);
    let mut first = Vec::new();
    for host in &hosts {
        let seen = world.watcher.seen.iter().find(|seen| {
            seen.what == Observation { subject: *host, belief: Belief::Faulty }
                && !hosts.contains(&seen.by)
                && seen.at >= began
        });
        first.extend(seen.map(|seen| (seen.at - began) as f64 / SECOND as f64));
    }
    first
}
