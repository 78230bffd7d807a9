//! How many probes a period begins.
//!
//! One is enough while members fail one by one: all others look for the failed
//! one. When most fail at once, few are left to look for many. They would take
//! as many periods as members died, and Lifeguard would slow them down for each,
//! as if the silence were their own fault. So a member that most others do not
//! answer, while some do, looks faster and blames itself no more.

use crate::limits::PROBES_PER_PERIOD_MAX;

/// The last probes that count.
const PROBES: u32 = 8;

/// So many of them must have failed: three of four. Where fewer members are gone,
/// the others find them at the usual pace; and hardly ever do so many probes
/// fail where a quarter of the members is slow (4 of 1,000 times).
const FAILED: u32 = 6;

/// How a probe ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The target lives.
    #[default]
    Reached,
    /// The target did not answer while others did.
    TargetSilent,
    /// Nobody answered.
    AllSilent,
}

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The last probes, the latest in the lowest bit: set for a failed one.
    failed: u8,
    last: Outcome,
}

impl Pace {
    pub(crate) const fn record(&mut self, outcome: Outcome) {
        self.failed = (self.failed << 1) | !matches!(outcome, Outcome::Reached) as u8;
        self.last = outcome;
    }

    /// Whether most members are silent although others answer: they are gone, and not
    /// this member's link.
    pub(crate) fn most_are_gone(&self) -> bool {
        self.last == Outcome::TargetSilent && self.failed.count_ones() >= FAILED
    }

    /// Whether nobody answered the last probe.
    pub(crate) fn nobody_answers(&self) -> bool {
        self.last == Outcome::AllSilent
    }

    /// How many probes the next period begins.
    pub(crate) fn probes(&self) -> usize {
        if self.most_are_gone() { PROBES_PER_PERIOD_MAX } else { 1 }
    }
}

const _: () = assert!(PROBES == u8::BITS, "a bit for each probe that counts");

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcomes: &[Outcome]) -> Pace {
        let mut pace = Pace::default();
        outcomes.iter().for_each(|outcome| pace.record(*outcome));
        pace
    }

    #[test]
    fn most_are_gone_when_six_of_eight_fail_and_others_answer() {
        use Outcome::{AllSilent, Reached, TargetSilent};
        assert_eq!(after(&[]).probes(), 1);
        assert_eq!(after(&[TargetSilent; 5]).probes(), 1);
        assert_eq!(after(&[TargetSilent; 6]).probes(), PROBES_PER_PERIOD_MAX);
        assert_eq!(after(&[AllSilent; 100]).probes(), 1, "it may be its own link");
        let mut found_one = vec![AllSilent; 100];
        found_one.push(TargetSilent);
        assert_eq!(after(&found_one).probes(), PROBES_PER_PERIOD_MAX);
        found_one.push(Reached);
        assert_eq!(after(&found_one).probes(), 1);
        assert_eq!(after(&[Reached, TargetSilent].repeat(4)).probes(), 1, "half of them fail");
    }
}
