//! Planned moves: this member and the others change the ring together, after state was handed over.
//!
//! The member that changes its weight leads its own move ([`mover`]). It compares its clock with
//! those of the others, announces the weight to come, waits until all members have handed over the
//! state of the keys that move, and announces the instant at which all switch. Whatever fails on
//! the way only makes the switch come sooner, or one member after the other as without a plan.

mod mover;
mod offers;
mod part;
mod ping;
mod reach;
mod service;
mod succession;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swim_core::{Address, Member, Status};
use tokio::sync::mpsc;
use tokio::time::{Instant as Clock, timeout_at};

pub(crate) use self::mover::{Turn, change_to_asked_weight, change_weight, off_ring};
use self::offers::PlaceOffer;
pub(crate) use self::offers::PlaceOffers;
pub(crate) use self::service::PlannedMovesService;
pub(crate) use self::succession::take_place;
use crate::event::Listeners;
use crate::hand_off::{HandOff, PlannedMove, Sending};
use crate::limits::PLACE_OFFERS_MAX;
use crate::moving::{MovingKeys, WhileMoving};
use crate::peer_clocks::PeerClocks;
use crate::security::Security;
use crate::view::{View, Views};
use crate::weight::NextWeight;

/// What planned moves need of a member.
#[derive(Debug)]
pub(crate) struct Planner {
    local: Address,
    views: Arc<Views>,
    clocks: Arc<PeerClocks>,
    sending: Arc<Sending>,
    hook: Option<Arc<dyn HandOff>>,
    /// How long state may be handed over in one move.
    limit: Duration,
    /// Held by the move of this member: one follows the other.
    own: Arc<tokio::sync::Mutex<()>>,
    /// The moves in which this member hands over or gets state, by the member that planned them.
    parts: Mutex<BTreeMap<Address, PlannedMove>>,
    /// How long this member stands by in a roll; `None`: it takes no part in rolls by version.
    roll_wait: Option<Duration>,
    offers: mpsc::Sender<PlaceOffer>,
    /// Taken by the task that answers them.
    offered: Mutex<Option<PlaceOffers>>,
    listeners: Listeners,
    /// The keys whose calls wait; `None`: none do.
    moving: Option<Arc<MovingKeys>>,
    counts: Counts,
}

/// The counters of moves.
#[derive(Debug, Default)]
struct Counts {
    switched_together: AtomicU64,
    switched_alone: AtomicU64,
    hand_offs_failed: AtomicU64,
    chunks_taken: AtomicU64,
    bytes_taken: AtomicU64,
    chunks_refused: AtomicU64,
    places_taken: AtomicU64,
}

/// The hook of an application and its time, and the part of a member in rolls.
#[derive(Debug, Clone)]
pub(crate) struct HandOffSettings {
    pub(crate) hook: Option<Arc<dyn HandOff>>,
    pub(crate) limit: Duration,
    /// How long a new member stands by for a member of another version to leave; `None`: the
    /// version of members means nothing.
    pub(crate) roll_wait: Option<Duration>,
    /// What becomes of calls whose keys are about to move.
    pub(crate) while_moving: WhileMoving,
}

impl Planner {
    pub(crate) fn new(
        local: Address,
        views: Arc<Views>,
        clocks: Arc<PeerClocks>,
        security: Security,
        settings: HandOffSettings,
        (listeners, moving): (Listeners, Option<Arc<MovingKeys>>),
    ) -> Self {
        let sending = Arc::new(Sending::new(local.clone(), security));
        let (offers, offered) = mpsc::channel(PLACE_OFFERS_MAX);
        Self {
            local,
            views,
            clocks,
            sending,
            hook: settings.hook,
            limit: settings.limit,
            own: Arc::default(),
            parts: Mutex::default(),
            roll_wait: settings.roll_wait,
            offers,
            offered: Mutex::new(Some(offered)),
            listeners,
            moving,
            counts: Counts::default(),
        }
    }

    /// Waits until no move of this member is under way; none begins until the turn is over.
    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.own).lock_owned().await
    }

    /// How long state may be handed over in one move.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether this member joins without keys: state is handed over to it first, or it may have to
    /// stand by.
    pub(crate) const fn joins_without_keys(&self) -> bool {
        self.hook.is_some() || self.roll_wait.is_some()
    }

    /// Whether this member has state to hand over.
    pub(crate) const fn hands_over(&self) -> bool {
        self.hook.is_some()
    }

    /// Whether another member owns keys.
    pub(crate) fn has_others_on_ring(&self) -> bool {
        let local = self.local.as_str();
        self.views.with(|view| view.ring.nodes().iter().any(|node| node.id() != local))
    }

    /// How long this member stands by in a roll; `None` when it takes no part in rolls by version.
    pub(crate) const fn roll_wait(&self) -> Option<Duration> {
        self.roll_wait
    }

    /// The places that are offered to this member, for the one task that answers them.
    pub(crate) fn take_offers(&self) -> Option<PlaceOffers> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The counters, by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 7] {
        let Counts {
            switched_together,
            switched_alone,
            hand_offs_failed,
            chunks_taken,
            bytes_taken,
            chunks_refused,
            places_taken,
        } = &self.counts;
        [
            ("switched_together", switched_together),
            ("switched_alone", switched_alone),
            ("hand_offs_failed", hand_offs_failed),
            ("chunks_taken", chunks_taken),
            ("bytes_taken", bytes_taken),
            ("chunks_refused", chunks_refused),
            ("places_taken", places_taken),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// The other members that are alive. Suspect ones may be dead, and nobody waits for them.
    fn others(&self) -> Vec<Address> {
        let view = self.views.load();
        let alive = view.members.iter().filter(|member| member.status == Status::Alive);
        let others = alive.map(|member| member.address.clone());
        others.filter(|address| *address != self.local).collect()
    }

    /// Waits until a condition holds in the view; `false` when it does not in time.
    async fn until(&self, deadline: Clock, mut condition: impl FnMut(&View) -> bool) -> bool {
        let holds = async {
            let mut published = self.views.published();
            while !condition(&self.views.load()) {
                if published.changed().await.is_err() {
                    // The member has stopped: nothing changes any more.
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout_at(deadline, holds).await.is_ok()
    }

    /// The member whose planned move comes before that of `mover`: one with an instant, which is
    /// near, and else the first by address. Two at a time would hand state to members that lose it
    /// at once.
    fn comes_first(&self, mover: &Address) -> Option<Address> {
        let view = self.views.load();
        // Where nobody owns keys, as at the start of a whole cluster, there is nothing to hand
        // over.
        if view.ring.is_empty() {
            return None;
        }
        let planned = |member: &&Member| {
            let plan = NextWeight::of(&member.labels);
            plan.is_some_and(|plan| plan.at_ms.is_some() || member.address < *mover)
        };
        let others = view.reachable().filter(|member| member.address != *mover);
        others.filter(planned).map(|member| member.address.clone()).next()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<Address, PlannedMove>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
