//! The machine: inputs in, outputs out.

use std::sync::Arc;

use crate::address::Address;
use crate::config::{Config, ConfigError, check_app};
use crate::core::Core;
use crate::dial_back::DialBack;
use crate::dialect::Dialect;
use crate::event::Output;
use crate::heal::Heal;
use crate::join::{Join, NoAnswer};
use crate::labels::{IDENTITY_LABEL, Labels};
use crate::leave::Leave;
use crate::limits::{CAUSE_BYTES_MAX, INSTANT_MAX, LABEL_VALUE_BYTES_MAX, UNIX_MS_MAX};
use crate::member::{Member, Status};
use crate::message::Message;
use crate::probe::Probes;
use crate::redial::Redial;
use crate::relay::Relays;
use crate::sync::Syncs;
use crate::time::Instant;
use crate::timers::Timer;

mod commands;
mod dispatch;
mod getters;
mod healing;
mod operator;
#[cfg(feature = "wire")]
mod packet;
mod reactions;
mod reconfigure;
mod routine;
mod second_look;
mod stability;

pub use commands::CommandError;
use commands::check_public;
pub use getters::SuspicionState;
pub use reconfigure::ReconfigureError;
use routine::Routine;
use second_look::SecondLooks;

/// The membership machine of one process.
///
/// It does no I/O and reads no clock. A *driver* feeds it inputs and carries out its
/// outputs; the same inputs always give the same outputs.
///
/// # Driving it
///
/// Methods come in four kinds: *commands* ([`join`](Self::join),
/// [`leave`](Self::leave), [`set_labels`](Self::set_labels)), *inputs from
/// outside* (`handle_*`), *outputs* (`poll_*`) and *getters*. The driver loops:
///
/// 1. Call [`handle_timeout`](Self::handle_timeout) with the current time, which
///    must never go backwards. (When it does, the machine keeps the
///    latest time it saw.) Calling it early or twice does no harm.
/// 2. Call [`poll_output`](Self::poll_output) until it gives `None`: send the
///    messages, act on the events, in the order given.
/// 3. Wait for a message, a failure to send, a command, or the time that
///    [`poll_timeout`](Self::poll_timeout) gives, whichever comes first.
/// 4. Pass that to the machine with the current time, and begin again: there may be
///    outputs, and the deadline may have moved.
///
/// Messages are structs. With feature `wire` the machine also takes them in
/// their canonical encoding, `handle_packet`, and `wire::encode` makes it.
///
/// Over request/response transports, a request that came in is answered with
/// the reply that the machine emits for the same peer and the same sequence
/// number, at once or later; a reply that comes in is just
/// [`handle_message`](Self::handle_message); and for a request that could not be
/// delivered the driver calls [`handle_undelivered`](Self::handle_undelivered), which
/// spares the wait for its deadline.
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
///
/// # A cluster in a test
///
/// Two members on a network in which messages take no time, with a clock that jumps from
/// deadline to deadline:
///
/// ```
/// use std::time::Duration;
/// use swim_core::{
///     Address, Config, Event, Init, Instant, Isolation, Labels, Node, Output, State, Status,
/// };
///
/// fn run(nodes: &mut [Node; 2], now: &mut Instant, span: Duration) -> Vec<Event> {
///     let end = *now + span;
///     let mut events = Vec::new();
///     loop {
///         while let Some((i, output)) = (0..2).find_map(|i| Some((i, nodes[i].poll_output()?))) {
///             match output {
///                 Output::Transmit(sent) => nodes[1 - i].handle_message(*now, sent.message),
///                 Output::Event(event) => events.push(event),
///             }
///         }
///         let due = nodes.iter().filter_map(Node::poll_timeout).min();
///         let Some(at) = due.filter(|at| *at <= end) else { break };
///         *now = at.max(*now);
///         nodes.iter_mut().for_each(|node| node.handle_timeout(*now));
///     }
///     *now = end;
///     events
/// }
///
/// let (mut now, second) = (Instant::ZERO, Duration::from_secs(1));
/// let addresses = ["10.0.0.1:7946", "10.0.0.2:7946"].map(|it| it.parse::<Address>().unwrap());
/// let [one, two] = &addresses;
/// let mut nodes = [(one, 1), (two, 2)].map(|(address, seed)| {
///     let init = Init {
///         app: "rides".into(),
///         address: address.clone(),
///         identity: None,
///         labels: Labels::default(),
///         seed,
///         now,
///         unix_ms: 1_700_000_000_000,
///     };
///     Node::new(Config::lan(), init).unwrap()
/// });
/// assert_eq!((nodes[0].state(), nodes[0].app().as_ref()), (State::Idle, "rides"));
///
/// // One begins a cluster, the other one joins it; gossip does the rest.
/// nodes[0].join(now, vec![])?;
/// nodes[1].join(now, vec![one.clone()])?;
/// run(&mut nodes, &mut now, 10 * second);
/// for node in &nodes {
///     assert_eq!((node.state(), node.len()), (State::Ready, 2));
///     assert_eq!((node.count(Status::Alive), node.on_ring().count()), (2, 2));
///     assert_eq!(node.isolation(), Isolation::None);
///     assert!(!node.is_empty() && !node.is_unreachable());
///     assert!(node.members().any(|member| member.address == node.local().address));
///     node.check_invariants();
/// }
/// assert_eq!(nodes[0].checksum(), nodes[1].checksum());
///
/// // Labels travel on the messages that are sent anyway, until all have them.
/// let labels = Labels::new([("zone", "eu-1")])?;
/// nodes[1].set_labels(now, &labels)?;
/// assert_eq!(nodes[1].pending_changes(), 1);
/// run(&mut nodes, &mut now, 10 * second);
/// assert_eq!(nodes[0].member(two).map(|it| &it.labels), Some(&labels));
/// assert_eq!(nodes[1].pending_changes(), 0);
///
/// // Local health, damping and counters, for status pages.
/// assert_eq!(nodes[0].health_score(), 0);
/// assert_eq!(nodes[0].protocol_period(), nodes[0].config().protocol_period());
/// assert!(!nodes[0].is_paused());
/// assert!(nodes[0].suspicion(&nodes[1].local().address).is_none());
/// assert!(!nodes[0].is_damped(two) && nodes[0].damped().next().is_none());
/// assert_eq!(nodes[0].flap_score(two), 0);
/// assert!(nodes[0].stats().pings_sent > 0 && nodes[0].pending_timers() > 0);
///
/// // Operators stop the probes, probe by hand, and change settings while members run.
/// nodes[0].pause(now);
/// assert!(nodes[0].tick(now));
/// nodes[0].resume(now);
/// let config = Config::lan().to_builder().protocol_period(2 * second).build()?;
/// nodes[0].reconfigure(now, config)?;
///
/// // Discovery says who should be there; hosts that are not reachable are healed with.
/// nodes[0].discovered(now, addresses.to_vec())?;
/// nodes[0].heal(now, addresses.to_vec())?;
/// nodes[0].cancel_join(now); // nothing is under way
/// let events = run(&mut nodes, &mut now, 10 * second);
/// assert!(events.iter().any(|event| matches!(event, Event::HealEnded { failures: 0, .. })));
///
/// // A member leaves; an operator removes it before its time. The other one goes as Ringpop
/// // does on SIGTERM.
/// nodes[1].leave(now)?;
/// run(&mut nodes, &mut now, 10 * second);
/// assert_eq!(nodes[1].state(), State::Left);
/// assert_eq!(nodes[0].member(two).map(|it| it.status), Some(Status::Leave));
/// nodes[0].reap(now, two)?;
/// assert_eq!(nodes[0].reap_faulty(now), 0); // nobody failed
/// nodes[0].evict_self(now)?;
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
    heal: Heal,
    dial_back: DialBack,
    redial: Redial,
    routine: Routine,
    second_looks: SecondLooks,
    /// When gossip that did not fit last led to a sync.
    last_sync: Option<Instant>,
    /// Whether the next difference is synced in any case.
    backstop_due: bool,
}

