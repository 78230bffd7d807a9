//! How often members failed lately: scores that decay, as in BGP route flap
//! damping (RFC 2439, section 4.2) and ringpop-node.

use std::collections::BTreeSet;
use std::time::Duration;

use fxhash::FxHashMap;

use crate::address::Address;
use crate::config::Damping;
use crate::membership::SlotId;
use crate::time::Instant;

/// The scores that this member keeps, and its votes.
#[derive(Debug, Default)]
pub(crate) struct Flaps {
    scores: FxHashMap<SlotId, Score>,
    /// The accusers of a member that refuted since its last failure counted, with the
    /// time of the last refutation.
    refuted: FxHashMap<SlotId, (Instant, BTreeSet<Address>)>,
    /// The members that this one votes for.
    pub(crate) votes: BTreeSet<Address>,
}

#[derive(Debug)]
pub(crate) struct Score {
    points: f64,
    /// When the score had these points.
    at: Instant,
    pub(crate) vote: Vote,
}

/// The vote that goes with a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    None,
    /// Due at this time, unless enough others have voted by then.
    Due(Instant),
    /// Cast, with the time at which it ends unless the member fails again.
    Cast {
        since: Instant,
        end: Instant,
    },
}

impl Vote {
    /// When the vote is cast or ends.
    pub(crate) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Due(at) | Self::Cast { end: at, .. } => Some(at),
        }
    }
}

impl Score {
    pub(crate) fn points(&self, damping: &Damping, now: Instant) -> f64 {
        let half_lives = (now - self.at).as_secs_f64() / damping.half_life.as_secs_f64();
        self.points * (-half_lives).exp2()
    }

    /// When the score has fallen to the reuse limit, rounded up to the next
    /// millisecond.
    fn reusable_at(&self, damping: &Damping) -> Instant {
        let half_lives = (self.points / f64::from(damping.reuse_limit)).log2().max(0.0);
        self.at + damping.half_life.mul_f64(half_lives) + Duration::from_millis(1)
    }

    fn end(&self, damping: &Damping, since: Instant) -> Instant {
        self.reusable_at(damping).min(since + damping.duration_max)
    }
}

impl Flaps {
    pub(crate) fn score(&self, slot: SlotId) -> Option<&Score> {
        self.scores.get(&slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.scores.len()
    }

    /// All deadlines, sorted.
    pub(crate) fn deadlines(&self) -> BTreeSet<(Instant, SlotId)> {
        let deadline = |(slot, score): (&SlotId, &Score)| Some((score.vote.deadline()?, *slot));
        self.scores.iter().filter_map(deadline).collect()
    }

    /// Counts a failure. A vote that becomes due is cast after `delay`.
    pub(crate) fn count(&mut self, damping: &Damping, slot: SlotId, now: Instant, delay: Duration) {
        let fresh = || Score { points: 0.0, at: now, vote: Vote::None };
        let score = self.scores.entry(slot).or_insert_with(fresh);
        let points = score.points(damping, now) + f64::from(damping.penalty);
        score.points = points.min(f64::from(damping.score_max));
        score.at = now;
        match score.vote {
            Vote::None if score.points >= f64::from(damping.suppress_limit) => {
                score.vote = Vote::Due(now + delay);
            }
            Vote::Cast { since, .. } => {
                score.vote = Vote::Cast { since, end: score.end(damping, since) };
            }
            Vote::None | Vote::Due(_) => {}
        }
    }

    /// Records a refuted suspicion. Returns whether enough distinct members had one
    /// within a half-life for a failure to count.
    pub(crate) fn refuted(
        &mut self,
        damping: &Damping,
        slot: SlotId,
        now: Instant,
        accusers: &[Address],
    ) -> bool {
        let (at, refuted_accusers) = self.refuted.entry(slot).or_default();
        if now - *at > damping.half_life {
            refuted_accusers.clear();
        }
        *at = now;
        refuted_accusers.extend(accusers.iter().cloned());
        let enough = refuted_accusers.len() >= damping.quorum;
        if enough {
            self.refuted.remove(&slot);
        }
        enough
    }

    /// A vote that was due is cast.
    pub(crate) fn cast(&mut self, damping: &Damping, slot: SlotId, address: Address, now: Instant) {
        if let Some(score) = self.scores.get_mut(&slot) {
            score.vote = Vote::Cast { since: now, end: score.end(damping, now) };
            self.votes.insert(address);
        }
    }

    /// A vote that was due is not cast: the next failure may bring another.
    pub(crate) fn pass(&mut self, slot: SlotId) {
        if let Some(score) = self.scores.get_mut(&slot) {
            score.vote = Vote::None;
        }
    }

    /// Forgets a score and the vote that goes with it. Returns whether there
    /// was a vote.
    pub(crate) fn forget(&mut self, slot: SlotId, address: &Address) -> bool {
        self.scores.remove(&slot);
        self.refuted.remove(&slot);
        self.votes.remove(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: SlotId = 7;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(n: u64) -> Instant {
        Instant::ZERO + secs(n)
    }

    fn flaps(times: u64) -> Flaps {
        let mut flaps = Flaps::default();
        (0..times).for_each(|_| flaps.count(&Damping::DEFAULT, SLOT, at(0), secs(5)));
        flaps
    }

    fn points(flaps: &Flaps, now: u64) -> u64 {
        flaps.score(SLOT).unwrap().points(&Damping::DEFAULT, at(now)).round() as u64
    }

    #[test]
    fn a_score_halves_in_each_half_life() {
        let flaps = flaps(2);
        assert_eq!([0, 300, 600].map(|now| points(&flaps, now)), [3000, 1500, 750]);
    }

    #[test]
    fn a_vote_is_due_from_the_suppress_limit_on() {
        assert_eq!(flaps(3).score(SLOT).unwrap().vote, Vote::None);
        assert_eq!(flaps(4).score(SLOT).unwrap().vote, Vote::Due(at(5)));
        let mut decayed = flaps(3);
        decayed.count(&Damping::DEFAULT, SLOT, at(600), secs(5));
        assert_eq!(decayed.score(SLOT).unwrap().vote, Vote::None, "the former ones faded");
    }

    #[test]
    fn a_vote_ends_at_the_reuse_limit_and_is_prolonged_by_further_failures() {
        let mut flaps = flaps(50);
        assert_eq!(points(&flaps, 0), 10_000, "the score has a maximum");
        flaps.cast(&Damping::DEFAULT, SLOT, Address::new("a:1").unwrap(), at(0));
        // Two half-lives from 10,000 to 2,500.
        let end = |flaps: &Flaps| flaps.score(SLOT).unwrap().vote.deadline().unwrap();
        assert_eq!(end(&flaps), at(600) + Duration::from_millis(1));
        assert!(flaps.score(SLOT).unwrap().points(&Damping::DEFAULT, end(&flaps)) <= 2500.0);
        flaps.count(&Damping::DEFAULT, SLOT, at(300), secs(5));
        assert!(end(&flaps) > at(600 + 60));
        for now in (300..3600).step_by(100) {
            flaps.count(&Damping::DEFAULT, SLOT, at(now), secs(5));
        }
        assert_eq!(end(&flaps), at(3600), "but not beyond the longest duration");
    }
}
