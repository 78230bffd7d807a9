//! The place of a member that leaves goes to one that stands by.

use std::sync::Arc;
use std::time::Duration;

use swim_core::Address;
use swim_core::wire::pb;
use tokio::sync::oneshot;
use tokio::time::{Instant as Clock, timeout};
use tonic::Status;

use super::offers::PlaceOffer;
use super::reach::Reach;
use super::{Planner, count};
use crate::inner::Inner;
use crate::limits::{ANNOUNCE_TIMEOUT, MOVER_SEEN_LIMIT, SUCCESSORS_ASKED_MAX};
use crate::place::TakenPlace;
use crate::rolls;

/// Takes a place over, when this member stands by.
pub(crate) async fn take_place(inner: &Arc<Inner>, offer: PlaceOffer) {
    answer(&**inner, &inner.planner, offer).await;
}

/// Answers an offer when this member stands by.
pub(super) async fn answer<R: Reach>(reach: &R, planner: &Planner, offer: PlaceOffer) {
    let PlaceOffer { place, answer } = offer;
    let former = place.from.clone();
    let Some(ping) = reach.take(place).await else { return };
    count(&planner.counts.places_taken, 1);
    tracing::info!(member = %planner.local, %former, "this member takes the place of one that leaves");
    // The one that leaves may have given up.
    let _ = answer.send(ping);
}

/// Has a member that stands by take over the place of this one, which leaves; gives which one does.
pub(super) async fn hand_place_on<R: Reach>(
    reach: &R,
    planner: &Planner,
    limit: Duration,
) -> Option<Address> {
    planner.roll_wait?;
    let (place, successors) = planner.views.with(|view| {
        let place = rolls::place_of(view, &planner.local, planner.clocks.now_ms())?;
        Some((place, rolls::successors(view, &planner.local)))
    })?;
    let asking = async {
        for successor in successors.into_iter().take(SUCCESSORS_ASKED_MAX) {
            if offer(reach, planner, &successor, &place).await.is_some() {
                return Some(successor);
            }
        }
        None
    };
    timeout(limit / 4, asking).await.ok().flatten()
}

/// Offers the place of this member; `None` when it is not taken.
async fn offer<R: Reach>(
    reach: &R,
    planner: &Planner,
    successor: &Address,
    place: &TakenPlace,
) -> Option<()> {
    timeout(ANNOUNCE_TIMEOUT, reach.offer(successor, place)).await.ok()??;
    let is_seen = |view: &crate::view::View| {
        let local = view.member(planner.local.as_str());
        let seen = local.and_then(|local| rolls::successor_of(view, local));
        seen.is_some_and(|seen| seen.address == *successor)
    };
    planner.until(Clock::now() + MOVER_SEEN_LIMIT, is_seen).await.then_some(())
}

impl Planner {
    /// Another member leaves and offers its place; gives a ping of this member that says that it
    /// has taken the place over.
    pub(super) async fn offered(&self, leaver: &str, name: String) -> Result<pb::Message, Status> {
        let from =
            Address::new(leaver).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let place = self.views.with(|view| rolls::place_of(view, &from, self.clocks.now_ms()));
        let place = place.filter(|place| place.name == name && from != self.local);
        let place = place.ok_or_else(|| {
            Status::failed_precondition("this member sees the one that leaves at another place")
        })?;
        let (answer, answered) = oneshot::channel();
        let offer = PlaceOffer { place, answer };
        let refused = || Status::failed_precondition("this member does not stand by");
        if self.roll_wait.is_none() || self.offers.try_send(offer).is_err() {
            return Err(refused());
        }
        let answered = timeout(ANNOUNCE_TIMEOUT, answered).await;
        answered.map_err(|_| refused())?.map_err(|_| refused())
    }
}
