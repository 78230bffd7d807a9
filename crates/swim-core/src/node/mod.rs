//! The machine: takes inputs, hands them to the part they concern, gives
//! outputs.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::config::{Config, ConfigError};
use crate::core::Core;
use crate::dial_back::DialBack;
use crate::dialect::Dialect;
use crate::event::Output;
use crate::heal::Heal;
use crate::join::{Join, NoAnswer};
use crate::labels::{IDENTITY_LABEL, INTERNAL_PREFIX, LabelError, Labels};
use crate::leave::Leave;
use crate::limits::{APP_BYTES_MAX, CAUSE_BYTES_MAX, INSTANT_MAX, UNIX_MS_MAX};
use crate::member::{Member, Status};
use crate::message::{Body, Message};
use crate::newcomers::Trust;
use crate::probe::Probes;
use crate::redial::Redial;
use crate::relay::{Asker, Relays};
use crate::reverse_sync::ReverseSyncs;
use crate::stats::Stats;
use crate::sync::Syncs;
use crate::time::Instant;
use crate::timers::Timer;

mod healing;
mod operator;
#[cfg(feature = "wire")]
mod packet;
mod reactions;
mod reconfigure;
mod routine;
mod stability;

pub use reconfigure::ReconfigureError;
use routine::Routine;

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
/// 1. Do what is due: [`handle_timeout`](Self::handle_timeout) with the current
///    time, which must never go backwards. (When it does, the machine keeps the
///    latest time it saw.) Calling it early or twice does no harm.
/// 2. Call [`poll_output`](Self::poll_output) until it gives `None`: send the
///    messages, act on the events, in the order given.
/// 3. Wait for whichever comes first: a message, a failure to send, a command,
///    or the time that [`poll_timeout`](Self::poll_timeout) gives.
/// 4. Give the machine what came, with the time at which it is given, and begin
///    again: there may be outputs, and the deadline may be another one.
///
/// Messages are structs. With feature `wire` the machine also takes them in
/// their canonical encoding, `handle_packet`, and `wire::encode` makes it.
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
///     unix_ms: 1_700_000_000_000, // wall clock
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
    reverse_syncs: ReverseSyncs,
    leave: Leave,
    heal: Heal,
    dial_back: DialBack,
    redial: Redial,
    routine: Routine,
    /// When gossip that did not fit last led to a sync.
    last_sync: Option<Instant>,
    /// Whether the next difference is synced in any case.
    backstop_due: bool,
}

/// What a [`Node`] is made from, besides its [`Config`].
#[derive(Clone, Debug)]
pub struct Init {
    /// Name of the application, 1 to 128 bytes. Members of different
    /// applications never mix.
    pub app: Arc<str>,
    /// Address at which other members reach this one. One that nobody can dial
    /// is refused ([`Address::check_diallable`]).
    pub address: Address,
    /// Stable name that places the member on the ring; the address when
    /// `None`.
    pub identity: Option<String>,
    /// What the member says about itself.
    pub labels: Labels,
    /// Seed of all random choices, and of the number by which this process
    /// recognises its own requests: different for each process.
    pub seed: u64,
    /// Time of the driver's clock.
    pub now: Instant,
    /// Wall clock at `now` in milliseconds since the Unix epoch. It becomes
    /// the first incarnation, so that a restarted process exceeds its former
    /// self; and it numbers the rounds in which members share out their probes
    /// (see [`Config::shared_rounds`]).
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
    /// `reap` named a member that is unknown or not gone.
    #[error("{0} is not known as faulty or left, it cannot be reaped")]
    NotGone(Address),
    /// `leave` was called twice.
    #[error("this member is leaving or has left already")]
    AlreadyLeft,
    /// The labels were refused.
    #[error(transparent)]
    Labels(#[from] LabelError),
}

impl Node {
    /// Makes the machine of a process. It does nothing until
    /// [`join`](Self::join). Machines in one process may share a
    /// configuration: pass clones of one `Arc`.
    ///
    /// # Errors
    ///
    /// When the application name is empty or too long, the labels exceed the
    /// limits of the configuration, or nobody can dial the address.
    pub fn new(config: impl Into<Arc<Config>>, init: Init) -> Result<Self, ConfigError> {
        Self::make(config.into(), None, init)
    }

    /// Makes the machine of a process in a cluster of another implementation,
    /// with the measures on which that cluster agrees. What
    /// [`checksum`](Self::checksum) and messages say is then the dialect's.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_dialect(
        config: impl Into<Arc<Config>>,
        dialect: Arc<dyn Dialect>,
        init: Init,
    ) -> Result<Self, ConfigError> {
        Self::make(config.into(), Some(dialect), init)
    }

