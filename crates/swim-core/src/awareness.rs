//! How far this member trusts its own timing: Lifeguard's local health
//! multiplier (Dadgar, Phillips, Currey, *Lifeguard: Local Health Awareness
//! for More Accurate Failure Detection*, section IV.A).
//!
//! A member that is starved of CPU or network sees others fail. Signs of that
//! raise a score, and the score stretches the period and timeout of its probes. It
//! accuses less until it is healthy again.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Awareness {
    score: u32,
    /// The score stays below this; 1 switches the multiplier off.
    max: u32,
}

impl Awareness {
    pub(crate) const fn new(max: u32) -> Self {
        Self { score: 0, max }
    }

    pub(crate) fn set_max(&mut self, max: u32) {
        self.max = max;
        self.score = self.score.min(max - 1);
    }

    pub(crate) const fn score(&self) -> u32 {
        self.score
    }

    /// A probe was answered in time.
    pub(crate) const fn improve(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// A sign that this member itself is slow.
    pub(crate) fn worsen(&mut self) {
        self.score = (self.score + 1).min(self.max - 1);
    }

    pub(crate) const fn stretch(&self, duration: Duration) -> Duration {
        duration.saturating_mul(self.score + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_stretches_and_stays_in_its_range() {
        let mut awareness = Awareness::new(3);
        let second = Duration::from_secs(1);
        awareness.improve();
        assert_eq!(awareness.stretch(second), second);
        for _ in 0..9 {
            awareness.worsen();
        }
        assert_eq!((awareness.score(), awareness.stretch(second)), (2, 3 * second));
        awareness.improve();
        assert_eq!(awareness.stretch(second), 2 * second);
    }

    #[test]
    fn a_maximum_of_one_switches_it_off() {
        let mut awareness = Awareness::new(1);
        awareness.worsen();
        assert_eq!(awareness.score(), 0);
    }
}
