//! Settings of the rings.

use ringpop_forward::Routes;

use super::Builder;
use crate::bind_error::BindError;
use crate::health_check::HealthCheck;
use crate::limits::{RING_NAME_BYTES_MAX, RINGS_MAX};
use crate::placement::PlacementChoice;
use crate::ring_options::RingOptions;
use crate::slow_start::SlowStart;
use crate::view::{Definition, ZoneOrder};

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

    /// Sets up a further ring over the same membership, which [`Ringpop::ring`] gives by its name.
    /// All members must set it up alike; those that do not answer from other owners. At most
    /// [`RINGS_MAX`].
    ///
    /// [`Ringpop::ring`]: crate::Ringpop::ring
    pub fn ring(mut self, name: impl Into<String>, options: RingOptions) -> Self {
        self.rings.push(Definition { name: name.into().into(), options });
        self
    }

    /// Methods that belong to the owner of a key on a further ring, in addition to
    /// [`routes`](Self::routes).
    ///
    /// ```
    /// # use ringpop::{Ringpop, RingOptions};
    /// # use ringpop::forward::Routes;
    /// // Front ends take requests, and hand those for a driver to one of the workers.
    /// let builder = Ringpop::builder("rides")
    ///     .label("role", "front-end")
    ///     .ring("workers", RingOptions::new().label("role", "worker"))
    ///     .routes_on("workers", Routes::new().field("/rides.v1.Drivers/Locate", &[1]).unary());
    /// ```
    pub fn routes_on(mut self, ring: impl Into<String>, routes: Routes) -> Self {
        self.ring_routes.push((ring.into(), routes));
        self
    }

    /// In which order the members behind the owner of a key are asked, on all rings, by retries,
    /// hedges and replicators. All members must have the same. Default: as the ring has them.
    ///
    /// ```
    /// # use ringpop::{Ringpop, ZoneOrder};
    /// let builder =
    ///     Ringpop::builder("rides").zone("eu-1a").zone_order(ZoneOrder::OtherZonesFirst);
    /// ```
    pub const fn zone_order(mut self, order: ZoneOrder) -> Self {
        self.zone_order = order;
        self
    }

    pub(super) fn check_rings(&self) -> Result<(), BindError> {
        if self.rings.len() > RINGS_MAX {
            return Err(BindError::Rings { rings: self.rings.len(), max: RINGS_MAX });
        }
        for (i, Definition { name, options }) in self.rings.iter().enumerate() {
            let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic());
            if !(1..=RING_NAME_BYTES_MAX).contains(&name.len()) || !is_visible {
                let name = name.to_string();
                return Err(BindError::RingName { name, max: RING_NAME_BYTES_MAX });
            }
            if self.rings[..i].iter().any(|other| other.name == *name) {
                return Err(BindError::RingTwice { name: name.to_string() });
            }
            options.check_placement()?;
            let refused = |why| BindError::RingCondition { ring: name.to_string(), why };
            options.check_conditions().map_err(refused)?;
        }
        let is_known = |name: &String| self.rings.iter().any(|ring| *ring.name == **name);
        match self.ring_routes.iter().find(|(name, _)| !is_known(name)) {
            Some((name, _)) => Err(BindError::RingUnknown { name: name.clone() }),
            None => Ok(()),
        }
    }
}
