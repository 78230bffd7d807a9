//! Settings of the ring.

use super::Builder;
use crate::health_check::HealthCheck;
use crate::placement::PlacementChoice;
use crate::slow_start::SlowStart;

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

    /// Whether this process can do its work, as the application finds out: a member whose check
    /// fails is off the ring until it passes again. Default: none.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.off_ring.health_check = Some(check);
        self
    }

    /// Has this member get its weight in steps whenever it comes onto the ring. Its weight must be
    /// two at least. Default: it has all of it at once.
    pub const fn slow_start(mut self, slow_start: SlowStart) -> Self {
        self.off_ring.slow_start = Some(slow_start);
        self
    }
}
