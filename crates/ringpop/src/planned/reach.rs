//! The way of a member to the others in its own planned moves.

use swim_core::Address;
use swim_core::wire::pb;
use tonic::Streaming;

use super::ping::ping;
use crate::generated::{AnnounceRequest, AnnounceResponse, CompareRequest, CompareResponse};
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::weight::NextWeight;

/// What the move of a member needs of the world around it; simulations have a world of their own.
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
}
