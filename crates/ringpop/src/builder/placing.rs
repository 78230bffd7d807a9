//! Settings of the ring.

use super::Builder;
use crate::placement::PlacementChoice;

impl Builder {
    /// How keys are placed on members. All members use what most of them ask for; see
    /// [`PlacementChoice`] for which to take, and `docs/placements.md` for how to change it in a
    /// running cluster. Default: rendezvous, whose shares are exactly those of the weights.
    ///
    /// ```
    /// # use ringpop::{PlacementChoice, Ringpop};
    /// // For a thousand members, or ranges of keys to hand over.
    /// let builder = Ringpop::builder("rides").placement(PlacementChoice::Ring { points: 200 });
    /// ```
    pub const fn placement(mut self, placement: PlacementChoice) -> Self {
        self.placement = placement;
        self
    }
}
