//! The machine: takes inputs, hands them to the part they concern, gives
//! outputs.

use std::sync::Arc;

use crate::address::Address;
use crate::config::{Config, ConfigError};
use crate::core::Core;
use crate::event::{Cause, Event, Output, Rejection};
use crate::join::{Join, JoinEnd, NoAnswer};
use crate::labels::{IDENTITY_LABEL, INTERNAL_PREFIX, LabelError, Labels};
use crate::leave::Leave;
use crate::limits::{APP_BYTES_MAX, CHANGES_PER_MESSAGE_MAX, INCARNATION_MAX};
use crate::member::{Member, Status};
use crate::message::{Body, Change, Message, SyncStep};
use crate::probe::{Probes, Relays};
use crate::stats::Stats;
use crate::sync::{self, Syncs};
use crate::time::Instant;
use crate::timers::Timer;

/// The membership machine of one process.
///
/// It does no I/O and reads no clock. A *driver* feeds it and carries out what
/// it says; the same inputs always give the same outputs.
///
/// # Driving it
///
/// Methods come in four kinds: *commands* ([`join`](Self::join),
/// [`leave`](Self::leave), [`set_labels`](Self::set_labels)), *inputs from
/// outside* (`handle_*`), *outputs* (`poll_*`) and *getters*. The driver loops:
///
/// 1. Take the current time once; it must never go backwards. (When it does,
///    the machine keeps the latest time it saw.)
/// 2. Give the machine one command or input with that time.
/// 3. Call [`poll_output`](Self::poll_output) until it gives `None`: send the
///    messages, act on the events, in the order given.
/// 4. Ask [`poll_timeout`](Self::poll_timeout) when it wants to run again.
/// 5. Wait for whichever comes first: a message, a failure to send, a command,
///    or that time; then [`handle_timeout`](Self::handle_timeout). Calling it
///    early or twice does no harm.
///
/// Over request/response transports, a request that came in is answered with
/// the reply that the machine emits for the same peer and the same sequence
/// number, at once or later; a reply that comes in is just
/// [`handle_message`](Self::handle_message); and a request that could not be
/// delivered is [`handle_undelivered`](Self::handle_undelivered), which spares
/// the wait for its deadline.
///
/// ```
/// use std::time::Duration;
/// use swim_core::{Config, Event, Init, Instant, Node, Output};
///
/// let mut node = Node::new(Config::lan(), Init {
///     app: "rides".into(),
///     address: "127.0.0.1:7946".parse()?,
///     identity: None,
///     labels: Default::default(),
///     seed: 42,                   // from the operating system in production
///     now: Instant::ZERO,
///     unix_ms: 1_700_000_000_000, // wall clock, for the incarnation
/// })?;
///
/// node.join(Instant::ZERO, vec!["127.0.0.1:7947".parse()?])?;
/// let Some(Output::Transmit(transmit)) = node.poll_output() else { panic!() };
/// assert_eq!(transmit.to.as_str(), "127.0.0.1:7947");
///
/// // The transport reports that nobody listens there.
/// let now = Instant::ZERO + Duration::from_millis(1);
/// node.handle_undelivered(now, transmit.message.seq);
/// assert!(matches!(
///     node.poll_output(),
///     Some(Output::Event(Event::JoinRetrying { rounds: 1, .. }))
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Node {
    core: Core,
    state: State,
    join: Join,
    probes: Probes,
    relays: Relays,
    syncs: Syncs,
    leave: Leave,
    /// When the next protocol period begins, while this member probes.
    next_period: Option<Instant>,
}

/// What a [`Node`] is made from, besides its [`Config`].
#[derive(Clone, Debug)]
pub struct Init {
    /// Name of the application, 1 to 128 bytes. Members of different
    /// applications never mix.
    pub app: Arc<str>,
    /// Address at which other members reach this one.
    pub address: Address,
    /// Stable name that places the member on the ring; the address when
    /// `None`.
    pub identity: Option<String>,
    /// What the member says about itself.
    pub labels: Labels,
    /// Seed of all random choices.
    pub seed: u64,
    /// Time of the driver's clock.
    pub now: Instant,
    /// Wall clock at `now` in milliseconds since the Unix epoch. It becomes
    /// the first incarnation, so that a restarted process exceeds its former
    /// self.
    pub unix_ms: u64,
}

