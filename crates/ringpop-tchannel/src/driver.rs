//! The task that owns the membership machine.
//!
//! Its loop is the contract on [`swim_core::Node`]: do what is due, carry out
//! the outputs, publish, then wait for one input. Everything that arrives comes
//! as an input; nothing else touches the machine.

mod form;
mod handle;
mod lists;
mod outgoing;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ringpop_discovery::{Discovery, DiscoveryError};
use swim_core::{
    Address, Body, CommandError, Event, Instant, Isolation, JoinFailure, Member, Message, Node,
    Output, State,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, sleep_until};

use self::form::{Form, Verdict};
use self::handle::Input;
pub(crate) use self::handle::{Handle, Healed};
use self::lists::{Completed, Lists};
use self::outgoing::{Answered, Outgoing};
use crate::body::Read;
use crate::bridge::{JoinError, Joined};
use crate::channel::Peers;
use crate::dialect::ChecksumForm;
use crate::limits::{ANSWERS_MAX, INPUTS_MAX};
use crate::view::View;

/// What the task is made from.
pub(crate) struct DriverSetup {
    pub(crate) node: Node,
    /// The time that the machine calls zero.
    pub(crate) start: Clock,
    pub(crate) peers: Peers,
    /// Where hosts are listed; nowhere when `None`.
    pub(crate) discovery: Option<Arc<dyn Discovery>>,
    pub(crate) views: watch::Sender<Arc<View>>,
    /// The form of checksums that the application chose, if it did.
    pub(crate) checksum_form: Option<ChecksumForm>,
}

pub(crate) struct Driver {
    node: Node,
    start: Clock,
    inputs: mpsc::Receiver<Input>,
    outgoing: Outgoing,
    discovery: Option<Arc<dyn Discovery>>,
    resolving: JoinSet<Resolved>,
    views: watch::Sender<Arc<View>>,
    /// Members that changed since the last view.
    changed: BTreeSet<Address>,
    lists: Lists,
    form: Form,
    /// Who waits for the machine's reply to which request.
    answers: HashMap<(Address, u64), oneshot::Sender<Message>>,
    next_seq: u64,
    /// What is told once the view is published.
    told: Vec<Box<dyn FnOnce() + Send>>,
    join: Option<oneshot::Sender<Result<Joined, JoinError>>>,
    rejoin: Option<oneshot::Sender<Result<(), CommandError>>>,
    evictions: Vec<oneshot::Sender<()>>,
    heals: Vec<oneshot::Sender<Healed>>,
}

/// What the hosts are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Join,
    /// What the machine dials from time to time.
    Redial,
    /// A healing that an operator asked for.
    Heal,
}

/// The hosts that discovery lists.
struct Resolved {
    purpose: Purpose,
    hosts: Result<Vec<Address>, DiscoveryError>,
}

/// The queue by which a driver that does not exist yet will be reached: calls
/// of peers need it before.
pub(crate) fn queue() -> (Handle, Inputs) {
    let (sender, inputs) = mpsc::channel(INPUTS_MAX);
    (Handle::new(sender), Inputs(inputs))
}

/// The other end of a [`Handle`].
pub(crate) struct Inputs(mpsc::Receiver<Input>);

impl Driver {
    pub(crate) fn new(setup: DriverSetup, inputs: Inputs) -> Self {
        let DriverSetup { node, start, peers, discovery, views, checksum_form } = setup;
        Self {
            outgoing: Outgoing::new(peers, node.config()),
            changed: node.members().map(|member| member.address.clone()).collect(),
            node,
            start,
            inputs: inputs.0,
            discovery,
            resolving: JoinSet::new(),
            views,
            lists: Lists::default(),
            form: Form::new(checksum_form),
            answers: HashMap::new(),
            next_seq: 0,
            told: Vec::new(),
            join: None,
            rejoin: None,
            evictions: Vec::new(),
            heals: Vec::new(),
        }
    }