    fn make(
        config: Arc<Config>,
        dialect: Option<Arc<dyn Dialect>>,
        init: Init,
    ) -> Result<Self, ConfigError> {
        let Init { app, address, identity, labels, seed, now, unix_ms } = init;
        address.check_diallable()?;
        if app.is_empty() || app.len() > APP_BYTES_MAX {
            return Err(ConfigError::AppName { bytes: app.len(), max: APP_BYTES_MAX });
        }
        check_public(&labels)?;
        labels.check(&config.label_limits())?;
        let labels = match identity {
            Some(identity) => labels.with(IDENTITY_LABEL, &identity)?,
            None => labels,
        };
        let incarnation = unix_ms.clamp(1, UNIX_MS_MAX);
        let local = Member::new(address, Status::Alive, incarnation, labels);
        Ok(Self {
            core: Core::new(config, dialect, app, local, seed, now.min(INSTANT_MAX), unix_ms),
            state: State::Idle,
            join: Join::default(),
            probes: Probes::default(),
            relays: Relays::default(),
            syncs: Syncs::default(),
            reverse_syncs: ReverseSyncs::default(),
            leave: Leave::default(),
            heal: Heal::default(),
            dial_back: DialBack::default(),
            redial: Redial::default(),
            routine: Routine::default(),
            last_sync: None,
            backstop_due: false,
        })
    }

    // --- Commands ---

