//! The part of this member in version-aware rolls.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::sleep;

use super::Ringpop;
use crate::clock::unix_ms;
use crate::command_error::SetLabelsError;
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::limits::ROLL_LOOK_INTERVAL;
use crate::place::OwnPlace;
use crate::planned::{self, PlaceOffers};
use crate::rolls::{self, Search, Step};
use crate::state::State;
use crate::view::View;

/// Takes places over that are offered, and a free one when none is, until the member begins to
/// stop.
pub(super) async fn attend(wait: Duration, mut offers: PlaceOffers, member: Weak<Inner>) {
    let mut search = Search::default();
    loop {
        let Some(inner) = member.upgrade() else { return };
        let member_now = Ringpop(inner);
        if member_now.state() >= State::Draining {
            return;
        }
        let mut published = member_now.0.views.published();
        if let Err(error) = member_now.look_for_a_place(&mut search, wait).await {
            // It is tried again with the next look.
            tracing::debug!(member = member_now.whoami(), %error, "no place on the ring is taken");
        }
        drop(member_now);
        tokio::select! {
            offer = offers.recv() => {
                let (Some(offer), Some(inner)) = (offer, member.upgrade()) else { return };
                planned::take_place(&inner, offer).await;
            }
            _ = published.changed() => {}
            () = sleep(ROLL_LOOK_INTERVAL) => {}
        }
    }
}

impl Ringpop {
    /// Whether this member stands by from now on, because a roll is under way.
    pub(super) async fn stand_by_in_a_roll(&self) -> Result<bool, SetLabelsError> {
        let wait = self.0.planner.roll_wait().filter(|wait| !wait.is_zero());
        let is_rolling = || self.0.views.with(|view| rolls::is_rolling(view, &self.0.address));
        if wait.is_none() || !is_rolling() {
            return Ok(false);
        }
        let change = |own: &mut OwnLabels| {
            own.place = OwnPlace::StandsBy;
            Ok(())
        };
        self.0.update_labels(change).await?;
        tracing::info!(
            member = self.whoami(),
            "members of another version own the keys: this one stands by"
        );
        Ok(true)
    }

    /// Comes onto the ring at a free place, once others have handed over what they hold of its
    /// keys.
    pub(super) async fn take_keys(&self) -> Result<(), SetLabelsError> {
        let weight = self.take_a_free_place().await?;
        let (turn, limit) = (self.0.planner.turn().await, self.0.planner.limit());
        planned::change_weight(&self.0, turn, weight, limit, |own| own.waits = false).await
    }

    /// Gives the weight of this member.
    async fn take_a_free_place(&self) -> Result<u32, SetLabelsError> {
        let find = |view: &View| rolls::free_place(view, &self.0.address, unix_ms());
        let free = self.0.planner.roll_wait().and_then(|_| self.0.views.with(find));
        let mut weight = 1;
        let change = |own: &mut OwnLabels| {
            own.place = free.map_or(OwnPlace::Identity, OwnPlace::Taken);
            weight = own.wanted_weight();
            Ok(())
        };
        self.0.update_labels(change).await?;
        Ok(weight)
    }

    /// Ends the time of a member that stands by in vain, or whose place another one has.
    async fn look_for_a_place(
        &self,
        search: &mut Search,
        wait: Duration,
    ) -> Result<(), SetLabelsError> {
        if self.state() != State::Ready {
            return Ok(());
        }
        let stands_by = self.0.labels.lock().await.place == OwnPlace::StandsBy;
        let step = search.next(&self.0.views.load(), &self.0.address, stands_by, wait);
        match step {
            Some(Step::TakeKeys) => self.take_keys().await,
            Some(Step::ChoosePlace) => self.take_a_free_place().await.map(|_weight| ()),
            None => Ok(()),
        }
    }
}
