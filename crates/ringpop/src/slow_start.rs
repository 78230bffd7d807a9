//! Slow start: a member that comes onto the ring gets its weight in steps.

use std::fmt;
use std::time::Duration;

use swim_core::Labels;

use crate::limits::{SLOW_START_MAX, SLOW_START_STEPS_MAX, WARMING_LABEL};

/// How a member that comes onto the ring gets its weight: in steps of equal length, for instance
/// while its caches fill. It begins when the member joins, comes back after it was drained,
/// evicted or unhealthy, or rejoins.
///
/// Each step is a change of the ring. A weight of `w` has at most `w` steps: give all members a
/// weight of ten, say, in place of one; with the default placement that costs nothing.
///
/// ```
/// # use std::time::Duration;
/// # use ringpop::{Ringpop, SlowStart};
/// // After two minutes it has its share.
/// let slowly = SlowStart::new(Duration::from_secs(120)).steps(5);
/// let builder = Ringpop::builder("rides").weight(10).slow_start(slowly);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    time: Duration,
    steps: u32,
}

/// Why a member cannot start as slowly as was set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlowStartError {
    /// The time is none, or too long.
    #[error("the slow start takes {time:?}, it must be from 1 ns to {SLOW_START_MAX:?}")]
    Time {
        /// The given time.
        time: Duration,
    },
    /// The number of steps is out of its range.
    #[error("the slow start has {steps} steps, it must be 2 to {SLOW_START_STEPS_MAX}")]
    Steps {
        /// The given number.
        steps: u32,
    },
    /// The weight has no parts.
    #[error(
        "the slow start: the weight is {weight}, which has no parts; give all members a larger one, \
         such as 10"
    )]
    Weight {
        /// The weight of the member.
        weight: u32,
    },
}

impl SlowStart {
    /// Over this time, up to an hour, in five steps.
    #[must_use]
    pub const fn new(time: Duration) -> Self {
        Self { time, steps: 5 }
    }

    /// In so many steps: 2 to [`SLOW_START_STEPS_MAX`].
    #[must_use]
    pub const fn steps(mut self, steps: u32) -> Self {
        self.steps = steps;
        self
    }

    pub(crate) fn check(&self, weight: u32) -> Result<(), SlowStartError> {
        let (time, steps) = (self.time, self.steps);
        if time.is_zero() || time > SLOW_START_MAX {
            return Err(SlowStartError::Time { time });
        }
        if !(2..=SLOW_START_STEPS_MAX).contains(&steps) {
            return Err(SlowStartError::Steps { steps });
        }
        if weight < 2 {
            return Err(SlowStartError::Weight { weight });
        }
        Ok(())
    }

    /// The first step.
    pub(crate) const fn first(&self) -> Step {
        Step { number: 1, of: self.steps }
    }

    /// The time of each step.
    pub(crate) fn pause(&self) -> Duration {
        self.time / self.steps
    }
}

/// A step of a slow start, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    number: u32,
    of: u32,
}

impl Step {
    /// The next one; `None`: the member has its whole weight.
    pub(crate) fn next(self) -> Option<Self> {
        let number = self.number + 1;
        (number < self.of).then_some(Self { number, ..self })
    }

    /// The step of a member; `None` also for what cannot be read.
    pub(crate) fn of(labels: &Labels) -> Option<Self> {
        let (number, of) = labels.get(WARMING_LABEL)?.split_once('/')?;
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        (1 <= number && number < of && of <= SLOW_START_STEPS_MAX).then_some(Self { number, of })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// The part of its weight that a member has at the step of its labels, 1 at least where there is a
/// weight.
pub(crate) fn warmed(weight: u32, labels: &Labels) -> u32 {
    match Step::of(labels) {
        Some(Step { number, of }) if weight > 0 => {
            let part = u64::from(weight) * u64::from(number) / u64::from(of);
            u32::try_from(part).unwrap_or(weight).max(1)
        }
        _ => weight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(step: &str) -> Labels {
        Labels::new([(WARMING_LABEL, step)]).unwrap()
    }

    #[test]
    fn a_weight_grows_by_its_parts() {
        let weights = |weight: u32| -> Vec<u32> {
            (1..5).map(|k| warmed(weight, &labels(&format!("{k}/5")))).collect()
        };
        assert_eq!(weights(10), [2, 4, 6, 8]);
        assert_eq!(weights(3), [1, 1, 1, 2]);
        assert_eq!(weights(100), [20, 40, 60, 80]);
        assert_eq!(weights(0), [0; 4], "what is kept off stays off");
        assert_eq!(warmed(7, &Labels::default()), 7);
        for unreadable in ["", "1", "0/5", "5/5", "6/5", "-1/5", "1/21", "a/b", "1/5/7"] {
            assert_eq!(warmed(7, &labels(unreadable)), 7, "{unreadable}");
        }
    }

    #[test]
    fn steps_end_with_the_whole_weight() {
        let mut step = Some(SlowStart::new(Duration::from_secs(1)).steps(3).first());
        let mut texts = Vec::new();
        while let Some(now) = step {
            assert_eq!(Step::of(&labels(&now.to_string())), step);
            texts.push(now.to_string());
            step = now.next();
        }
        assert_eq!(texts, ["1/3", "2/3"]);
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let second = Duration::from_secs(1);
        assert!(SlowStart::new(second).check(2).is_ok());
        for (slow, weight, part) in [
            (SlowStart::new(Duration::ZERO), 2, "0ns"),
            (SlowStart::new(second * 3601), 2, "to 3600s"),
            (SlowStart::new(second).steps(1), 2, "1 steps"),
            (SlowStart::new(second).steps(21), 2, "2 to 20"),
            (SlowStart::new(second), 1, "such as 10"),
        ] {
            let error = slow.check(weight).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
