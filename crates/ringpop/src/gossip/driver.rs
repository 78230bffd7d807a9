//! The task that owns the membership machine.
//!
//! Its loop is the contract on [`swim_core::Node`]: do what is due, carry out
//! the outputs, publish, then wait for one input. Nothing else touches the
//! machine, and no lock is held anywhere.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::Discovery;
use ringpop_forward::{Forwarder, Peer, PeerState};
use swim_core::wire::Decoded;
use swim_core::{
    Address, Cause, Config, Event as SwimEvent, Instant, Isolation, Member, Message, Node, Output,
    ReconfigureError, State, Status,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant as Clock, sleep_until};

use super::calls::{Answer, Calls};
use super::channels::Channels;
use super::handle::{Command, Handle, Input, JoinProgress, LeaveReport};
use crate::bootstrap;
use crate::event::{Event, Listeners};
use crate::identity;
use crate::limits::{ANSWERS_MAX, CALL_TIMEOUT_MARGIN, CHANNELS_MAX, INPUTS_MAX};
use crate::problem::{Problem, ProblemKind, Problems};
use crate::security::Security;
use crate::view::{Cap, OnRing, Publisher, Views};

/// What the driver task is made from.
pub(crate) struct DriverSetup {
    pub(crate) node: Node,
    /// The time that the machine calls zero.
    pub(crate) start: Clock,
    pub(crate) views: Arc<Views>,
    pub(crate) listeners: Listeners,
    /// Told of members that are gone, so that it closes its connections.
    pub(crate) forwarder: Forwarder,
    /// Asked when it is time to look for other partitions.
    pub(crate) discovery: Arc<dyn Discovery>,
    /// Opens the connections of the membership protocol.
    pub(crate) security: Security,
    /// Told of a ring that is not as the members want it.
    pub(crate) problems: Arc<Problems>,
}

/// The driver task.
pub(crate) struct Driver {
    node: Node,
    start: Clock,
    views: Arc<Views>,
    publisher: Publisher,
    /// Members that changed since the last view.
    changed: BTreeSet<Address>,
    listeners: Listeners,
    forwarder: Forwarder,
    discovery: Arc<dyn Discovery>,
    /// Asks discovery for the hosts to heal with, one question at a time.
    hosts: Option<JoinHandle<()>>,
    inputs: mpsc::Receiver<Input>,
    /// For tasks that come back with an input; it does not keep the queue open.
    sender: mpsc::WeakSender<Input>,
    calls: Calls,
    /// Who waits for the machine's reply to which request.
    answers: HashMap<(Address, u64), oneshot::Sender<Message>>,
    join: Option<mpsc::UnboundedSender<JoinProgress>>,
    leave: Option<oneshot::Sender<LeaveReport>>,
    /// This member is being stopped and joins no more.
    stopping: bool,
    problems: Arc<Problems>,
    /// Whether this member is in touch with the others, for the handle.
    isolation: watch::Sender<Isolation>,
    /// Events since the last view, told once the next one is published.
    news: Vec<SwimEvent>,
    /// Live members that share an identity.
    identities: identity::Watch,
}

impl Driver {
    pub(crate) fn new(setup: DriverSetup) -> (Self, Handle) {
        let DriverSetup { node, start, views, listeners, forwarder, discovery, security, problems } =
            setup;
        let (isolation, isolation_now) = watch::channel(node.isolation());
        let (sender, inputs) = mpsc::channel(INPUTS_MAX);
        let timeout = call_timeout(node.config());
        let calls = Calls::new(Channels::new(security, CHANNELS_MAX), timeout);
        let driver = Self {
            changed: node.members().map(|member| member.address.clone()).collect(),
            publisher: Publisher::new(Arc::clone(&views)),
            node,
            start,
            views,
            listeners,
            forwarder,
            discovery,
            hosts: None,
            inputs,
            sender: sender.downgrade(),
            calls,
            answers: HashMap::new(),
            join: None,
            leave: None,
            stopping: false,
            problems,
            isolation,
            news: Vec::new(),
            identities: identity::Watch::default(),
        };
        (driver, Handle::new(sender, isolation_now))
    }

