//! The task that owns the membership machine.
//!
//! Its loop is the contract on [`swim_core::Node`]: run due timers, carry out the outputs, publish,
//! then wait for one input. Nothing else touches the machine, and no lock is held anywhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use swim_core::{Address, Event, Instant, Message, Node, Output, State};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant as Clock, sleep_until};

use crate::discover::{Ask, Discover, Lists, next_list, patiently, take_hosts};
use crate::handle::{Input, Queue, Waiting};
use crate::hooks::{Batch, Hooks};
use crate::limits::ANSWERS_MAX;
use crate::start::Start;
use crate::stats::{Counters, count};
use crate::transport::{Completed, Started, Transport};

/// Runs one machine over one transport.
#[must_use = "a driver does nothing until `run`"]
pub struct Driver<T: Transport, H: Hooks> {
    node: Node,
    /// The time that the machine calls zero.
    start: Clock,
    inputs: mpsc::Receiver<Input>,
    counters: Arc<Counters>,
    transport: T,
    hooks: H,
    /// Asks where to look for other partitions; `None` when nobody knows.
    discovery: Option<Ask>,
    /// The question that is being asked, at most one.
    asking: JoinSet<Vec<Address>>,
    /// The lists that discovery pushes.
    lists: Option<Box<dyn Lists>>,
    /// The latest of them, until the machine can take it.
    listed: Option<Vec<Address>>,
    /// The calls of others that wait for the reply to a request.
    answers: HashMap<(Address, u64), oneshot::Sender<Message>>,
    batch: Batch,
    waiting: Waiting,
    /// Whether the transport comes first in this turn. Taking turns is fair, and in
    /// virtual time it is the same each time.
    transport_first: bool,
}

/// What ends a wait.
enum Wake<I> {
    Input(Option<Input>),
    Transport(I),
    Hosts(Result<Vec<Address>, JoinError>),
    Listed(Vec<Address>),
    Due,
}

impl<T: Transport, H: Hooks> Driver<T, H> {
    /// Puts a driver together. The machine's time begins now.
    pub fn new(queue: Queue, node: Node, transport: T, hooks: H) -> Self {
        Self {
            node,
            start: Clock::now(),
            inputs: queue.inputs,
            counters: queue.counters,
            transport,
            hooks,
            discovery: None,
            asking: JoinSet::new(),
            lists: None,
            listed: None,
            answers: HashMap::new(),
            batch: Batch::default(),
            waiting: Waiting::default(),
            transport_first: false,
        }
    }

    /// The start from which the machine was made, when that was earlier.
    pub const fn started(mut self, start: &Start) -> Self {
        self.start = start.clock();
        self
    }

    /// Where hosts are listed, for healing: when the machine wants to look for
    /// other partitions ([`Event::HealWanted`]), it is given what discovery lists.
    /// Discovery that fails is asked again after pauses that double. Lists that discovery
    /// [pushes](Discover::lists) reach a member that has joined at once: hosts that appear are
    /// dialled, and those that are listed no more are not dialled any more. Without this,
    /// the machine knows the peers of its join only.
    pub fn discovery(mut self, discover: impl Discover) -> Self {
        self.lists = discover.lists();
        self.discovery = Some(patiently(discover, Arc::clone(&self.counters)));
        self
    }