/// Where a [`Node`] is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Made, or a join failed. Answers join requests only.
    Idle,
    /// Asks peers for their member lists. Answers join requests only.
    Joining,
    /// Probes and answers everything.
    Ready,
    /// Has declared that it leaves and tells others. Answers everything.
    Leaving,
    /// Has left. Answers everything.
    Left,
}

/// Why a command was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// `join` was called on a member that has joined already.
    #[error("this member has joined already")]
    AlreadyJoined,
    /// `leave` was called on a member that has not joined.
    #[error("this member has not joined, it cannot leave")]
    NotJoined,
    /// `leave` was called twice.
    #[error("this member is leaving or has left already")]
    AlreadyLeft,
    /// The labels were refused.
    #[error(transparent)]
    Labels(#[from] LabelError),
}

impl Node {
    /// Makes the machine of a process. It does nothing until
    /// [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// When the application name is empty or too long, or the labels exceed
    /// the limits of the configuration.
    pub fn new(config: Config, init: Init) -> Result<Self, ConfigError> {
        let Init {
            app,
            address,
            identity,
            labels,
            seed,
            now,
            unix_ms,
        } = init;
        if app.is_empty() || app.len() > APP_BYTES_MAX {
            return Err(ConfigError::AppName {
                bytes: app.len(),
                max: APP_BYTES_MAX,
            });
        }
        check_public(&labels)?;
        labels.check(&config.label_limits())?;
        let labels = match identity {
            Some(identity) => labels.with(IDENTITY_LABEL, &identity)?,
            None => labels,
        };
        let incarnation = unix_ms.clamp(1, INCARNATION_MAX);
        let local = Member::new(address, Status::Alive, incarnation, labels);
        Ok(Self {
            core: Core::new(config, app, local, seed, now, unix_ms),
            state: State::Idle,
            join: Join::default(),
            probes: Probes::default(),
            relays: Relays::default(),
            syncs: Syncs::default(),
            leave: Leave::default(),
            next_period: None,
        })
    }

    // --- Commands ---

    /// Joins the cluster that `peers` belong to. Peers equal to this member's
    /// address are left out; with no other peers this member is a cluster of
    /// its own, and [`Event::JoinComplete`] says so by an empty list.
    ///
    /// While a join is under way, another call replaces the peers from the
    /// next round on. A member that left may join again.
    ///
    /// # Errors
    ///
    /// When this member has joined already.
    pub fn join(&mut self, now: Instant, peers: Vec<Address>) -> Result<(), CommandError> {
        self.advance_to(now);
        match self.state {
            State::Ready | State::Leaving => return Err(CommandError::AlreadyJoined),
            State::Left => {
                let labels = self.core.local_member().labels.clone();
                self.core.set_local(Status::Alive, labels);
            }
            State::Idle | State::Joining => {}
        }
        self.state = State::Joining;
        let end = self.join.start(&mut self.core, peers);
        self.on_join_end(end);
        Ok(())
    }

