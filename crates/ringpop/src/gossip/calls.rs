//! Outgoing membership requests.
//!
//! Gossip has connections of its own: a flood of forwarded requests
//! cannot delay failure detection.

use std::error::Error as _;
use std::time::Duration;

use ringpop_forward::explain_failure;
use swim_core::wire::{self, Decoded};
use swim_core::{
    Address, Config, Instant, Member, Message, Node, Status as MemberStatus, Transmit,
};
use swim_driver::{Started, Transport};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant as Clock;
use tonic::{Code, Status};

use super::channels::Channels;
use crate::generated::membership_client::MembershipClient;
use crate::limits::{CALL_TIMEOUT_MARGIN, CALLS_MAX, GOSSIP_PORT_LABEL, MESSAGE_BYTES_MAX};
use crate::timings::{Timings, kind};

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
    timings: Timings,
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
    pub(crate) fn new(channels: Channels, timings: Timings) -> Self {
        Self { running: JoinSet::new(), channels, timings }
    }

    /// Starts a call, which may take until `timeout`; `false` when it cannot be made.
    /// The connection stays open for further calls only when it is to `keep`, to a
    /// member: others are dialled now and then at most.
    /// A member that has a gossip port is called there.
    pub(crate) fn call(
        &mut self,
        to: &Address,
        gossip_port: Option<u16>,
        message: Message,
        keep: bool,
        timeout: Duration,
    ) -> bool {
        if self.running.len() >= CALLS_MAX {
            tracing::warn!(%to, "too many membership requests are under way");
            return false;
        }
        let Some(channel) = self.channels.get(to, gossip_port, keep) else {
            return false;
        };
        let mut client = MembershipClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (seq, to) = (message.seq, to.clone());
        let (kind, timings) = (kind(&message), self.timings.clone());
        let call = async move {
            let began = Clock::now();
            let request = wire::to_proto(message);
            let reply = match tokio::time::timeout(timeout, client.exchange(request)).await {
                Ok(Ok(response)) => {
                    timings.request(kind, began.elapsed());
                    match wire::from_proto(response.into_inner()) {
                        Ok(decoded) => Ok(decoded),
                        Err(error) => {
                            tracing::warn!(%to, %error, "the answer to a membership request is malformed");
                            Err(format!("its answer is malformed: {error}"))
                        }
                    }
                }
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
}

impl Transport for Calls {
    type Input = Answer;

    fn start(&mut self, node: &Node, transmit: Transmit) -> Started {
        let member = node.member(&transmit.to);
        let keep = member.is_some_and(Member::is_reachable);
        let gossip_port = member.and_then(gossip_port);
        let timeout = call_timeout(node.config());
        match self.call(&transmit.to, gossip_port, transmit.message, keep, timeout) {
            true => Started::UnderWay,
            false => Started::Undelivered,
        }
    }

    async fn next(&mut self) -> Answer {
        loop {
            match self.running.join_next().await {
                Some(Ok(answer)) => return answer,
                Some(Err(error)) => tracing::error!(%error, "a membership call broke"),
                None => std::future::pending().await,
            }
        }
    }
    fn take(&mut self, node: &mut Node, now: Instant, Answer { to, seq, reply }: Answer) {
        match reply {
            Ok(Decoded { message, dropped_changes }) => {
                if message.from != to {
                    // Another name of a member, which is called by its own from
                    // now on. The name may lead elsewhere the next time.
                    self.forget(&to);
                }
                if dropped_changes > 0 {
                    node.handle_malformed(now, dropped_changes);
                }
                node.handle_message(now, message);
            }
            Err(cause) => node.handle_undelivered_because(now, seq, &cause),
        }
    }

    /// Pings go unanswered when a connection leads to a process that stands still, or
    /// to where a host name led before: the next one opens its own.
    fn member_changed(&mut self, before: Option<&Member>, after: Option<&Member>) {
        if after.is_none_or(|after| after.status != MemberStatus::Alive)
            && let Some(member) = after.or(before)
        {
            self.forget(&member.address);
        }
    }
}

/// Where a member takes gossip beside its address. Only the port is its own to say: nobody has
/// others dial a host by a label.
fn gossip_port(member: &Member) -> Option<u16> {
    let port = member.labels.get(GOSSIP_PORT_LABEL)?.parse().ok();
    port.filter(|port| *port != 0)
}

/// How long a call may take: longer than every timeout of the machine, which decides.
fn call_timeout(config: &Config) -> Duration {
    let longest = [config.ping_req_timeout(), config.join_timeout(), config.sync_timeout()];
    longest.into_iter().max().unwrap_or_default() + CALL_TIMEOUT_MARGIN
}
