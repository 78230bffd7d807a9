//! The weight of a member on the ring, as its labels tell it: now, and after a planned change.
//!
//! A member that plans to change its weight says so in a label of its own, in two steps. First the
//! label names the weight, `3`: the ring stays as it is while the owners of keys hand over their
//! state. Then it names the instant as well, `3@1790000000123`: members count the old weight before
//! that instant of the clock of this member, and the new one from then on. At the end the member
//! sets its weight and takes the label away, which changes no ring any more. A member that hears of
//! the change after the instant, or does not know the label, follows as it does without a plan.

use std::fmt;

use swim_core::Labels;
use swim_core::limits::UNIX_MS_MAX;

use crate::limits::{NEXT_WEIGHT_LABEL, WEIGHT_LABEL, WEIGHT_MAX};
use crate::slow_start::warmed;

/// The planned change of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextWeight {
    /// 0 takes the member off the ring.
    pub(crate) weight: u32,
    /// When all members change it, in milliseconds of the Unix epoch by the clock of the member;
    /// `None` while the state of its keys is handed over.
    pub(crate) at_ms: Option<u64>,
}

impl NextWeight {
    /// What a member plans; `None` also for what this version cannot read.
    pub(crate) fn of(labels: &Labels) -> Option<Self> {
        let text = labels.get(NEXT_WEIGHT_LABEL)?;
        let (weight, at_ms) = match text.split_once('@') {
            Some((weight, at)) => (weight, Some(number(at).filter(|at| *at <= UNIX_MS_MAX)?)),
            None => (text, None),
        };
        let weight = number(weight)?.min(u64::from(WEIGHT_MAX));
        Some(Self { weight: u32::try_from(weight).ok()?, at_ms })
    }
}

impl fmt::Display for NextWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.weight)?;
        self.at_ms.map_or(Ok(()), |at| write!(f, "@{at}"))
    }
}

/// Digits only: the parser of the standard library takes a sign as well.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The weight of a member on the ring: the part of it that counts at its step of a slow start.
/// `is_switched` tells whether the agreed instant of its
/// planned change has come here.
pub(crate) fn weight_of(labels: &Labels, is_switched: bool) -> u32 {
    if is_switched && let Some(NextWeight { weight, at_ms: Some(_) }) = NextWeight::of(labels) {
        return warmed(weight, labels);
    }
    let label = labels.get(WEIGHT_LABEL);
    warmed(label.and_then(|text| text.parse().ok()).unwrap_or(1).min(WEIGHT_MAX), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn text_and_plan_are_one_thing() {
        for (text, weight, at_ms) in
            [("0", 0, None), ("7", 7, None), ("3@1790000000123", 3, Some(1_790_000_000_123))]
        {
            let plan = NextWeight { weight, at_ms };
            assert_eq!(NextWeight::of(&labels(&[(NEXT_WEIGHT_LABEL, text)])), Some(plan));
            assert_eq!(plan.to_string(), text);
        }
    }

    #[test]
    fn a_plan_that_cannot_be_read_is_none() {
        for text in
            ["", "@", "3@", "@5", "+3", "3@-1", "3@1.5", "three", "3@5@6", "3@18446744073709551615"]
        {
            assert_eq!(NextWeight::of(&labels(&[(NEXT_WEIGHT_LABEL, text)])), None, "{text}");
        }
    }

    #[test]
    fn a_plan_counts_from_its_instant_on_and_not_before() {
        for (next, before, after) in [("0@5", 3, 0), ("9@5", 3, 9), ("900@5", 3, 100), ("9", 3, 3)]
        {
            let labels = labels(&[(WEIGHT_LABEL, "3"), (NEXT_WEIGHT_LABEL, next)]);
            assert_eq!((weight_of(&labels, false), weight_of(&labels, true)), (before, after));
        }
        assert_eq!(weight_of(&Labels::default(), true), 1);
    }
}