    /// Runs until it is aborted.
    pub(crate) async fn run(mut self) {
        self.publish();
        loop {
            self.node.handle_timeout(self.now());
            self.drain();
            let due = self.node.poll_timeout();
            let wake = due.map(|at| self.start + at.since_start());
            tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => return,
                },
                answered = self.outgoing.next() => self.take_answer(answered),
                Some(Ok(resolved)) = self.resolving.join_next() => self.take_hosts(resolved),
                () = sleep_until(wake.unwrap_or_else(Clock::now)), if wake.is_some() => {}
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    // --- Inputs ---

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Request(read, answer) => self.take_request(now, *read, answer),
            Input::Malformed => self.node.handle_malformed(now, 1),
            Input::Act(act) => {
                let tell = act(&mut self.node, now);
                self.told.push(tell);
            }
            Input::Timings(answer) => {
                // Who asked may have given up waiting, here and below.
                let _ = answer.send(self.outgoing.timings());
            }
            Input::Join(answer) => {
                self.join = Some(answer);
                self.resolve(Purpose::Join);
            }
            Input::Rejoin(answer) => {
                self.rejoin = Some(answer);
                // Others are being told of the leave first.
                if self.node.state() != State::Leaving {
                    self.rejoin();
                }
            }
            Input::Evict(answer) => match self.node.evict_self(now) {
                Ok(()) => self.evictions.push(answer),
                Err(error) => tracing::debug!(%error, "there is nothing to evict from"),
            },
            Input::Heal(answer) => {
                self.heals.push(answer);
                self.resolve(Purpose::Heal);
            }
        }
    }

    fn take_request(&mut self, now: Instant, read: Read, answer: oneshot::Sender<Message>) {
        let Read { mut message, dropped, .. } = read;
        if dropped > 0 {
            self.node.handle_malformed(now, dropped);
        }
        self.answers.retain(|_, answer| !answer.is_closed());
        if self.answers.len() >= ANSWERS_MAX {
            tracing::warn!("too many requests wait for an answer");
            return;
        }
        self.next_seq += 1;
        message.seq = self.next_seq;
        self.answers.insert((message.from.clone(), message.seq), answer);
        self.node.handle_message(now, message);
    }

    fn take_answer(&mut self, answered: Answered) {
        let now = self.now();
        let (seq, from) = (answered.seq, answered.from.clone());
        match self.outgoing.read(answered, self.node.app(), self.node.checksum()) {
            Some(Read { mut message, dropped, rest }) => {
                if dropped > 0 {
                    self.node.handle_malformed(now, dropped);
                }
                if let Body::JoinAck { checksum, changes, next } = &mut message.body {
                    let members = changes.iter().chain(&rest).map(|change| &change.member);
                    let verdict = self.form.judge(*checksum, members);
                    *next = self.lists.keep(from.clone(), changes, rest);
                    if !self.agrees(from, &verdict) {
                        return;
                    }
                }
                self.node.handle_message(now, message);
            }
            None => self.node.handle_undelivered(now, seq),
        }
    }

    /// Acts on what a member list tells about the form of checksums. `false` when
    /// the list must not be taken, because the join has failed for it.
    fn agrees(&mut self, peer: Address, verdict: &Verdict) -> bool {
        match *verdict {
            Verdict::Agrees => true,
            Verdict::Switch(form) => {
                tracing::info!(%peer, %form, "the checksums of this cluster have this form");
                self.node.set_dialect(Arc::new(form));
                self.publish();
                true
            }
            Verdict::Differs(theirs) => {
                let failure = JoinError::OtherForm { peer, theirs, ours: self.form.used() };
                let joining = self.node.state() == State::Joining;
                if joining {
                    self.node.cancel_join(self.now());
                    self.end_join(Err(failure));
                } else {
                    self.form.settle();
                    tracing::warn!(%failure, "full syncs with this cluster will not end");
                }
                !joining
            }
        }
    }

    // --- Discovery ---

    fn resolve(&mut self, purpose: Purpose) {
        let Some(discovery) = self.discovery.clone() else {
            return self.take_hosts(Resolved { purpose, hosts: Ok(Vec::new()) });
        };
        self.resolving.spawn(async move {
            let hosts = discovery.peers().await.map(|records| {
                let addresses = records.iter().map(|record| record.address.to_string());
                // What is too long for the machine is no member of its cluster.
                addresses.filter_map(|address| Address::verbatim(&address).ok()).collect()
            });
            Resolved { purpose, hosts }
        });
    }

    fn take_hosts(&mut self, Resolved { purpose, hosts }: Resolved) {
        let now = self.now();
        let hosts = match hosts {
            Ok(hosts) => hosts,
            Err(error) => {
                tracing::warn!(%error, "discovery failed");
                match (purpose, self.node.state()) {
                    // A round of a join that is under way goes on with the hosts it has.
                    (Purpose::Join, State::Joining) => {}
                    (Purpose::Join, _) => self.end_join(Err(JoinError::Discovery(error))),
                    (Purpose::Redial, _) => {}
                    (Purpose::Heal, _) => self.end_heals(&Healed::Failed(error.to_string())),
                }
                return;
            }
        };
        match purpose {
            Purpose::Join => {
                if let Err(error) = self.node.join(now, hosts) {
                    self.end_join(Err(error.into()));
                }
            }
            Purpose::Redial => {
                if let Err(error) = self.node.discovered(now, hosts) {
                    tracing::debug!(%error, "the answer of discovery came too late");
                }
            }
            Purpose::Heal => {
                if let Err(error) = self.node.heal(now, hosts) {
                    self.end_heals(&Healed::Failed(error.to_string()));
                }
            }
        }
    }

    // --- Outputs ---

    /// Carries out the outputs; publishes what they amount to, and tells.
    fn drain(&mut self) {
        let mut joined = false;
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(transmit) if transmit.message.is_reply() => {
                    self.reply(transmit.to, transmit.message);
                }
                Output::Transmit(transmit) => self.request(&transmit.to, transmit.message),
                Output::Event(event) => {
                    let address = match &event {
                        Event::MemberChanged { before, after, .. } => {
                            after.as_ref().or(before.as_ref()).map(|member| member.address.clone())
                        }
                        // Of its new incarnation no other event tells.
                        Event::Refuted { .. } => Some(self.node.local().address.clone()),
                        _ => None,
                    };
                    joined |= matches!(event, Event::JoinComplete { .. });
                    self.changed.extend(address);
                    self.on_event(event);
                }
            }
        }
        if joined || !self.changed.is_empty() {
            self.publish();
        }
        self.told.drain(..).for_each(|tell| tell());
    }

    fn reply(&mut self, to: Address, message: Message) {
        let key = (to, message.seq);
        let message = match self.lists.complete(&key, message) {
            Completed::Whole(message) => message,
            Completed::Needs(next) => return self.node.handle_message(self.now(), next),
        };
        if let Some(answer) = self.answers.remove(&key) {
            self.told.push(Box::new(|| drop(answer.send(message))));
        }
    }

    fn request(&mut self, to: &Address, message: Message) {
        let (now, seq) = (self.now(), message.seq);
        let member = self.node.member(to).is_some_and(Member::is_reachable);
        if let Some(page) = self.lists.page(to, &message) {
            self.node.handle_message(now, page);
        } else if !self.outgoing.start(to, message, member) {
            self.node.handle_undelivered(now, seq);
        }
    }

    /// Publishes the view of now. Only the members that changed are looked at.
    fn publish(&mut self) {
        let known = |address: &Address| (address.clone(), self.node.member(address).cloned());
        let changes = self.changed.iter().map(known);
        let joined = !matches!(self.node.state(), State::Idle | State::Joining);
        // Both forms of the checksum have 32 bits.
        let checksum = self.node.checksum() as u32;
        let view = self.views.borrow().next(changes, checksum, joined);
        match view {
            Ok(view) => {
                self.changed.clear();
                self.views.send_replace(Arc::new(view));
            }
            // The next view makes up for it.
            Err(error) => tracing::error!(%error, "the view stays as it was"),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::MemberChanged { before: Some(member), after: None, .. } => {
                self.outgoing.forget(&member.address);
            }
            Event::JoinRetrying { failure, delay, .. } => {
                tracing::info!(%failure, ?delay, "nobody could be joined, trying again");
                self.resolve(Purpose::Join);
            }
            Event::JoinComplete { joined, members, .. } => {
                if joined.is_empty() {
                    tracing::warn!("no other hosts are listed: this member is a cluster of one");
                } else if !self.form.is_settled() {
                    tracing::warn!(
                        "no member list of this cluster has a checksum of a known form; if full syncs do not end, \
                         set isCrossPlatform in ringpop-node"
                    );
                }
                self.end_join(Ok(Joined { peers: joined, members }));
            }
            Event::JoinFailed { failure, .. } => self.end_join(Err(join_error(failure))),
            Event::HealWanted => self.resolve(Purpose::Redial),
            Event::IsolationChanged { isolation, others, lost, .. } => {
                warn_of_isolation(isolation, others, lost);
            }
            Event::SyncEndless { peer, syncs } => tracing::warn!(
                %peer,
                syncs,
                "full syncs with a member bring nothing and do not end: the two compute checksums in other ways, or one \
                 does not keep what the other says"
            ),
            Event::HealEnded { contacted, .. } => self.end_heals(&Healed::Contacted(contacted)),
            Event::LeaveComplete { .. } => {
                for waiting in self.evictions.drain(..) {
                    self.told.push(Box::new(|| waiting.send(()).unwrap_or(())));
                }
                self.rejoin();
            }
            Event::Unreachable { address } => tracing::warn!(
                "nobody reaches this member at {address}: the others took it for faulty, and it owns no keys \
                 until one of them does; check the advertised address, port mappings and firewalls"
            ),
            Event::ReachableAgain { address, duration } => {
                tracing::info!(%address, ?duration, "others reach this member again");
            }
            Event::Rejected { from, reason } => {
                tracing::debug!(%from, ?reason, "a message was refused");
            }
            _ => {}
        }
    }

    /// Comes back after a leave; the member knows the cluster already.
    fn rejoin(&mut self) {
        let Some(answer) = self.rejoin.take() else { return };
        let result = match self.node.state() {
            State::Leaving | State::Left => self.node.join(self.now(), Vec::new()),
            State::Idle | State::Joining => Err(CommandError::NotJoined),
            State::Ready => Err(CommandError::AlreadyJoined),
        };
        self.told.push(Box::new(|| drop(answer.send(result))));
    }

    fn end_join(&mut self, result: Result<Joined, JoinError>) {
        if let Some(waiting) = self.join.take() {
            self.told.push(Box::new(|| drop(waiting.send(result))));
        }
    }

    fn end_heals(&mut self, healed: &Healed) {
        for waiting in self.heals.drain(..) {
            let healed = healed.clone();
            self.told.push(Box::new(|| drop(waiting.send(healed))));
        }
    }
}

/// A member that lost most of the others may own keys that are owned by others
/// elsewhere: an operator should look.
fn warn_of_isolation(isolation: Isolation, others: usize, lost: usize) {
    match isolation {
        // It began alone, or the others left in order.
        Isolation::Alone if (others, lost) == (0, 0) => {
            tracing::info!("this member has the cluster for itself");
        }
        Isolation::Alone => tracing::warn!(others, lost, "this member hears from nobody"),
        Isolation::Partial => tracing::warn!(
            others,
            lost,
            "this member lost most of the others; it may be cut off from them"
        ),
        _ => tracing::info!(others, "this member is in touch with the others again"),
    }
}

fn join_error(failure: JoinFailure) -> JoinError {
    JoinError::Failed(failure)
}
