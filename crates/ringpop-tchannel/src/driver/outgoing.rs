//! The machine's requests on their way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swim_core::{Address, Body, Config, Message};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::body::{Envelope, Read, read_refusal, read_reply, write_request};
use crate::channel::{Call, CallError, Peers, Reply};
use crate::counters::count;
use crate::limits::{CALL_TIMEOUT_MARGIN, OUTGOING_MAX, TIMINGS_MAX};

pub(super) struct Outgoing {
    peers: Peers,
    running: JoinSet<Answered>,
    timeouts: Timeouts,
    timings: Timings,
}

/// How long a request of each kind may take.
struct Timeouts {
    ping: Duration,
    ping_req: Duration,
    join: Duration,
}

/// How long the last pings took that were answered.
pub(crate) type Timings = VecDeque<Duration>;

/// How a request ended.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) seq: u64,
    pub(super) from: Address,
    request: Body,
    took: Duration,
    /// `None` when there was no answer in time.
    reply: Option<Result<Reply, CallError>>,
}

impl Outgoing {
    pub(super) fn new(peers: Peers, config: &Config) -> Self {
        let timeouts = Timeouts {
            ping: config.ping_timeout(),
            ping_req: config.ping_req_timeout(),
            join: config.join_timeout().max(config.sync_timeout()),
        };
        Self { peers, running: JoinSet::new(), timeouts, timings: Timings::new() }
    }

    /// Sends a request to a member, or to a process that is none; `false` when it
    /// cannot be sent.
    pub(super) fn start(&mut self, to: &Address, message: Message, member: bool) -> bool {
        if self.running.len() >= OUTGOING_MAX {
            tracing::warn!(%to, "too many requests are under way");
            return false;
        }
        let Some((endpoint, body)) = write_request(&message) else { return false };
        let Timeouts { ping, ping_req, join } = self.timeouts;
        let ttl = match message.body {
            Body::PingReq { .. } => ping_req,
            Body::Join { .. } => join,
            _ => ping,
        };
        let (answer, answered) = oneshot::channel();
        let call = Call { endpoint: endpoint.as_str(), body: Bytes::from(body), ttl, answer };
        self.peers.call(to.as_str(), call, member);
        let (seq, from, request, started) = (message.seq, to.clone(), message.body, Instant::now());
        self.running.spawn(async move {
            let reply = timeout(ttl + CALL_TIMEOUT_MARGIN, answered).await;
            let reply = reply.ok().map(|reply| reply.unwrap_or(Err(CallError::Closed)));
            Answered { seq, from, request, took: started.elapsed(), reply }
        });
        true
    }

    /// The next request that ended. Waits for ever when none is under way.
    pub(super) async fn next(&mut self) -> Answered {
        loop {
            match self.running.join_next().await {
                Some(Ok(answered)) => return answered,
                Some(Err(error)) => tracing::error!(%error, "a request broke"),
                None => std::future::pending().await,
            }
        }
    }

    /// What was answered; `None` when nothing was that can be understood.
    pub(super) fn read(
        &mut self,
        answered: Answered,
        app: &Arc<str>,
        own_checksum: u64,
    ) -> Option<Read> {
        let Answered { seq, from, request, took, reply } = answered;
        let counters = self.peers.counters();
        let envelope = Envelope { app: app.clone(), from: from.clone(), seq };
        match reply {
            Some(Ok(Reply::Ok(body))) => {
                if matches!(request, Body::Ping { .. }) {
                    if self.timings.len() == TIMINGS_MAX {
                        self.timings.pop_front();
                    }
                    self.timings.push_back(took);
                }
                let read = read_reply(&request, &body, envelope, own_checksum);
                read.inspect_err(|error| {
                    count(&counters.malformed_bodies);
                    tracing::debug!(%from, %error, "an answer cannot be understood");
                })
                .ok()
            }
            Some(Ok(Reply::Error(body))) => {
                let message = read_refusal(&body, envelope);
                Some(Read { message, dropped: 0, rest: Vec::new() })
            }
            Some(Err(error)) => {
                count(&counters.failed_calls);
                tracing::debug!(%from, %error, "a request failed");
                None
            }
            None => {
                count(&counters.failed_calls);
                None
            }
        }
    }

    /// Closes the connection to a member that was forgotten. One that is merely
    /// taken for gone may be about to refute over it.
    pub(super) fn forget(&mut self, address: &Address) {
        self.peers.forget(address.as_str());
    }

    pub(super) fn timings(&self) -> Timings {
        self.timings.clone()
    }
}
