//! State that moves with its keys.

use std::sync::Arc;
use std::time::Duration;

use swim_core::Address;

use super::Builder;
use crate::event::Listeners;
use crate::hand_off::HandOff;
use crate::moving::{MovingKeys, WhileMoving};
use crate::peer_clocks::PeerClocks;
use crate::planned::Planner;
use crate::view::Views;

impl Builder {
    /// Hands the state of keys over before a planned change of the ring: before this member leaves,
    /// when others join, leave or change their weight, and to this member before it owns keys. See
    /// [`hand_off`](crate::hand_off) for a map whose entries move by themselves. Default: nothing
    /// is handed over.
    ///
    /// A member with a hook is a member from its join on and owns keys when
    /// [`Ringpop::bootstrap`](crate::Ringpop::bootstrap) is done. A graceful stop takes as much
    /// longer as the hand-off takes.
    pub fn hand_off(mut self, hook: Arc<impl HandOff>) -> Self {
        self.hand_off.hook = Some(hook);
        self
    }

    /// How long state may be handed over in one planned move: 10 ms to
    /// [`HAND_OFF_LIMIT_MAX`](crate::limits::HAND_OFF_LIMIT_MAX), and at most half of the time that
    /// a [shutdown](crate::Ringpop::shutdown) has. Then the ring changes, whoever is done. Default:
    /// [`HAND_OFF_LIMIT`](crate::limits::HAND_OFF_LIMIT).
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use ringpop::{Ringpop, hand_off::Map};
    /// let sessions = Arc::new(Map::new(100_000, 64 * 1024 * 1024));
    /// let builder = Ringpop::builder("rides")
    ///     .hand_off(Arc::clone(&sessions))
    ///     .hand_off_limit(Duration::from_secs(3));
    /// ```
    pub const fn hand_off_limit(mut self, limit: Duration) -> Self {
        self.hand_off.limit = limit;
        self
    }

    /// What becomes of calls whose keys are about to move away from this member, where it has a
    /// [hook](Self::hand_off). Default: the old owner serves them until the ring changes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::{Ringpop, WhileMoving};
    /// // State that must not change while it is copied.
    /// let builder = Ringpop::builder("rides").while_moving(WhileMoving::wait(Duration::from_secs(2)));
    /// ```
    pub const fn while_moving(mut self, policy: WhileMoving) -> Self {
        self.hand_off.while_moving = policy;
        self
    }

    /// The keys whose calls wait while they move, where they do.
    pub(super) fn moving(&self, views: &Arc<Views>) -> Option<Arc<MovingKeys>> {
        MovingKeys::new(self.hand_off.while_moving, Arc::clone(views)).map(Arc::new)
    }

    pub(super) fn planner(
        &self,
        local: &Address,
        views: &Arc<Views>,
        clocks: &Arc<PeerClocks>,
        listeners: &Listeners,
        moving: Option<Arc<MovingKeys>>,
    ) -> Arc<Planner> {
        let (views, clocks) = (Arc::clone(views), Arc::clone(clocks));
        let (security, settings) = (self.security.clone(), self.hand_off.clone());
        let audience = (listeners.clone(), moving);
        Arc::new(Planner::new(local.clone(), views, clocks, security, settings, audience))
    }

    /// Sets the clock of this member wrong.
    #[cfg(feature = "testing")]
    pub(crate) const fn clock_skew(mut self, ahead_us: i64) -> Self {
        self.clock_skew_us = ahead_us;
        self
    }
}
