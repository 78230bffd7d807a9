//! A further ring over the same membership: who is on it, and how it places keys.

use swim_core::Labels;
use swim_core::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX};

use crate::placement::{PlacementChoice, PlacementError};

/// Most values that an error repeats, and most characters of each.
const SHOWN_VALUES_MAX: usize = 8;
const SHOWN_CHARS_MAX: usize = 32;

/// A further ring over the same membership, for [`Builder::ring`](crate::Builder::ring): the
/// members of the main ring whose labels meet its conditions, with a placement of its own.
///
/// All members must give the same options: a ring is a function of the membership and of them.
/// Without a condition all members are on it.
///
/// ```
/// use ringpop::{PlacementChoice, Ringpop, RingOptions};
///
/// // Each process says what it does, and all know both rings.
/// let builder = Ringpop::builder("rides")
///     .label("role", "worker")
///     .ring("workers", RingOptions::new().label("role", "worker"))
///     .ring(
///         "storage",
///         RingOptions::new()
///             .label_in("role", ["storage", "archive"])
///             .placement(PlacementChoice::Ring { points: 200 }),
///     );
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingOptions {
    /// Labels, each with the values that it may have.
    conditions: Vec<(String, Vec<String>)>,
    pub(crate) placement: PlacementChoice,
}

impl RingOptions {
    /// All members, by rendezvous.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes only members whose label `key` is `value`. Several conditions must all be met;
    /// [`Builder::bind`](crate::Builder::bind) refuses those that no member can meet.
    #[must_use]
    pub fn label(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.label_in(key, [value.into()])
    }

    /// Takes only members whose label `key` is one of `values`.
    #[must_use]
    pub fn label_in(
        mut self,
        key: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.conditions.push((key.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// How keys are placed on this ring. No vote is taken: change it by another ring, which callers
    /// turn to when all members have it. Default: rendezvous.
    #[must_use]
    pub const fn placement(mut self, placement: PlacementChoice) -> Self {
        self.placement = placement;
        self
    }

    /// Whether a member with these labels is on the ring.
    pub(crate) fn includes(&self, labels: &Labels) -> bool {
        self.conditions.iter().all(|(key, values)| {
            labels.get(key).is_some_and(|label| values.iter().any(|value| value == label))
        })
    }

    pub(crate) fn check_placement(&self) -> Result<(), PlacementError> {
        self.placement.check()
    }

    /// Refuses conditions that no member can meet: the ring would be empty for ever. The bounds are
    /// those of the protocol, because other members may have wider label limits than this one.
    pub(crate) fn check_conditions(&self) -> Result<(), RingConditionError> {
        for (i, (label, values)) in self.conditions.iter().enumerate() {
            check_label(label, values)?;
            let former = self.conditions[..i].iter().filter(|(other, _)| other == label);
            let mut former = former.map(|(_, values)| values);
            let Some(first) = former.next() else { continue };
            let mut left: Vec<&String> = first.iter().collect();
            former.for_each(|values| left.retain(|value| values.contains(value)));
            if !left.iter().any(|value| values.contains(value)) {
                let (one, other) = (shown(left), shown(values));
                return Err(RingConditionError::Contradiction { label: label.clone(), one, other });
            }
        }
        Ok(())
    }
}

/// Why a condition of a ring can be met by no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingConditionError {
    /// The key of the label is empty.
    #[error(
        "a condition asks for {values:?} of a label without a name; a label has 1 to \
         {LABEL_KEY_BYTES_MAX} bytes"
    )]
    LabelEmpty {
        /// The values, at most 8 of them, each cut to 32 characters.
        values: Vec<String>,
    },
    /// The key of the label is longer than any member may have it.
    #[error(
        "a condition is about the label `{label}...` of {bytes} bytes; a label has 1 to \
         {LABEL_KEY_BYTES_MAX} bytes"
    )]
    LabelTooLong {
        /// The key, cut to 32 characters.
        label: String,
        /// Its length.
        bytes: usize,
    },
    /// The condition names no value.
    #[error(
        "the condition on the label `{label}` has no value, so no member meets it; give it at least \
         one, or leave the condition out"
    )]
    NoValue {
        /// The label.
        label: String,
    },
    /// A value is longer than any member may have it.
    #[error(
        "the condition on the label `{label}` has the value `{value}...` of {bytes} bytes; a value \
         has at most {LABEL_VALUE_BYTES_MAX} bytes"
    )]
    ValueTooLong {
        /// The label.
        label: String,
        /// The value, cut to 32 characters.
        value: String,
        /// Its length.
        bytes: usize,
    },
    /// A label would have to have two values.
    #[error(
        "the conditions on the label `{label}` exclude each other: one asks for {one:?}, another one \
         for {other:?}; a label has one value, so give all values that do to one `label_in`"
    )]
    Contradiction {
        /// The label.
        label: String,
        /// What the first conditions leave, at most 8 values, each cut to 32 characters.
        one: Vec<String>,
        /// The values of the next condition, in the same way.
        other: Vec<String>,
    },
}