    /// Runs until it is told to stop or every handle is dropped.
    pub(crate) async fn run(mut self) {
        self.publish(true);
        loop {
            self.node.handle_timeout(self.now());
            self.drain();
            self.tell_shared_identities();
            let due =
                [self.node.poll_timeout(), self.identities.next()].into_iter().flatten().min();
            let wake = due.map(|at| self.start + at.since_start());
            tokio::select! {
                input = self.inputs.recv() => match input {
                    None | Some(Input::Command(Command::Stop)) => return self.publisher.end(),
                    Some(input) => self.take(input),
                },
                answer = self.calls.next() => self.take_answer(answer),
                () = sleep_until(wake.unwrap_or_else(Clock::now)), if wake.is_some() => {}
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Request(Decoded { message, dropped_changes }, answer) => {
                if dropped_changes > 0 {
                    self.node.handle_malformed(now, dropped_changes);
                }
                self.answers.retain(|_, answer| !answer.is_closed());
                if self.answers.len() < ANSWERS_MAX {
                    self.answers.insert((message.from.clone(), message.seq), answer);
                    self.node.handle_message(now, message);
                }
            }
            Input::Malformed => self.node.handle_malformed(now, 1),
            Input::Command(command) => self.command(now, command),
        }
    }

    fn command(&mut self, now: Instant, command: Command) {
        // Whoever asked may have given up waiting; the command stands.
        match command {
            // Nobody hears of it, which says that the member is stopped.
            Command::Join(..) if self.stopping => {}
            Command::Join(peers, progress, done) => {
                let result = self.node.join(now, peers);
                if result.is_ok() {
                    self.join = Some(progress);
                }
                let _ = done.send(result);
            }
            Command::Peers(peers) => {
                if let Err(error) = self.node.join(now, peers) {
                    tracing::debug!(%error, "new peers came after the join was over");
                }
            }
            Command::CancelJoin => self.node.cancel_join(now),
            // The loop ends with it.
            Command::Stop => {}
            Command::Discovered(hosts) => {
                if let Err(error) = self.node.discovered(now, hosts) {
                    tracing::debug!(%error, "the answer of discovery came too late");
                }
            }
            Command::Leave(report, done) => {
                self.stopping = true;
                self.node.cancel_join(now);
                let result = self.node.leave(now);
                if result.is_ok() {
                    self.leave = Some(report);
                }
                let _ = done.send(result);
            }
            Command::SetLabels(labels, done) => {
                let _ = done.send(self.node.set_labels(now, &labels));
            }
            Command::Reap(address, done) => {
                let _ = done.send(self.node.reap(now, &address));
            }
            Command::Reconfigure(config, done) => {
                let _ = done.send(self.reconfigure(now, config));
            }
            Command::Stats(done) => {
                let _ = done.send(*self.node.stats());
            }
        }
    }

    fn reconfigure(&mut self, now: Instant, config: Arc<Config>) -> Result<(), ReconfigureError> {
        if config.message_bytes_max() != self.node.config().message_bytes_max() {
            // It was checked against what the transport carries at the start.
            return Err(ReconfigureError::Fixed { field: "message_bytes_max" });
        }
        self.node.reconfigure(now, config)?;
        self.calls.set_timeout(call_timeout(self.node.config()));
        Ok(())
    }

    fn take_answer(&mut self, Answer { to, seq, reply }: Answer) {
        let now = self.now();
        match reply {
            Ok(Decoded { message, dropped_changes }) => {
                if message.from != to {
                    // Another name of a member, which is called by its own from
                    // now on. The name may lead elsewhere the next time.
                    self.calls.forget(&to);
                }
                if dropped_changes > 0 {
                    self.node.handle_malformed(now, dropped_changes);
                }
                self.node.handle_message(now, message);
            }
            Err(cause) => self.node.handle_undelivered_because(now, seq, &cause),
        }
    }

    /// Carries out the outputs, then publishes what they amount to.
    fn drain(&mut self) {
        let mut burst_over = false;
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(transmit) if transmit.message.is_reply() => {
                    let key = (transmit.to, transmit.message.seq);
                    if let Some(answer) = self.answers.remove(&key) {
                        // The peer may have hung up; it will ask again.
                        let _ = answer.send(transmit.message);
                    }
                }
                Output::Transmit(transmit) => {
                    let seq = transmit.message.seq;
                    let keep = self.node.member(&transmit.to).is_some_and(Member::is_reachable);
                    if !self.calls.start(&transmit.to, transmit.message, keep) {
                        let now = self.now();
                        self.node.handle_undelivered(now, seq);
                    }
                }
                Output::Event(event) => {
                    burst_over |= matches!(
                        event,
                        SwimEvent::ViewChanged { .. } | SwimEvent::JoinComplete { .. }
                    );
                    if let Some(address) = self.changed_by(&event) {
                        self.changed.insert(address);
                    }
                    self.news.push(event);
                }
            }
        }
        if !self.changed.is_empty() || burst_over {
            self.publish(burst_over);
        }
        self.tell();
    }

    /// The member that an event says has changed, or is on the ring no more, or again.
    fn changed_by(&self, event: &SwimEvent) -> Option<Address> {
        match event {
            SwimEvent::MemberChanged { before, after, .. } => {
                after.as_ref().or(before.as_ref()).map(|member| member.address.clone())
            }
            // Of its new incarnation no other event tells.
            SwimEvent::Refuted { .. } => Some(self.node.local().address.clone()),
            SwimEvent::Damped { address, .. } | SwimEvent::Undamped { address, .. } => {
                Some(address.clone())
            }
            _ => None,
        }
    }

    /// Publishes the view: before anybody is told, so that who hears of a
    /// change finds it there. With coalescing the ring waits until a burst of
    /// changes is over. Only the members that changed are looked at: what that
    /// costs must not depend on how many are remembered.
    fn publish(&mut self, burst_over: bool) {
        let known = |address: Address| {
            let member = self.node.member(&address).cloned();
            (address, member)
        };
        let changes = std::mem::take(&mut self.changed).into_iter().map(known).collect();
        let mut damped = Arc::clone(&self.views.load().damped);
        if !damped.iter().eq(self.node.damped()) {
            damped = self.node.damped().cloned().collect();
        }
        let waits = self.node.config().coalescing().is_some() && !burst_over;
        let on_ring = match self.node.state() {
            State::Idle | State::Joining => OnRing::Nobody,
            // Nobody takes over from the last one, so that it handles what still comes.
            State::Leaving | State::Left if self.reachable() == 0 => OnRing::AsBefore,
            _ if waits => OnRing::AsBefore,
            _ => OnRing::Reachable,
        };
        match self.publisher.publish(changes, damped, self.node.checksum(), on_ring) {
            Ok(published) => {
                self.problems.end(ProblemKind::RingStale);
                if !waits {
                    self.tell_cap(published.cap);
                }
                if let Some(change) = published.change {
                    self.listeners.tell(Event::RingChanged(change));
                }
            }
            Err(error) => {
                self.problems.begin(Problem::RingStale { reason: error.to_string() });
            }
        }
        // A member that died looks alive for less than this.
        let patience = self.node.config().suspect_timeout();
        let shared = self.publisher.shared_by_live_members();
        self.identities.update(self.now(), patience, shared);
        if self.reachable() > 1 {
            self.problems.end(ProblemKind::Alone);
        }
    }

    /// Number of members that are reachable, this one included.
    fn reachable(&self) -> usize {
        self.node.count(Status::Alive) + self.node.count(Status::Suspect)
    }

    fn tell_cap(&self, cap: Option<Cap>) {
        let Some(Cap { wanted, weight_max, left_out, .. }) = cap else {
            return self.problems.end(ProblemKind::Ring);
        };
        let wanted = wanted * u64::from(self.views.points_per_weight_unit());
        self.problems.begin(Problem::RingCapped { wanted, weight_max, left_out });
    }

    fn tell_isolation(&self, isolation: Isolation, others: usize, lost: usize) {
        match isolation {
            // It began alone, or the others left in order.
            Isolation::Alone if (others, lost) == (0, 0) => {
                tracing::info!("this member has the cluster for itself");
                self.problems.end(ProblemKind::Isolated);
            }
            Isolation::Alone | Isolation::Partial => {
                self.problems.begin(Problem::Isolated { isolation, others, lost });
            }
            _ => self.problems.end(ProblemKind::Isolated),
        }
    }

    fn tell_shared_identities(&mut self) {
        for shared in self.identities.take_due(self.now()) {
            self.views.count_shared_identity();
            tracing::warn!(
                identity = %shared.identity,
                owner = %shared.owner,
                others = ?shared.others,
                "live members share an identity: only the owner gets keys; give each its own"
            );
            self.listeners.tell(Event::IdentityShared(shared));
        }
    }

    /// Tells listeners and whoever waits for a join or a leave.
    fn tell(&mut self) {
        for event in std::mem::take(&mut self.news) {
            match &event {
                SwimEvent::MemberChanged { before, after, cause, .. } => {
                    // The list of a join would be as many lines.
                    if !matches!(cause, Cause::Join { .. }) {
                        log_member(before.as_ref(), after.as_ref(), &self.node.local().address);
                    }
                    self.tell_forwarder(before.as_ref(), after.as_ref());
                }
                SwimEvent::JoinRetrying { delay, failures, .. } => {
                    let (delay, failures) = (*delay, failures.clone());
                    self.progress(JoinProgress::Retrying { delay, failures });
                }
                SwimEvent::JoinComplete { joined, members, .. } => {
                    let (joined, members) = (joined.clone(), *members);
                    self.progress(JoinProgress::Complete { joined, members });
                    self.join = None;
                }
                SwimEvent::JoinFailed { failure, failures, .. } => {
                    let (failure, failures) = (failure.clone(), failures.clone());
                    self.progress(JoinProgress::Failed { failure, failures });
                    self.join = None;
                }
                SwimEvent::LeaveComplete { acknowledged, .. } => {
                    let report = LeaveReport {
                        acknowledged: *acknowledged,
                        others: self.reachable(),
                        protocol_period: self.node.config().protocol_period(),
                    };
                    if let Some(waiting) = self.leave.take() {
                        let _ = waiting.send(report);
                    }
                }
                SwimEvent::HealWanted => self.look_for_partitions(),
                SwimEvent::Unreachable { address } => {
                    let address = address.to_string();
                    self.problems.begin(Problem::Unreachable { address });
                }
                SwimEvent::ReachableAgain { .. } => self.problems.end(ProblemKind::Unreachable),
                SwimEvent::IsolationChanged { isolation, others, lost, .. } => {
                    self.isolation.send_replace(*isolation);
                    self.tell_isolation(*isolation, *others, *lost);
                }
                SwimEvent::SyncEndless { peer, syncs } => tracing::warn!(
                    %peer,
                    syncs,
                    "full syncs with a member bring nothing and do not end; do the two run other versions or settings?"
                ),
                SwimEvent::Rejected { from, reason } => {
                    tracing::debug!(%from, ?reason, "a membership message was refused");
                }
                _ => {}
            }
            self.listeners.tell(Event::Membership(event));
        }
    }

    /// Tells the forwarder what the cluster knows of a member, so that no
    /// request waits for an owner that others know to be silent.
    ///
    /// A suspect one may be dead. One that leaves finishes what it has, and is
    /// probed by nobody any more, so that its silence would not be noticed:
    /// what may be done twice does not wait for it. A faulty one counts as
    /// dead. With its connections goes the memory of failed dials: when it is
    /// back on the ring it gets its keys at once, and not only after the pause
    /// before the next dial. A member that restarted before anybody missed it
    /// shows itself by its incarnation, and is dialled at once as well.
    fn tell_forwarder(&mut self, before: Option<&Member>, after: Option<&Member>) {
        let Some(member) = after.or(before) else { return };
        // Pings go unanswered when a connection leads to a process that stands still, or
        // to where a host name led before: the next one opens its own.
        if after.is_none_or(|after| after.status != Status::Alive) {
            self.calls.forget(&member.address);
        }
        // An address that cannot be dialled has no connections.
        let Ok(peer) = Peer::new(member.address.as_str()) else { return };
        match after.map(|after| after.status) {
            None => self.forwarder.forget(&peer),
            Some(Status::Alive) => {
                self.forwarder.set_peer_state(&peer, PeerState::Good);
                if before.is_some_and(|before| before.incarnation < member.incarnation) {
                    self.forwarder.reset_backoff(&peer);
                }
            }
            Some(Status::Suspect) => self.forwarder.set_peer_state(&peer, PeerState::Doubtful),
            Some(Status::Leave) => {
                self.forwarder.forget(&peer);
                self.forwarder.set_peer_state(&peer, PeerState::Doubtful);
            }
            Some(_) => self.forwarder.set_peer_state(&peer, PeerState::Gone),
        }
    }

    /// Asks discovery who should be there; the answer comes back as an input.
    fn look_for_partitions(&mut self) {
        if self.hosts.as_ref().is_some_and(|question| !question.is_finished()) {
            return;
        }
        let (discovery, sender) = (Arc::clone(&self.discovery), self.sender.clone());
        self.hosts = Some(tokio::spawn(async move {
            match bootstrap::resolve(&discovery).await {
                Ok(hosts) => {
                    if let Some(sender) = sender.upgrade() {
                        // The member may have stopped meanwhile.
                        let _ = sender.send(Input::Command(Command::Discovered(hosts))).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot look for other partitions"),
            }
        }));
    }

    fn progress(&self, progress: JoinProgress) {
        if let Some(join) = &self.join {
            let _ = join.send(progress);
        }
    }
}

/// Tells the log of what happens to other members, for whoever has nothing else.
fn log_member(before: Option<&Member>, after: Option<&Member>, local: &Address) {
    let Some(member) = after.or(before).filter(|member| member.address != *local) else { return };
    let status = |member: &Member| member.status;
    let what = match (before.map(status), after.map(status)) {
        (before, after) if before == after => return,
        (None | Some(Status::Tombstone), Some(Status::Alive)) => "member joined",
        (Some(Status::Suspect), Some(Status::Alive)) => "member is alive after all",
        (_, Some(Status::Alive)) => "member is back",
        (_, Some(Status::Suspect)) => "member is suspected: it does not answer",
        (_, Some(Status::Faulty)) => "member is faulty: it is off the ring",
        (_, Some(Status::Leave)) => "member left",
        (_, Some(Status::Tombstone) | None) => "member is forgotten",
    };
    tracing::info!(address = %member.address, identity = member.identity(), %local, "{what}");
}

/// How long a call may take: beyond every timeout of the machine.
fn call_timeout(config: &Config) -> Duration {
    let longest = [config.ping_req_timeout(), config.join_timeout(), config.sync_timeout()];
    longest.into_iter().max().unwrap_or_default() + CALL_TIMEOUT_MARGIN
}