/// The inputs of [`Node::new`] besides the [`Config`].
#[derive(Clone, Debug)]
pub struct Init {
    /// Name of the application, 1 to 128 bytes. Members of different
    /// applications never mix.
    pub app: Arc<str>,
    /// Address at which other members reach this one. It must be diallable
    /// ([`Address::check_diallable`]).
    pub address: Address,
    /// Stable name that places the member on the ring; the address when
    /// `None`.
    pub identity: Option<String>,
    /// The labels of the member.
    pub labels: Labels,
    /// Seed of all random choices, and of the number by which this process
    /// recognises its own requests: different for each process.
    pub seed: u64,
    /// Time of the driver's clock.
    pub now: Instant,
    /// Wall clock at `now` in milliseconds since the Unix epoch. It becomes the first
    /// incarnation: a restarted process exceeds its former one. It also numbers the
    /// rounds in which members share out their probes (see
    /// [`Config::shared_rounds`]).
    pub unix_ms: u64,
}

/// Where a [`Node`] is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// New, or a join failed. Answers join requests only.
    Idle,
    /// Asks peers for their member lists. Answers join requests only.
    Joining,
    /// Probes and answers everything.
    Ready,
    /// Has declared that it leaves and announces it. Answers everything.
    Leaving,
    /// Has left. Answers everything.
    Left,
}

