//! Outgoing membership requests.
//!
//! Gossip has connections of its own, so that a flood of forwarded requests
//! cannot delay failure detection.

use std::error::Error as _;
use std::time::Duration;

use ringpop_forward::explain_failure;
use swim_core::wire::{self, Decoded};
use swim_core::{Address, Message};
use tokio::task::{AbortHandle, JoinSet};
use tonic::{Code, Status};

use super::channels::Channels;
use crate::generated::membership_client::MembershipClient;
use crate::limits::{CALLS_MAX, MESSAGE_BYTES_MAX};

/// Why a call failed: what the transport says, or else the peer.
fn explain(status: &Status) -> String {
    if let Some(source) = status.source() {
        return explain_failure(source);
    }
    match (status.code(), status.message()) {
        (Code::Unimplemented, _) => {
            "it serves no membership: check that it is a member, and no other service".to_owned()
        }
        (code, "") => format!("it answered with the gRPC status {code:?}"),
        (_, message) => message.to_owned(),
    }
}

/// The calls that are under way, and their connections.
#[derive(Debug)]
pub(crate) struct Calls {
    running: JoinSet<Answer>,
    channels: Channels,
    /// Beyond every timeout of the machine, so that the machine decides.
    timeout: Duration,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Whom the request went to.
    pub(crate) to: Address,
    pub(crate) seq: u64,
    /// The reply, or why there is none.
    pub(crate) reply: Result<Decoded, String>,
}

impl Calls {
    pub(crate) fn new(channels: Channels, timeout: Duration) -> Self {
        Self { running: JoinSet::new(), channels, timeout }
    }

    /// Calls from now on may take so long.
    pub(crate) const fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Starts a call; `false` when it cannot be made. The connection stays open for
    /// further calls only when it is to `keep`, to a member: others are dialled now
    /// and then at most.
    pub(crate) fn start(&mut self, to: &Address, message: Message, keep: bool) -> bool {
        if self.running.len() >= CALLS_MAX {
            tracing::warn!(%to, "too many membership requests are under way");
            return false;
        }
        let Some(channel) = self.channels.get(to, keep) else {
            return false;
        };
        let mut client = MembershipClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (seq, timeout, to) = (message.seq, self.timeout, to.clone());
        let call = async move {
            let request = wire::to_proto(message);
            let reply = match tokio::time::timeout(timeout, client.exchange(request)).await {
                Ok(Ok(response)) => match wire::from_proto(response.into_inner()) {
                    Ok(decoded) => Ok(decoded),
                    Err(error) => {
                        tracing::warn!(%to, %error, "the answer to a membership request is malformed");
                        Err(format!("its answer is malformed: {error}"))
                    }
                },
                Ok(Err(status)) => {
                    let cause = explain(&status);
                    tracing::debug!(%to, %cause, "a membership request was not answered");
                    Err(cause)
                }
                Err(_elapsed) => Err(format!("no answer within {timeout:?}")),
            };
            Answer { to, seq, reply }
        };
        let _: AbortHandle = self.running.spawn(call);
        true
    }

    /// Closes the connection to a member that is gone.
    pub(crate) fn forget(&mut self, address: &Address) {
        self.channels.forget(address);
    }

    /// The next call that ended. Waits for ever when none is under way.
    pub(crate) async fn next(&mut self) -> Answer {
        loop {
            match self.running.join_next().await {
                Some(Ok(answer)) => return answer,
                Some(Err(error)) => tracing::error!(%error, "a membership call broke"),
                None => std::future::pending().await,
            }
        }
    }
}