/// Refuses a condition that no label can meet.
fn check_label(label: &str, values: &[String]) -> Result<(), RingConditionError> {
    if label.is_empty() {
        return Err(RingConditionError::LabelEmpty { values: shown(values) });
    }
    if label.len() > LABEL_KEY_BYTES_MAX {
        return Err(RingConditionError::LabelTooLong { label: cut(label), bytes: label.len() });
    }
    let label = label.to_owned();
    if values.is_empty() {
        return Err(RingConditionError::NoValue { label });
    }
    match values.iter().find(|value| value.len() > LABEL_VALUE_BYTES_MAX) {
        Some(value) => {
            let bytes = value.len();
            Err(RingConditionError::ValueTooLong { label, value: cut(value), bytes })
        }
        None => Ok(()),
    }
}

fn shown<'a>(values: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    values.into_iter().take(SHOWN_VALUES_MAX).map(|value| cut(value)).collect()
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_be_met() {
        let labels = |pairs: &[(&str, &str)]| Labels::new(pairs.iter().copied()).unwrap();
        let options = RingOptions::new().label_in("role", ["api", "batch"]).label("zone", "a");
        assert!(options.includes(&labels(&[("role", "api"), ("zone", "a")])));
        assert!(options.includes(&labels(&[("role", "batch"), ("zone", "a"), ("x", "y")])));
        for other in [
            &[("role", "api")][..],
            &[("zone", "a")],
            &[("role", "api"), ("zone", "b")],
            &[("role", "apis"), ("zone", "a")],
            &[],
        ] {
            assert!(!options.includes(&labels(other)), "{other:?}");
        }
        assert!(RingOptions::new().includes(&labels(&[])));
        let nobody = RingOptions::new().label_in("role", Vec::<String>::new());
        assert!(!nobody.includes(&labels(&[("role", "api")])));
    }

    #[test]
    fn conditions_that_a_label_can_meet_pass() {
        for options in [
            RingOptions::new(),
            RingOptions::new().label("role", ""),
            RingOptions::new().label("k".repeat(256), "v".repeat(1024)),
            RingOptions::new().label("role", "a").label("zone", "b"),
            RingOptions::new().label_in("role", ["a", "b"]).label_in("role", ["b", "c"]),
        ] {
            assert_eq!(options.check_conditions(), Ok(()), "{options:?}");
        }
    }

    #[test]
    fn conditions_that_no_label_can_meet_are_refused_by_name() {
        let empty: [&str; 0] = [];
        let pairwise = RingOptions::new()
            .label_in("role", ["a", "b"])
            .label_in("role", ["b", "c"])
            .label_in("role", ["a", "c"]);
        for (options, parts) in [
            (RingOptions::new().label_in("role", empty), ["`role` has no value", "at least one"]),
            (RingOptions::new().label("", "v"), [r#"["v"] of a label without a name"#, "1 to 256"]),
            (RingOptions::new().label("k".repeat(100_000), "v"), ["`kkkk", "100000 bytes"]),
            (RingOptions::new().label("role", "v".repeat(1025)), ["`role`", "at most 1024 bytes"]),
            (
                RingOptions::new().label("role", "x").label("role", "y"),
                ["`role` exclude each other", r#"one asks for ["x"], another one for ["y"]"#],
            ),
            (pairwise, ["`role` exclude", r#"one asks for ["b"], another one for ["a", "c"]"#]),
        ] {
            let error = options.check_conditions().unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
            assert!(error.len() < 300, "{error}");
        }
    }
}
