//! The way of a member to the others in its own planned moves.

use swim_core::Address;
use swim_core::wire::{self, pb};
use tonic::Streaming;

use super::ping::ping;
use crate::generated::{
    AnnounceRequest, AnnounceResponse, CompareRequest, CompareResponse, TakePlaceRequest,
};
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::place::{OwnPlace, TakenPlace};
use crate::weight::NextWeight;

/// What the moves of a member need of the world around it; simulations have a world of their own.
pub(super) trait Reach: Send + Sync + 'static {
    type Answers: Answers;

    /// Has this member announce what it plans, or take it back. Gives the message that tells others
    /// so, and what its successor says of itself. `None` when the label does not fit, or the member
    /// has stopped.
    fn say(
        &self,
        plan: Option<NextWeight>,
        successor: Option<&Address>,
    ) -> impl Future<Output = Option<pb::Message>> + Send;

    /// Asks another member for its clock.
    fn compare(&self, other: &Address) -> impl Future<Output = Option<CompareResponse>> + Send;

    /// Announces the plan to another member.
    fn announce(
        &self,
        other: &Address,
        request: AnnounceRequest,
    ) -> impl Future<Output = Option<Self::Answers>> + Send;

    /// Offers the place of this member to one that stands by, and takes in what that says of itself
    /// when it has taken it. `None` when it has not.
    fn offer(
        &self,
        successor: &Address,
        place: &TakenPlace,
    ) -> impl Future<Output = Option<()>> + Send;

    /// Has this member take a place over, when it stands by. Gives the message that tells others
    /// so; `None` when it does not, or has stopped.
    fn take(&self, place: TakenPlace) -> impl Future<Output = Option<pb::Message>> + Send;
}

/// The answers of one member.
pub(super) trait Answers: Send {
    /// The next one; `None` after the last, and when the connection breaks.
    fn next(&mut self) -> impl Future<Output = Option<AnnounceResponse>> + Send;
}

impl Answers for Streaming<AnnounceResponse> {
    async fn next(&mut self) -> Option<AnnounceResponse> {
        self.message().await.ok().flatten()
    }
}

impl Reach for Inner {
    type Answers = Streaming<AnnounceResponse>;

    async fn say(
        &self,
        plan: Option<NextWeight>,
        successor: Option<&Address>,
    ) -> Option<pb::Message> {
        let change = |own: &mut OwnLabels| {
            own.next = plan;
            Ok(())
        };
        if let Err(error) = self.update_labels(change).await {
            let member = &self.address;
            tracing::debug!(%member, %error, "a change of the weight cannot be announced");
            return None;
        }
        ping(self, successor.cloned()).await
    }

    async fn compare(&self, other: &Address) -> Option<CompareResponse> {
        let mut client = self.planner.sending.client(other)?;
        Some(client.compare(CompareRequest {}).await.ok()?.into_inner())
    }

    async fn announce(&self, other: &Address, request: AnnounceRequest) -> Option<Self::Answers> {
        let mut client = self.planner.sending.client(other)?;
        Some(client.announce(request).await.ok()?.into_inner())
    }

    async fn offer(&self, successor: &Address, place: &TakenPlace) -> Option<()> {
        let mut client = self.planner.sending.client(successor)?;
        let request =
            TakePlaceRequest { leaver: place.from.to_string(), place: place.name.clone() };
        let taken = client.take_place(request).await.inspect_err(|error| {
            let member = &self.address;
            tracing::debug!(%member, %successor, %error, "the place of this member is not taken over");
        });
        let ping = taken.ok()?.into_inner().ping?;
        let message = wire::from_proto(ping).ok()?.message;
        self.handle.request(message, 0).await.map(|_answer| ())
    }

    async fn take(&self, place: TakenPlace) -> Option<pb::Message> {
        let mut is_taken = false;
        let change = |own: &mut OwnLabels| {
            is_taken = own.place == OwnPlace::StandsBy;
            if is_taken {
                own.place = OwnPlace::Taken(place);
                own.waits = false;
            }
            Ok(())
        };
        self.update_labels(change).await.ok().filter(|()| is_taken)?;
        ping(self, None).await
    }
}