    /// Joins the cluster that `peers` belong to. Peers equal to this member's
    /// address are left out, and so are other names of this member once its own
    /// request comes back from there; with no other peers this member is a cluster of
    /// its own, and [`Event::JoinComplete`](crate::Event::JoinComplete) says so by an empty list.
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
        // A member that comes back may name nobody: it knows the cluster already.
        if !peers.is_empty() {
            self.redial.list(peers.clone());
        }
        let end = self.join.start(&mut self.core, peers);
        self.on_join_end(end);
        Ok(())
    }

    /// Leaves the cluster: declares it, tells some members directly, and
    /// reports [`Event::LeaveComplete`](crate::Event::LeaveComplete) when they had their time to answer.
    /// The member goes on answering, so that it can serve until its process
    /// ends.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left already.
    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        self.depart(now, Status::Leave)
    }

    /// Leaves like [`leave`](Self::leave), but declares this member faulty: a
    /// process that ends and expects to be replaced at its address, or an
    /// operator that takes a member out. What Ringpop does on `SIGTERM`.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left already.
    pub fn evict_self(&mut self, now: Instant) -> Result<(), CommandError> {
        self.depart(now, Status::Faulty)
    }

    fn depart(&mut self, now: Instant, status: Status) -> Result<(), CommandError> {
        self.advance_to(now);
        match self.state {
            State::Idle | State::Joining => return Err(CommandError::NotJoined),
            State::Leaving | State::Left => return Err(CommandError::AlreadyLeft),
            State::Ready => {}
        }
        self.stop_routine();
        self.core.stop_waiting_for_contact();
        self.state = State::Leaving;
        if self.leave.start(&mut self.core, status) {
            self.state = State::Left;
        }
        self.core.announce_view();
        Ok(())
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
        let internal = local.labels.iter().filter(|(key, _)| key.starts_with(INTERNAL_PREFIX));
        let labels = Labels::new(labels.iter().chain(internal))?;
        if labels != local.labels {
            let status = local.status;
            self.core.set_local(status, labels);
        }
        Ok(())
    }

    // --- Inputs ---

    /// Takes a message that arrived. What is malformed, foreign or stale is
    /// counted, reported by [`Event::Rejected`](crate::Event::Rejected) and changes nothing; a request
    /// that is refused is answered by [`Body::Refused`].
    pub fn handle_message(&mut self, now: Instant, message: Message) {
        self.take_message(now, message, 0);
    }

    /// Takes a message without so many changes that this member knew.
    fn take_message(&mut self, now: Instant, message: Message, known_changes: usize) {
        self.advance_to(now);
        self.core.epitaphs.clear();
        self.core.known_changes = known_changes;
        let is_reply = message.is_reply();
        let Message { app, from, from_incarnation, seq, body } = message;
        if let Body::Join { nonce, .. } = body
            && nonce == self.core.nonce
        {
            self.on_own_request(&from, seq);
            return;
        }
        if let Some(reason) = self.objection(&app, &from, from_incarnation, &body) {
            if is_reply {
                self.on_refused_reply(&from, seq, reason);
            } else {
                self.core.refuse(&from, seq, reason);
            }
            return;
        }
        let reachable = self.core.members.get(&from).map(Member::is_reachable);
        if reachable.is_some() {
            self.core.isolation.on_message(self.core.now);
        }
        if is_reply {
            self.on_reply(&app, &from, seq, body);
            return;
        }
        self.core.trust = Trust::Request;
        if crate::evidence::reaches_receiver(&body) {
            self.core.contacted();
            self.dial_back.reached();
        }
        // Such a sender gets a second look, unless what it says brings it back.
        let gone = (reachable != Some(true)).then(|| from.clone());
        match body {
            Body::Ping { checksum, changes } => {
                self.on_ping(from, from_incarnation, seq, checksum, changes);
            }
            Body::PingReq { target, checksum, changes } => {
                let asker = Asker { address: from, incarnation: from_incarnation, checksum, seq };
                self.on_ping_req(asker, target, changes);
            }
            Body::Join { cursor, .. } => {
                crate::sync::answer_join(&mut self.core, &from, seq, cursor);
            }
            Body::Sync(step) => crate::sync::answer(&mut self.core, &from, seq, step),
            Body::Ack { .. }
            | Body::PingReqAck { .. }
            | Body::JoinAck { .. }
            | Body::SyncAck { .. }
            | Body::Refused { .. } => {}
        }
        if let Some(sender) = gone
            && self.state == State::Ready
        {
            self.redial.on_request_of(&self.core, &sender);
        }
    }

    /// Takes note that a request which the machine emitted could not be
    /// delivered, for instance because the connection was refused.
    pub fn handle_undelivered(&mut self, now: Instant, seq: u64) {
        self.undelivered(now, seq, None);
    }

    /// As [`handle_undelivered`](Self::handle_undelivered), with what the
    /// transport says, which [`JoinFailure`](crate::JoinFailure) passes on. A
    /// text longer than [`CAUSE_BYTES_MAX`](crate::limits::CAUSE_BYTES_MAX) is
    /// cut.
    pub fn handle_undelivered_because(&mut self, now: Instant, seq: u64, cause: &str) {
        let cut = (0..=cause.len().min(CAUSE_BYTES_MAX)).rev().find(|i| cause.is_char_boundary(*i));
        self.undelivered(now, seq, Some(cause[..cut.unwrap_or(0)].into()));
    }

    fn undelivered(&mut self, now: Instant, seq: u64, cause: Option<Arc<str>>) {
        self.advance_to(now);
        self.core.stats.undelivered += 1;
        self.on_no_answer(seq, NoAnswer::Undelivered(cause));
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
                Timer::Sync => self.on_sync_due(),
                Timer::Discovery => self.on_discovery_due(),
                Timer::Redial => self.on_redial_due(),
                Timer::Expiry(slot) => self.core.expire(slot),
                Timer::Request(seq) => self.on_no_answer(seq, NoAnswer::Timeout),
                Timer::Nack(seq) => self.relays.on_nack(&mut self.core, seq),
                Timer::JoinRound => {
                    let end = self.join.on_round(&mut self.core);
                    self.on_join_end(end);
                }
                Timer::JoinLimit => {
                    let end = self.join.on_limit(&mut self.core);
                    self.on_join_end(end);
                }
                Timer::Vote(slot) => self.core.on_vote_due(slot),
                Timer::View => self.core.announce_view(),
                Timer::DialBack => self.dial_back.start(&mut self.core),
                Timer::Newcomers => self.core.ping_newcomers(),
            }
        }
    }

    // --- Outputs ---

    /// The next effect, in the order in which effects happened.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.core.outbox.pop_front()?;
        if self.core.outbox.is_empty() {
            // The next one goes to the beginning again, which is in the cache,
            // and not on through what a burst once needed.
            self.core.outbox.clear();
        }
        Some(output)
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
    pub fn config(&self) -> &Config {
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
    /// the sum is kept up to date, O(1) for each change. With a [`Dialect`] it
    /// is that one's number instead.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.core.members.checksum()
    }

    /// Lifeguard's local health: 0 when this member is well; each step
    /// stretches its probes by their base duration.
    #[must_use]
    pub const fn health_score(&self) -> u32 {
        self.core.awareness.score()
    }

    /// The time from one probe to the next as it is now: the configured period,
    /// stretched by what local health or slow probes ask for.
    #[must_use]
    pub fn protocol_period(&self) -> Duration {
        self.probes.period(&self.core)
    }

    /// Whether others took this member for faulty and nobody has reached it since
    /// (see [`Event::Unreachable`](crate::Event::Unreachable)). It is off the ring then.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        self.core.contact.is_unreachable()
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
        self.reverse_syncs.check(&self.core);
        self.routine.check(&self.core);
        self.heal.check();
        self.redial.check();
        assert!(
            !self.routine.is_running() || self.state == State::Ready,
            "a member probes only while it is ready"
        );
    }

    fn advance_to(&mut self, now: Instant) {
        self.core.now = self.core.now.max(now.min(INSTANT_MAX));
    }
}

/// Refuses labels that belong to the library.
fn check_public(labels: &Labels) -> Result<(), LabelError> {
    match labels.iter().find(|(key, _)| key.starts_with(INTERNAL_PREFIX)) {
        Some((key, _)) => Err(LabelError::Internal(key.into())),
        None => Ok(()),
    }
}
