//! Places that members which leave offer to this one.

use swim_core::wire::pb;
use tokio::sync::{mpsc, oneshot};

use crate::place::TakenPlace;

/// A place that a member which leaves offers to this one.
#[derive(Debug)]
pub(crate) struct PlaceOffer {
    pub(super) place: TakenPlace,
    /// Dropped when the place is not taken.
    pub(super) answer: oneshot::Sender<pb::Message>,
}

/// The places that are offered to this member.
pub(crate) type PlaceOffers = mpsc::Receiver<PlaceOffer>;
