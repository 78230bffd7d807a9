//! A further ring over the same membership: who is on it, and how it places keys.

use swim_core::Labels;

use crate::placement::{PlacementChoice, PlacementError};

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

    /// Takes only members whose label `key` is `value`. Several conditions must all be met.
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

    pub(crate) fn check(&self) -> Result<(), PlacementError> {
        self.placement.check()
    }
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
}
