//! The place of a member that leaves goes to one that stands by.

use std::sync::Arc;
use std::time::Duration;

use swim_core::Address;
use swim_core::wire::{self, pb};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Status;

use super::offers::PlaceOffer;
use super::ping::ping;
use super::{Planner, count};
use crate::clock::unix_ms;
use crate::generated::TakePlaceRequest;
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::limits::{ANNOUNCE_TIMEOUT, MOVER_SEEN_LIMIT, SUCCESSORS_ASKED_MAX};
use crate::place::{OwnPlace, TakenPlace};
use crate::rolls;

/// Takes a place over, when this member stands by.
pub(crate) async fn take_place(inner: &Arc<Inner>, offer: PlaceOffer) {
    let PlaceOffer { place, answer } = offer;
    let former = place.from.clone();
    let mut is_taken = false;
    let change = |own: &mut OwnLabels| {
        is_taken = own.place == OwnPlace::StandsBy;
        if is_taken {
            own.place = OwnPlace::Taken(place);
            own.waits = false;
        }
        Ok(())
    };
    let changed = inner.update_labels(change).await;
    if changed.is_err() || !is_taken {
        return;
    }
    count(&inner.planner.counts.places_taken, 1);
    tracing::info!(member = %inner.address, %former, "this member takes the place of one that leaves");
    if let Some(ping) = ping(inner, None).await {
        // The one that leaves may have given up.
        let _ = answer.send(ping);
    }
}

/// Has a member that stands by take over the place of this one, which leaves; gives which one does.
pub(super) async fn hand_place_on(inner: &Arc<Inner>, limit: Duration) -> Option<Address> {
    inner.planner.roll_wait?;
    let (place, successors) = inner.planner.views.with(|view| {
        let place = rolls::place_of(view, &inner.address, unix_ms())?;
        Some((place, rolls::successors(view, &inner.address)))
    })?;
    let asking = async {
        for successor in successors.into_iter().take(SUCCESSORS_ASKED_MAX) {
            if offer(inner, &successor, &place).await.is_some() {
                return Some(successor);
            }
        }
        None
    };
    timeout(limit / 4, asking).await.ok().flatten()
}

/// Offers the place of this member; `None` when it is not taken.
async fn offer(inner: &Arc<Inner>, successor: &Address, place: &TakenPlace) -> Option<()> {
    let planner = &inner.planner;
    let mut client = planner.sending.client(successor)?;
    let request = TakePlaceRequest { leaver: place.from.to_string(), place: place.name.clone() };
    let taken = timeout(ANNOUNCE_TIMEOUT, client.take_place(request)).await.ok()?;
    let taken = taken.inspect_err(|error| {
        let member = &inner.address;
        tracing::debug!(%member, %successor, %error, "the place of this member is not taken over");
    });
    let ping = taken.ok()?.into_inner().ping?;
    let message = wire::from_proto(ping).ok()?.message;
    inner.handle.request(message, 0).await?;
    let deadline = tokio::time::Instant::now() + MOVER_SEEN_LIMIT;
    let is_seen = |view: &crate::view::View| {
        let local = view.member(inner.address.as_str());
        let seen = local.and_then(|local| rolls::successor_of(view, local));
        seen.is_some_and(|seen| seen.address == *successor)
    };
    planner.until(deadline, is_seen).await.then_some(())
}

impl Planner {
    /// Another member leaves and offers its place; gives a ping of this member that says that it
    /// has taken the place over.
    pub(super) async fn offered(&self, leaver: &str, name: String) -> Result<pb::Message, Status> {
        let from =
            Address::new(leaver).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let place = self.views.with(|view| rolls::place_of(view, &from, unix_ms()));
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
