//! Chunks of state on their way to new owners, over connections of their own.

use std::sync::Arc;

use swim_core::Address;
use tokio::time::{Instant as Clock, sleep, timeout_at};
use tonic::Code;
use tonic::codegen::Bytes;
use tonic::transport::Channel;

use super::HandOffError;
use crate::generated::GiveRequest;
use crate::generated::planned_moves_client::PlannedMovesClient;
use crate::gossip::Channels;
use crate::limits::{
    GIVE_PAUSE_MAX, GIVE_PAUSE_MIN, GIVE_TIMEOUT, HAND_OFF_MESSAGE_BYTES_MAX, MOVE_CHANNELS_MAX,
};
use crate::security::Security;
use crate::view::Views;

/// The connections of planned moves.
#[derive(Debug)]
pub(crate) struct Sending {
    local: Address,
    channels: Channels,
}

impl Sending {
    pub(crate) fn new(local: Address, security: Security) -> Self {
        Self { local, channels: Channels::new(security, MOVE_CHANNELS_MAX) }
    }

    /// A client of a member; `None` when no URL can name its address.
    pub(crate) fn client(&self, to: &Address) -> Option<PlannedMovesClient<Channel>> {
        let client = PlannedMovesClient::new(self.channels.get(to, None, true)?);
        Some(client.max_encoding_message_size(HAND_OFF_MESSAGE_BYTES_MAX))
    }

    /// Closes all connections, once their calls have ended.
    pub(crate) fn close(&self) {
        self.channels.clear();
    }

    /// Sends a chunk until it has been taken, has been refused, or the time is over.
    pub(super) async fn send(
        &self,
        views: &Arc<Views>,
        mover: &Address,
        receiver: &str,
        chunk: Bytes,
        end: Clock,
    ) -> Result<(), HandOffError> {
        let to = Address::new(receiver).map_err(|source| {
            let receiver = receiver.to_owned();
            HandOffError::Address { receiver, source }
        })?;
        let gone = || HandOffError::ReceiverGone { receiver: to.clone() };
        let mut pause = GIVE_PAUSE_MIN;
        loop {
            let is_there = |view: &crate::view::View| {
                view.member(receiver).is_some_and(swim_core::Member::is_reachable)
            };
            if !views.with(is_there) {
                return Err(gone());
            }
            let mut client = self.client(&to).ok_or_else(gone)?;
            let request = GiveRequest {
                mover: mover.to_string(),
                giver: self.local.to_string(),
                chunk: chunk.clone(),
            };
            let until = end.min(Clock::now() + GIVE_TIMEOUT);
            match timeout_at(until, client.give(request)).await {
                Ok(Ok(_taken)) => return Ok(()),
                Ok(Err(status)) if is_final(status.code()) => {
                    let (receiver, reason) = (to, status.message().to_owned());
                    return Err(HandOffError::Refused { receiver, reason });
                }
                // It has not heard of the move yet, or the connection broke.
                Ok(Err(_)) => {}
                Err(_) if Clock::now() >= end => return Err(HandOffError::Deadline),
                Err(_) => self.forget(&to),
            }
            if Clock::now() + pause >= end {
                return Err(HandOffError::Deadline);
            }
            sleep(pause).await;
            pause = (2 * pause).min(GIVE_PAUSE_MAX);
        }
    }

    /// The next chunk opens a connection of its own: this one leads to a process that stands still.
    fn forget(&self, to: &Address) {
        self.channels.forget(to);
    }
}

/// Whether sending the same again is no use.
const fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::Aborted
            | Code::InvalidArgument
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unimplemented
    )
}