impl Node {
    /// Makes the machine of a process. It does nothing until
    /// [`join`](Self::join). Machines in one process may share a
    /// configuration: pass clones of one `Arc`.
    ///
    /// # Errors
    ///
    /// When the application name is empty or too long, the labels exceed the
    /// limits of the configuration, or the address is not diallable.
    pub fn new(config: impl Into<Arc<Config>>, init: Init) -> Result<Self, ConfigError> {
        Self::make(config.into(), None, init)
    }

    /// Makes the machine of a process in a cluster of another implementation, with
    /// the checksum and the order of labels of that cluster.
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
        check_app(&app)?;
        check_public(&labels)?;
        labels.check(&config.label_limits())?;
        let labels = match identity {
            Some(identity) if identity.len() > LABEL_VALUE_BYTES_MAX => {
                return Err(ConfigError::Identity {
                    bytes: identity.len(),
                    max: LABEL_VALUE_BYTES_MAX,
                });
            }
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
            leave: Leave::default(),
            heal: Heal::default(),
            dial_back: DialBack::default(),
            redial: Redial::default(),
            routine: Routine::default(),
            second_looks: SecondLooks::default(),
            last_sync: None,
            backstop_due: false,
        })
    }

    // --- Inputs ---

    /// Handles a message that arrived. A malformed, foreign or stale message is
    /// counted, reported by [`Event::Rejected`](crate::Event::Rejected) and changes
    /// nothing; a refused request is answered by [`Body::Refused`](crate::Body::Refused).
    pub fn handle_message(&mut self, now: Instant, message: Message) {
        self.advance_to(now);
        self.dispatch(message, 0);
    }

    /// Reports that a request of this machine could not be delivered, for instance
    /// because the connection was refused.
    pub fn handle_undelivered(&mut self, now: Instant, seq: u64) {
        self.undelivered(now, seq, None);
    }

    /// As [`handle_undelivered`](Self::handle_undelivered), with the error of the
    /// transport, which [`JoinFailure`](crate::JoinFailure) passes on. A text longer
    /// than [`CAUSE_BYTES_MAX`](crate::limits::CAUSE_BYTES_MAX) is cut.
    ///
    /// ```
    /// # use swim_core::{Config, Event, Init, Instant, JoinFailure, Node, Output};
    /// # let now = Instant::ZERO;
    /// # let init = Init {
    /// #     app: "rides".into(),
    /// #     address: "10.0.0.1:7946".parse()?,
    /// #     identity: None,
    /// #     labels: Default::default(),
    /// #     seed: 42,
    /// #     now,
    /// #     unix_ms: 1_700_000_000_000,
    /// # };
    /// # let mut node = Node::new(Config::lan(), init)?;
    /// node.join(now, vec!["10.0.0.2:7946".parse()?])?;
    /// let Some(Output::Transmit(request)) = node.poll_output() else { panic!("it asks") };
    /// node.handle_undelivered_because(now, request.message.seq, "connection refused");
    /// let Some(Output::Event(Event::JoinRetrying { failure, .. })) = node.poll_output() else {
    ///     panic!("it tries again");
    /// };
    /// assert!(failure.to_string().contains("connection refused"));
    ///
    /// node.handle_malformed(now, 1); // bytes that were no message
    /// assert_eq!(node.stats().rejected_invalid, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_undelivered_because(&mut self, now: Instant, seq: u64, cause: &str) {
        let cut = (0..=cause.len().min(CAUSE_BYTES_MAX)).rev().find(|i| cause.is_char_boundary(*i));
        self.undelivered(now, seq, Some(cause[..cut.unwrap_or(0)].into()));
    }

    fn undelivered(&mut self, now: Instant, seq: u64, cause: Option<Arc<str>>) {
        self.advance_to(now);
        self.core.stats.undelivered += 1;
        self.on_no_answer(seq, NoAnswer::Undelivered(cause));
    }

    /// Counts bytes that are no message, or `dropped` changes of a message that could
    /// not be decoded.
    pub fn handle_malformed(&mut self, now: Instant, dropped: usize) {
        self.advance_to(now);
        self.core.stats.rejected_invalid += dropped as u64;
    }

    /// Handles all deadlines that have passed. Calls at any other time do nothing.
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
                Timer::Newcomers => self.core.on_newcomers_due(),
                Timer::SecondLook => self.on_second_look_due(),
            }
        }
    }

    // --- Outputs ---

    /// The next effect, in the order in which effects happened.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.core.outbox.pop_front()?;
        if self.core.outbox.is_empty() {
            // The next output goes to the beginning again, which is in the processor's
            // cache, and not on through the room that a burst once needed.
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

    fn advance_to(&mut self, now: Instant) {
        self.core.now = self.core.now.max(now.min(INSTANT_MAX));
    }
}