    /// Runs until it is told to [stop](crate::Handle::stop) or every handle is
    /// dropped.
    pub async fn run(mut self) {
        let _guard = TellsOfPanic;
        self.batch.changed = self.node.members().map(|member| member.address.clone()).collect();
        loop {
            let now = self.now();
            self.node.handle_timeout(now);
            self.tell_list(now);
            self.carry_out();
            self.publish();
            match self.wait().await {
                Wake::Input(None | Some(Input::Stop)) => return self.hooks.end(&self.node),
                Wake::Input(Some(input)) => self.take(input),
                Wake::Transport(input) => {
                    let now = self.now();
                    self.transport.take(&mut self.node, now, input);
                }
                Wake::Hosts(hosts) => self.take_answer(hosts),
                Wake::Listed(hosts) => self.listed = Some(hosts),
                Wake::Due => {}
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    async fn wait(&mut self) -> Wake<T::Input> {
        let due = [self.node.poll_timeout(), self.hooks.poll_timeout()].into_iter().flatten().min();
        let wake = due.map(|at| self.start + at.since_start());
        let due = sleep_until(wake.unwrap_or(self.start));
        self.transport_first = !self.transport_first;
        if self.transport_first {
            tokio::select! {
                biased;
                input = self.transport.next() => Wake::Transport(input),
                input = self.inputs.recv() => Wake::Input(input),
                Some(hosts) = self.asking.join_next() => Wake::Hosts(hosts),
                hosts = next_list(&mut self.lists) => Wake::Listed(hosts),
                () = due, if wake.is_some() => Wake::Due,
            }
        } else {
            tokio::select! {
                biased;
                input = self.inputs.recv() => Wake::Input(input),
                input = self.transport.next() => Wake::Transport(input),
                Some(hosts) = self.asking.join_next() => Wake::Hosts(hosts),
                hosts = next_list(&mut self.lists) => Wake::Listed(hosts),
                () = due, if wake.is_some() => Wake::Due,
            }
        }
    }

    // --- Inputs ---

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Act(act) => act(&mut self.node, now, &mut self.waiting),
            Input::Request { message, dropped_changes, answer } => {
                if dropped_changes > 0 {
                    self.node.handle_malformed(now, dropped_changes);
                }
                if self.answers.len() >= ANSWERS_MAX {
                    self.answers.retain(|_, answer| !answer.is_closed());
                }
                if self.answers.len() >= ANSWERS_MAX {
                    count(&self.counters.requests_refused);
                    tracing::warn!(from = %message.from, "too many requests wait for a reply");
                    return;
                }
                self.answers.insert((message.from.clone(), message.seq), answer);
                self.node.handle_message(now, *message);
            }
            // The loop ends with it.
            Input::Stop => {}
        }
    }

    fn take_answer(&mut self, hosts: Result<Vec<Address>, JoinError>) {
        match hosts {
            Ok(hosts) => {
                let now = self.now();
                take_hosts(&mut self.node, now, hosts);
            }
            Err(error) => {
                count(&self.counters.discovery_failures);
                tracing::error!(%error, "discovery broke");
            }
        }
    }

    /// A list that comes before the member has joined waits for that.
    fn tell_list(&mut self, now: Instant) {
        if self.node.state() == State::Ready
            && let Some(hosts) = self.listed.take()
        {
            take_hosts(&mut self.node, now, hosts);
        }
    }

    // --- Outputs ---

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(transmit) if transmit.message.is_reply() => {
                    self.reply(transmit.to, transmit.message);
                }
                Output::Transmit(transmit) => {
                    let seq = transmit.message.seq;
                    match self.transport.start(&self.node, transmit) {
                        Started::UnderWay => {}
                        Started::Undelivered => self.node.handle_undelivered(self.now(), seq),
                        Started::Answered(reply) => self.node.handle_message(self.now(), *reply),
                    }
                }
                Output::Event(event) => {
                    if event == Event::HealWanted {
                        self.look_for_partitions();
                    }
                    self.batch.push(&self.node, event);
                }
            }
        }
    }

    fn reply(&mut self, to: Address, reply: Message) {
        let reply = match self.transport.complete(&to, reply) {
            Completed::Reply(reply) => reply,
            Completed::Request(request) => {
                return self.node.handle_message(self.now(), request);
            }
        };
        match self.answers.remove(&(to.clone(), reply.seq)) {
            // The peer may have hung up; it will ask again.
            Some(answer) => self.waiting.told.push(Box::new(|| drop(answer.send(reply)))),
            None => self.transport.reply(&self.node, to, reply),
        }
    }

    fn look_for_partitions(&mut self) {
        if let Some(ask) = &self.discovery
            && self.asking.is_empty()
        {
            self.asking.spawn(ask());
        }
    }

    /// Publishes what happened; then those who wait are told.
    fn publish(&mut self) {
        let now = self.now();
        let batch = std::mem::take(&mut self.batch);
        // Events are shown to watchers after they were published.
        let watched =
            if self.waiting.watchers.is_empty() { Vec::new() } else { batch.events.clone() };
        for event in &batch.events {
            if let Event::MemberChanged { before, after, .. } = event {
                self.transport.member_changed(before.as_ref(), after.as_ref());
            }
        }
        if !batch.is_empty() {
            self.hooks.publish(&self.node, now, batch);
        }
        self.hooks.handle_timeout(&self.node, now);
        self.waiting.tell(&self.node, &watched);
    }
}

/// Says that a driver ended by a panic: its member is dead to the others, and the
/// process may live on.
struct TellsOfPanic;

impl Drop for TellsOfPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a hook, a command or a transport panicked: this member has stopped");
        }
    }
}

impl<T: Transport, H: Hooks> fmt::Debug for Driver<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("node", &self.node).finish_non_exhaustive()
    }
}