    /// Leaves the cluster: declares it, tells some members directly, and
    /// reports [`Event::LeaveComplete`] when they had their time to answer.
    /// The member goes on answering, so that it can serve until its process
    /// ends.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left already.
    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        self.advance_to(now);
        match self.state {
            State::Idle | State::Joining => return Err(CommandError::NotJoined),
            State::Leaving | State::Left => return Err(CommandError::AlreadyLeft),
            State::Ready => {}
        }
        self.stop_probing();
        self.state = State::Leaving;
        if self.leave.start(&mut self.core) {
            self.state = State::Left;
        }
        Ok(())
    }

    /// Gives up a join that is under way; otherwise does nothing.
    pub fn cancel_join(&mut self, now: Instant) {
        self.advance_to(now);
        if self.state == State::Joining {
            self.join.abort(&mut self.core);
            self.state = State::Idle;
        }
    }

    /// Replaces the labels of this member; its identity stays. Setting equal
    /// labels changes nothing.
    ///
    /// # Errors
    ///
    /// When the labels exceed the limits or use the reserved prefix.
    pub fn set_labels(&mut self, now: Instant, labels: &Labels) -> Result<(), CommandError> {
        self.advance_to(now);
        check_public(labels)?;
        labels.check(&self.core.config.label_limits())?;
        let local = self.core.local_member();
        let internal = local
            .labels
            .iter()
            .filter(|(key, _)| key.starts_with(INTERNAL_PREFIX));
        let labels = Labels::new(labels.iter().chain(internal))?;
        if labels != local.labels {
            let status = local.status;
            self.core.set_local(status, labels);
        }
        Ok(())
    }

    // --- Inputs ---

    /// Takes a message that arrived. What is malformed, foreign or stale is
    /// counted, reported by [`Event::Rejected`] and changes nothing; a request
    /// that is refused is answered by [`Body::Refused`].
    pub fn handle_message(&mut self, now: Instant, message: Message) {
        self.advance_to(now);
        let Message {
            app,
            from,
            from_incarnation,
            seq,
            body,
        } = message;
        let is_request = matches!(
            body,
            Body::Ping { .. } | Body::PingReq { .. } | Body::Join { .. } | Body::Sync(_)
        );
        if let Some(reason) = self.objection(&app, &from, from_incarnation, &body) {
            if is_request {
                self.core.refuse(&from, seq, reason);
            } else {
                self.core.reject(&from, reason);
            }
            return;
        }
        match body {
            Body::Ping { checksum, changes } => {
                self.on_ping(from, from_incarnation, seq, checksum, changes);
            }
            Body::Ack { changes, .. } => self.on_ack(&from, seq, changes),
            Body::PingReq {
                target, changes, ..
            } => {
                self.on_ping_req((from, from_incarnation, seq), target, changes);
            }
            Body::PingReqAck {
                reached, changes, ..
            } => {
                self.on_ping_req_ack(&from, seq, reached, changes);
            }
            Body::Join { cursor } => sync::answer_join(&mut self.core, &from, seq, cursor),
            Body::JoinAck { changes, next, .. } => {
                if !self.join.is_open(&from, seq) {
                    self.core.reject(&from, Rejection::UnexpectedReply);
                    return;
                }
                let received = changes.len();
                self.core
                    .apply(changes, &Cause::Join { from: from.clone() });
                let end = self.join.on_ack(&mut self.core, &from, seq, received, next);
                self.on_join_end(end);
            }
            Body::Sync(step) => sync::answer(&mut self.core, &from, seq, step),
            Body::SyncAck {
                differing,
                changes,
                next,
                ..
            } => {
                if !self.syncs.is_open(&from, seq) {
                    self.core.reject(&from, Rejection::UnexpectedReply);
                    return;
                }
                self.syncs
                    .on_ack(&mut self.core, seq, differing, changes, next);
            }
            Body::Refused { reason } => self.on_no_answer(seq, NoAnswer::Refused(reason)),
        }
    }

    /// Takes note that a request which the machine emitted could not be
    /// delivered, for instance because the connection was refused.
    pub fn handle_undelivered(&mut self, now: Instant, seq: u64) {
        self.advance_to(now);
        self.core.stats.undelivered += 1;
        self.on_no_answer(seq, NoAnswer::Undelivered);
    }

    /// Takes note that bytes arrived which are no message, or that `dropped`
    /// changes of a message could not be decoded.
    pub fn handle_malformed(&mut self, now: Instant, dropped: usize) {
        self.advance_to(now);
        self.core.stats.rejected_invalid += dropped as u64;
    }

    /// Does what is due. Calls at any other time do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_to(now);
        while let Some(timer) = self.core.timers.pop_due(self.core.now) {
            match timer {
                Timer::Period => self.on_period(),
                Timer::Expiry(slot) => self.core.expire(slot),
                Timer::Request(seq) => self.on_no_answer(seq, NoAnswer::Timeout),
                Timer::JoinRound => {
                    let end = self.join.on_round(&mut self.core);
                    self.on_join_end(end);
                }
                Timer::JoinLimit => {
                    let end = self.join.on_limit(&mut self.core);
                    self.on_join_end(end);
                }
            }
        }
    }

    // --- Outputs ---

    /// The next effect, in the order in which effects happened.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.core.outbox.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; any
    /// input may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.timers.next()
    }

    // --- Getters ---

    /// Where the machine is in its life.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Name of the application.
    #[must_use]
    pub const fn app(&self) -> &Arc<str> {
        &self.core.app
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.core.config
    }

    /// What this member says about itself.
    #[must_use]
    pub fn local(&self) -> &Member {
        self.core.local_member()
    }

    /// What is known about a member, this one included.
    #[must_use]
    pub fn member(&self, address: &Address) -> Option<&Member> {
        self.core.members.get(address)
    }

    /// All known members, this one included, in no particular order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.core.members.iter()
    }

    /// Number of known members, this one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.members.len()
    }

    /// Always `false`: a member knows itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.core.members.len() == 0
    }

    /// A 64-bit sum over all members but tombstones. Two members with equal
    /// checksums have the same view, but for a chance of 2^-64. Costs nothing:
    /// the sum is kept up to date, O(1) for each change.
    #[must_use]
    pub const fn checksum(&self) -> u64 {
        self.core.members.checksum()
    }

    /// Number of changes that still have to be spread.
    #[must_use]
    pub fn pending_changes(&self) -> usize {
        self.core.gossip.len()
    }

    /// Number of armed deadlines.
    #[must_use]
    pub fn pending_timers(&self) -> usize {
        self.core.timers.len()
    }

    /// The counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Compares every sum, index and bound with what it stands for; for tests
    /// and simulators. O(members).
    ///
    /// # Panics
    ///
    /// When one is wrong, which is a bug of this crate.
    pub fn check_invariants(&self) {
        self.core.check();
        self.probes.check(&self.core);
        self.relays.check();
        self.syncs.check(&self.core);
        if let Some(at) = self.next_period {
            assert!(
                self.core.timers.contains(at, Timer::Period),
                "the next period is armed"
            );
        }
        assert_eq!(
            self.next_period.is_some(),
            self.state == State::Ready,
            "a member probes exactly while it is ready"
        );
    }

    // --- Reactions ---

    fn advance_to(&mut self, now: Instant) {
        self.core.now = self.core.now.max(now);
    }

    /// What speaks against taking a message at all.
    fn objection(
        &self,
        app: &Arc<str>,
        from: &Address,
        from_incarnation: u64,
        body: &Body,
    ) -> Option<Rejection> {
        // A refusal by a member of another application is an answer, too.
        if *app != self.core.app && !matches!(body, Body::Refused { .. }) {
            return Some(Rejection::AppMismatch {
                theirs: app.clone(),
            });
        }
        if *from == self.core.local {
            return Some(Rejection::SelfAddress);
        }
        if from_incarnation > INCARNATION_MAX {
            return Some(Rejection::Invalid {
                what: "incarnation is beyond the bound",
            });
        }
        if changes_of(body).len() > CHANGES_PER_MESSAGE_MAX {
            return Some(Rejection::Invalid {
                what: "too many changes in one message",
            });
        }
        let joined = !matches!(self.state, State::Idle | State::Joining);
        match body {
            Body::Ping { .. } | Body::PingReq { .. } | Body::Sync(_) if !joined => {
                Some(Rejection::NotReady)
            }
            Body::PingReq { target, .. } if self.core.members.find(target).is_none() => {
                Some(Rejection::Invalid {
                    what: "target of a ping-req is unknown here",
                })
            }
            _ => None,
        }
    }

    fn on_period(&mut self) {
        // From now, not from when it was due: a driver that was held up does
        // not make up for lost periods with a burst.
        let next = self.core.now + self.core.config.protocol_period();
        self.core.timers.set(next, Timer::Period);
        self.next_period = Some(next);
        self.probes.start_next(&mut self.core);
    }

    fn stop_probing(&mut self) {
        if let Some(at) = self.next_period.take() {
            self.core.timers.cancel(at, Timer::Period);
        }
        self.probes.clear(&mut self.core);
    }

    fn on_ping(
        &mut self,
        from: Address,
        from_incarnation: u64,
        seq: u64,
        checksum: u64,
        changes: Vec<Change>,
    ) {
        self.core.stats.pings_received += 1;
        self.core
            .apply(changes, &Cause::Gossip { from: from.clone() });
        let changes = self.core.piggyback_reply(&from, from_incarnation);
        // Gossip is not enough when it has nothing left to say and the views
        // still differ (ringpop-go).
        let stuck = changes.is_empty() && checksum != self.core.members.checksum();
        let checksum = self.core.members.checksum();
        self.core
            .send(from.clone(), seq, Body::Ack { checksum, changes });
        if stuck {
            self.syncs.start(&mut self.core, &from);
        }
    }

    fn on_ack(&mut self, from: &Address, seq: u64, changes: Vec<Change>) {
        let known = self.probes.on_ack(&mut self.core, from, seq)
            || self.relays.on_ack(&mut self.core, from, seq)
            || self.on_leave_ack(from, seq);
        if !known {
            self.core.reject(from, Rejection::UnexpectedReply);
            return;
        }
        self.core
            .apply(changes, &Cause::Gossip { from: from.clone() });
    }

    fn on_leave_ack(&mut self, from: &Address, seq: u64) -> bool {
        let over = self.leave.on_ack(&mut self.core, from, seq);
        if over == Some(true) {
            self.state = State::Left;
        }
        over.is_some()
    }

    fn on_ping_req(&mut self, asker: (Address, u64, u64), target: Address, changes: Vec<Change>) {
        self.core.apply(
            changes,
            &Cause::Gossip {
                from: asker.0.clone(),
            },
        );
        self.relays.start(&mut self.core, asker, target);
    }

    fn on_ping_req_ack(&mut self, from: &Address, seq: u64, reached: bool, changes: Vec<Change>) {
        if !self.probes.on_helper(&mut self.core, from, seq, reached) {
            self.core.reject(from, Rejection::UnexpectedReply);
            return;
        }
        self.core
            .apply(changes, &Cause::Gossip { from: from.clone() });
    }

    /// A request got no answer; the number tells whose it was. A number of no
    /// open request is a reply or a report that came too late.
    fn on_no_answer(&mut self, seq: u64, why: NoAnswer) {
        let known = self.probes.on_no_answer(&mut self.core, seq)
            || self.relays.on_no_answer(&mut self.core, seq)
            || self.syncs.on_no_answer(&mut self.core, seq);
        if known {
            return;
        }
        if let Some(over) = self.leave.on_no_answer(&mut self.core, seq) {
            if over {
                self.state = State::Left;
            }
            return;
        }
        if let Ok(end) = self.join.on_no_answer(&mut self.core, seq, why) {
            self.on_join_end(end);
        }
    }

    fn on_join_end(&mut self, end: Option<JoinEnd>) {
        match end {
            None => {}
            Some(JoinEnd::Complete { joined, duration }) => {
                self.state = State::Ready;
                let members = self.core.members.len();
                self.core.event(Event::JoinComplete {
                    joined,
                    duration,
                    members,
                });
                // Nobody knows of this member yet: it spreads itself, and
                // probes at once to do so.
                self.core.spread_local();
                self.on_period();
            }
            Some(JoinEnd::Failed { duration, failure }) => {
                self.state = State::Idle;
                self.core.event(Event::JoinFailed { duration, failure });
            }
        }
    }
}

fn changes_of(body: &Body) -> &[Change] {
    match body {
        Body::Ping { changes, .. }
        | Body::Ack { changes, .. }
        | Body::PingReq { changes, .. }
        | Body::PingReqAck { changes, .. }
        | Body::JoinAck { changes, .. }
        | Body::Sync(SyncStep::Exchange { changes, .. })
        | Body::SyncAck { changes, .. } => changes,
        Body::Join { .. } | Body::Sync(SyncStep::Compare { .. }) | Body::Refused { .. } => &[],
    }
}

/// Refuses labels that belong to the library.
fn check_public(labels: &Labels) -> Result<(), LabelError> {
    match labels
        .iter()
        .find(|(key, _)| key.starts_with(INTERNAL_PREFIX))
    {
        Some((key, _)) => Err(LabelError::Internal(key.into())),
        None => Ok(()),
    }
}
