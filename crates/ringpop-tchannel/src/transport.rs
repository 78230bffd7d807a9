//! The machine's requests over TChannel.
//!
//! Three things are Ringpop's own: a member list travels as a whole, an answer names
//! less than a message does, and the checksum of a list tells which form the cluster
//! writes its views in.

mod form;
mod lists;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use swim_core::{Address, Body, Config, Instant, Member, Message, Node, State, Transmit};
use swim_driver::{Completed, Started, Transport};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, timeout};

use self::form::{Form, Verdict};
use self::lists::Lists;
use crate::body::{Envelope, Read, read_refusal, read_reply, write_request};
use crate::bootstrap::BootstrapError;
use crate::channel::{Call, CallError, Peers, Reply};
use crate::counters::count;
use crate::dialect::ChecksumForm;
use crate::limits::{CALL_TIMEOUT_MARGIN, OUTGOING_MAX, TIMINGS_MAX};

/// The requests under way.
pub(crate) struct Calls {
    peers: Peers,
    running: JoinSet<Answered>,
    lists: Lists,
    form: Form,
    findings: Arc<Findings>,
}

/// What the transport finds out and others ask for.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// How long the last pings took that were answered.
    timings: VecDeque<Duration>,
    /// Whether a list of the cluster had a checksum of a known form.
    knows_form: bool,
    /// Why the transport cancelled the join.
    mismatch: Option<BootstrapError>,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) struct Answered {
    seq: u64,
    from: Address,
    request: Body,
    took: Duration,
    /// `None` when there was no answer in time.
    reply: Option<Result<Reply, CallError>>,
}

impl Calls {
    /// `form` is the form of checksums that the application chose, if it did.
    pub(crate) fn new(peers: Peers, form: Option<ChecksumForm>, findings: Arc<Findings>) -> Self {
        let (running, lists) = (JoinSet::new(), Lists::default());
        Self { peers, running, lists, form: Form::new(form), findings }
    }

    /// Sends a request to a member, or to a process that is none; `false` when it
    /// cannot be sent.
    fn call(&mut self, to: &Address, message: Message, member: bool, config: &Config) -> bool {
        if self.running.len() >= OUTGOING_MAX {
            tracing::warn!(%to, "too many requests are under way");
            return false;
        }
        let Some((endpoint, body)) = write_request(&message) else { return false };
        let ttl = match message.body {
            Body::PingReq { .. } => config.ping_req_timeout(),
            Body::Join { .. } => config.join_timeout().max(config.sync_timeout()),
            _ => config.ping_timeout(),
        };
        let (answer, answered) = oneshot::channel();
        let call = Call { endpoint: endpoint.as_str(), body: Bytes::from(body), ttl, answer };
        self.peers.call(to.as_str(), call, member);
        let (seq, from, request, started) = (message.seq, to.clone(), message.body, Clock::now());
        self.running.spawn(async move {
            let reply = timeout(ttl + CALL_TIMEOUT_MARGIN, answered).await;
            let reply = reply.ok().map(|reply| reply.unwrap_or(Err(CallError::Closed)));
            Answered { seq, from, request, took: started.elapsed(), reply }
        });
        true
    }

    /// The answer; `None` when it cannot be understood.
    fn read(&self, answered: Answered, node: &Node) -> Option<Read> {
        let Answered { seq, from, request, took, reply } = answered;
        let counters = self.peers.counters();
        let envelope = Envelope { app: node.app().clone(), from: from.clone(), seq };
        match reply {
            Some(Ok(Reply::Ok(body))) => {
                if matches!(request, Body::Ping { .. }) {
                    self.findings.add_timing(took);
                }
                let read = read_reply(&request, &body, envelope, node.checksum());
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

    /// Acts on what a member list tells about the form of checksums. `false` when
    /// the list must not be taken, because the join has failed for it.
    fn agrees(&mut self, node: &mut Node, now: Instant, peer: Address, verdict: &Verdict) -> bool {
        match *verdict {
            Verdict::Agrees => true,
            Verdict::Switch(form) => {
                tracing::info!(%peer, %form, "the checksums of this cluster have this form");
                node.set_dialect(Arc::new(form));
                true
            }
            Verdict::Differs(theirs) => {
                let failure = BootstrapError::OtherForm { peer, theirs, ours: self.form.used() };
                if node.state() == State::Joining {
                    self.findings.lock().mismatch = Some(failure);
                    node.cancel_join(now);
                    return false;
                }
                self.form.settle();
                tracing::warn!(%failure, "full syncs with this cluster will not end");
                true
            }
        }
    }
}

impl Transport for Calls {
    type Input = Answered;

    fn start(&mut self, node: &Node, Transmit { to, message, .. }: Transmit) -> Started {
        if let Some(page) = self.lists.page(&to, &message) {
            return Started::Answered(Box::new(page));
        }
        let member = node.member(&to).is_some_and(Member::is_reachable);
        match self.call(&to, message, member, node.config()) {
            true => Started::UnderWay,
            false => Started::Undelivered,
        }
    }

    async fn next(&mut self) -> Answered {
        loop {
            match self.running.join_next().await {
                Some(Ok(answered)) => return answered,
                Some(Err(error)) => tracing::error!(%error, "a request broke"),
                None => std::future::pending().await,
            }
        }
    }

    fn take(&mut self, node: &mut Node, now: Instant, answered: Answered) {
        let (seq, from) = (answered.seq, answered.from.clone());
        let Some(Read { mut message, dropped, rest }) = self.read(answered, node) else {
            return node.handle_undelivered(now, seq);
        };
        if dropped > 0 {
            node.handle_malformed(now, dropped);
        }
        if let Body::JoinAck { checksum, changes, next } = &mut message.body {
            let members = changes.iter().chain(&rest).map(|change| &change.member);
            let verdict = self.form.judge(*checksum, members);
            self.findings.lock().knows_form = self.form.is_settled();
            *next = self.lists.keep(from.clone(), changes, rest);
            if !self.agrees(node, now, from, &verdict) {
                return;
            }
        }
        node.handle_message(now, message);
    }

    fn complete(&mut self, to: &Address, reply: Message) -> Completed {
        self.lists.complete(to, reply)
    }

    /// Closes the connection to a member that was forgotten. One that is merely
    /// taken for gone may be about to refute over it.
    fn member_changed(&mut self, before: Option<&Member>, after: Option<&Member>) {
        if let (Some(member), None) = (before, after) {
            self.peers.forget(member.address.as_str());
        }
    }
}

impl Findings {
    /// How long the last pings took that were answered.
    pub(crate) fn timings(&self) -> VecDeque<Duration> {
        self.lock().timings.clone()
    }

    /// Whether a list of the cluster had a checksum of a known form.
    pub(crate) fn knows_form(&self) -> bool {
        self.lock().knows_form
    }

    /// Why the transport cancelled the join, if it did.
    pub(crate) fn take_mismatch(&self) -> Option<BootstrapError> {
        self.lock().mismatch.take()
    }

    fn add_timing(&self, took: Duration) {
        let timings = &mut self.lock().timings;
        if timings.len() == TIMINGS_MAX {
            timings.pop_front();
        }
        timings.push_back(took);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
