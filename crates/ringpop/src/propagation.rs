//! How long news takes to travel in this cluster: members set a label with the time, and each
//! measures when the label of another one reaches it.

mod predicted;
mod sending;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use swim_core::{Cause, Config, Member};

pub(crate) use self::sending::start;
use crate::clock::unix_time;
use crate::generated as proto;
use crate::limits::{
    AGREEMENT_PATIENCE_MAX, AGREEMENT_PATIENCE_MIN, BEACON_AGE_MAX, BEACON_AHEAD_MAX, BEACON_LABEL,
    BEACONS_KEPT_MAX,
};

/// The beacons of one member: those that it sent, and those that reached it.
#[derive(Debug, Default)]
pub(crate) struct Propagation {
    /// How long the latest ones took.
    latest: Mutex<VecDeque<Duration>>,
    sent: AtomicU64,
    received: AtomicU64,
    implausible: AtomicU64,
}

/// Measured and predicted times.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) samples: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// `None` where the simulator has no figure.
    pub(crate) predicted: Option<(Duration, Duration)>,
}

impl Propagation {
    /// A record changed. What a join brings has no time: it was said to others.
    pub(crate) fn note(&self, before: Option<&Member>, after: Option<&Member>, cause: &Cause) {
        let (Some(before), Some(after)) = (before, after) else { return };
        let beacon = after.labels.get(BEACON_LABEL);
        if beacon == before.labels.get(BEACON_LABEL) || matches!(cause, Cause::Join { .. }) {
            return;
        }
        let Some(sent) = beacon.and_then(|beacon| beacon.parse().ok()) else { return };
        self.arrived(Duration::from_micros(sent), unix_time());
    }

    fn arrived(&self, sent: Duration, now: Duration) {
        self.received.fetch_add(1, Ordering::Relaxed);
        let took = now.saturating_sub(sent);
        if sent > now + BEACON_AHEAD_MAX || took > BEACON_AGE_MAX {
            self.implausible.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= BEACONS_KEPT_MAX {
            latest.pop_front();
        }
        latest.push_back(took);
    }

    /// Of the latest beacons, and what the simulator says for such a cluster.
    pub(crate) fn figures(&self, config: &Config, members: usize) -> Figures {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times: Vec<Duration> = latest.iter().copied().collect();
        drop(latest);
        times.sort_unstable();
        let predicted = predicted::propagation(config, members);
        let Some(last) = times.len().checked_sub(1) else {
            return Figures { predicted, ..Figures::default() };
        };
        // The smallest time that so many of a hundred do not exceed.
        let rank = |percent: usize| (times.len() * percent).div_ceil(100).clamp(1, last + 1) - 1;
        let (p50, p99) = (times[rank(50)], times[rank(99)]);
        Figures { samples: times.len(), p50, p99, predicted }
    }

    /// How long a change may take to all members: some times longer than to nearly all.
    pub(crate) fn patience(config: &Config, members: usize) -> Duration {
        let (_, p99) = predicted::propagation(config, members).unwrap_or_default();
        (2 * p99).clamp(AGREEMENT_PATIENCE_MIN, AGREEMENT_PATIENCE_MAX)
    }

    pub(crate) fn told(&self, config: &Config, members: usize) -> proto::GetPropagationResponse {
        let figures = self.figures(config, members);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (predicted_p50, predicted_p99) = figures.predicted.unwrap_or_default();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        proto::GetPropagationResponse {
            samples: figures.samples as u32,
            p50_us: micros(figures.p50),
            p99_us: micros(figures.p99),
            predicted_p50_us: micros(predicted_p50),
            predicted_p99_us: micros(predicted_p99),
            sent: read(&self.sent),
            received: read(&self.received),
            implausible: read(&self.implausible),
        }
    }

    fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use swim_core::{Address, Labels, Status};

    use super::*;

    fn member(beacon: Option<u64>) -> Member {
        let address = Address::new("10.0.0.1:7100").unwrap();
        let labels = Labels::new(beacon.map(|beacon| (BEACON_LABEL, beacon.to_string()))).unwrap();
        Member::new(address, Status::Alive, 1, labels)
    }

    #[test]
    fn only_a_new_beacon_of_a_known_member_is_measured() {
        let propagation = Propagation::default();
        let now = u64::try_from(unix_time().as_micros()).unwrap();
        let (old, new) = (member(Some(now - 9_000)), member(Some(now - 3_000)));
        let gossip = Cause::Gossip { from: old.address.clone() };
        let join = Cause::Join { from: old.address.clone() };
        propagation.note(None, Some(&new), &gossip);
        propagation.note(Some(&new), Some(&new), &gossip);
        propagation.note(Some(&old), Some(&new), &join);
        propagation.note(Some(&old), None, &gossip);
        propagation.note(Some(&old), Some(&member(None)), &gossip);
        assert_eq!(propagation.figures(&Config::lan(), 3).samples, 0);
        propagation.note(Some(&old), Some(&new), &gossip);
        propagation.note(Some(&member(None)), Some(&old), &gossip);
        let figures = propagation.figures(&Config::lan(), 3);
        assert_eq!(figures.samples, 2);
        assert!(figures.p50 >= Duration::from_millis(3) && figures.p99 >= Duration::from_millis(9));
    }

    #[test]
    fn what_a_wrong_clock_says_is_counted_and_not_believed() {
        let propagation = Propagation::default();
        let now = Duration::from_secs(1_000_000);
        propagation.arrived(now + BEACON_AHEAD_MAX + Duration::from_micros(1), now);
        propagation.arrived(now - BEACON_AGE_MAX - Duration::from_micros(1), now);
        assert_eq!(propagation.implausible.load(Ordering::Relaxed), 2);
        propagation.arrived(now + BEACON_AHEAD_MAX, now);
        let figures = propagation.figures(&Config::lan(), 3);
        assert_eq!((figures.samples, figures.p99), (1, Duration::ZERO));
    }

    #[test]
    fn the_latest_beacons_count_and_no_more_are_kept() {
        let propagation = Propagation::default();
        let now = Duration::from_secs(1_000_000);
        for took in 0..BEACONS_KEPT_MAX as u32 + 100 {
            propagation.arrived(now - Duration::from_millis(took.into()), now);
        }
        let figures = propagation.figures(&Config::lan(), 3);
        assert_eq!(figures.samples, BEACONS_KEPT_MAX);
        assert_eq!(figures.p50, Duration::from_millis(100 + BEACONS_KEPT_MAX as u64 / 2 - 1));
    }
}
