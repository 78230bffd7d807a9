//! A few members and the messages between them, to which a [`Sequence`]
//! happens, and everything that must hold after each step.

use swim_core::{
    Address, Body, Config, Event, INTERNAL_PREFIX, Init, Instant, Labels, Message, Node, Output,
    State, Stats, Status, Transmit, wire,
};

use super::meaning::{UNIX_MS, address, addresses, config, incarnation, labels, length, speech};
use super::ops::{Command, Op, Sequence, Span, Words};
use super::process::Process;

/// Messages that are kept, in flight and to answer; the oldest give way.
const MESSAGES_MAX: usize = 32;

/// Runs a sequence.
///
/// # Panics
///
/// When an invariant does not hold.
pub fn run(sequence: &Sequence) {
    let mut world = World::new(sequence);
    sequence.ops.iter().for_each(|op| world.step(op));
}

/// How messages reach a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As they are.
    Message,
    /// As bytes, which the driver decodes.
    Decoded,
    /// As bytes.
    Packet,
}

/// Runs a sequence and gives everything that came out, and what was counted.
///
/// # Panics
///
/// When an invariant does not hold.
pub fn trace(sequence: &Sequence, way: Way) -> (Vec<Output>, Vec<Stats>) {
    let mut world = World::new(sequence);
    world.way = way;
    world.trace = Some(Vec::new());
    sequence.ops.iter().for_each(|op| world.step(op));
    let stats = world.processes.iter().map(|process| *process.node.stats()).collect();
    (world.trace.unwrap_or_default(), stats)
}

pub(super) struct World {
    pub(super) now: Instant,
    config: Config,
    pub(super) processes: Vec<Process>,
    pub(super) in_flight: Vec<Transmit>,
    /// Requests of the members, which anybody may answer.
    asked: Vec<Transmit>,
    started: u64,
    way: Way,
    /// Everything that came out, when it is wanted.
    trace: Option<Vec<Output>>,
}

impl World {
    pub(super) fn new(sequence: &Sequence) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            config: config(sequence.config),
            processes: Vec::new(),
            in_flight: Vec::new(),
            asked: Vec::new(),
            started: 0,
            way: Way::Message,
            trace: None,
        };
        for i in 0..sequence.members {
            let process = world.start(i, UNIX_MS);
            world.processes.push(process);
        }
        if sequence.joined {
            world.join_each_other(sequence.members);
        }
        world
    }

    fn join_each_other(&mut self, members: u8) {
        for i in 0..members {
            self.command(i.into(), Command::Join { peers: (1 << members) - 1 });
        }
        while let Some(transmit) = take(&mut self.in_flight, 0) {
            self.deliver(transmit);
        }
    }

    /// Begins a process at the address with this number.
    fn start(&mut self, i: u8, unix_ms: u64) -> Process {
        self.started += 1;
        let init = Init {
            app: "app".into(),
            address: address(i),
            identity: (i == 0).then(|| "first".into()),
            labels: Labels::default(),
            seed: self.started,
            now: self.now,
            unix_ms,
        };
        Process::new(self.config.clone(), init)
    }

    fn index(&self, member: u8) -> usize {
        usize::from(member) % self.processes.len()
    }

    fn find(&self, address: &Address) -> Option<usize> {
        self.processes.iter().position(|process| process.node.local().address == *address)
    }

    pub(super) fn step(&mut self, op: &Op) {
        match op {
            Op::Wait(span) => self.now += length(*span),
            Op::Back(span) => {
                let since_start = self.now.since_start().saturating_sub(length(*span));
                self.now = Instant::from_start(since_start);
            }
            Op::Timeout { member } => self.timeout(self.index(*member)),
            Op::NextTimeout { member } => {
                let i = self.index(*member);
                if let Some(at) = self.processes[i].node.poll_timeout() {
                    self.now = self.now.max(at);
                    self.timeout(i);
                }
            }
            Op::Deliver { pick } => {
                if let Some(transmit) = take(&mut self.in_flight, *pick) {
                    self.deliver(transmit);
                }
            }
            Op::Duplicate { pick } => {
                if let Some(transmit) = peek(&self.in_flight, *pick).cloned() {
                    self.deliver(transmit);
                }
            }
            Op::Lose { pick } => drop(take(&mut self.in_flight, *pick)),
            Op::Undelivered { pick } => {
                if let Some(transmit) = take(&mut self.in_flight, *pick) {
                    self.undelivered(&transmit);
                }
            }
            Op::UndeliveredNumber { member, seq } => {
                self.input(self.index(*member), |node, now| node.handle_undelivered(now, *seq));
            }
            Op::Malformed { member, dropped } => self.input(self.index(*member), |node, now| {
                node.handle_malformed(now, usize::from(*dropped));
            }),
            Op::Say { member, from, seq, words } => {
                self.say(self.index(*member), &address(*from), (*seq).into(), words);
            }
            Op::Answer { pick, impostor, words } => self.answer(*pick, *impostor, words),
            Op::Command { member, command } => self.command(self.index(*member), *command),
            Op::Restart { member, off, behind } => self.restart(self.index(*member), *off, *behind),
        }
    }

    pub(super) fn timeout(&mut self, i: usize) {
        self.input(i, Node::handle_timeout);
        let (due, latest) = (self.processes[i].node.poll_timeout(), self.processes[i].latest);
        assert!(due.is_none_or(|at| at > latest), "{due:?} is due, but it is {latest:?}");
    }

    pub(super) fn deliver(&mut self, Transmit { to, message, .. }: Transmit) {
        if let Some(i) = self.find(&to) {
            self.message(i, message);
        }
    }

    fn undelivered(&mut self, Transmit { message, .. }: &Transmit) {
        let sender = self.find(&message.from).filter(|_| !message.is_reply());
        if let Some(i) = sender {
            self.input(i, |node, now| node.handle_undelivered(now, message.seq));
        }
    }

    fn answer(&mut self, pick: u8, impostor: u8, words: &Words) {
        let Some(Transmit { to, message, .. }) = peek(&self.asked, pick).cloned() else { return };
        let Some(i) = self.find(&message.from) else { return };
        let from = if impostor % 4 == 3 { address(impostor / 4) } else { to.clone() };
        let due = self.processes[i].node.poll_timeout();
        let effects = self.say(i, &from, message.seq, words);
        // A join may go to a name that many members have: any of them answers it.
        let anybody = matches!(message.body, Body::Join { .. });
        if from != to && words.is_reply() && !anybody {
            assert!(effects.iter().all(is_refusal), "only the one that was asked can answer");
            assert_eq!(self.processes[i].node.poll_timeout(), due);
        }
    }

    fn say(&mut self, i: usize, from: &Address, seq: u64, words: &Words) -> Vec<Output> {
        let node = &self.processes[i].node;
        let message = Message {
            app: if words.foreign % 16 == 15 { "another" } else { "app" }.into(),
            from: from.clone(),
            from_incarnation: incarnation(node, from, words.incarnation),
            seq,
            body: speech(node, &words.body),
        };
        self.message(i, message)
    }

    /// Gives a member a message and checks what that may do.
    fn message(&mut self, i: usize, message: Message) -> Vec<Output> {
        let Message { app, from, seq, body, .. } = message.clone();
        let foreign = app != *self.processes[i].node.app();
        let bytes = wire::encode(&message);
        let readable = wire::decode(&bytes).is_ok();
        let effects = match self.way {
            Way::Message => self.effects_of(i, |node, now| node.handle_message(now, message)),
            Way::Decoded => self.effects_of(i, |node, now| decode(node, now, &bytes)),
            Way::Packet => self.effects_of(i, |node, now| {
                assert_eq!(node.handle_packet(now, &bytes).is_ok(), readable);
            }),
        };
        if self.way != Way::Message && !readable {
            assert!(effects.is_empty(), "what is no message has no effect");
            return effects;
        }
        let is_answer = |output: &&Output| match output {
            Output::Transmit(Transmit { to, message, .. }) => {
                message.is_reply() && *to == from && message.seq == seq
            }
            Output::Event(_) => false,
        };
        let answers = effects.iter().filter(is_answer).count();
        match body {
            Body::Ping { .. } | Body::Join { .. } | Body::Sync(_) => assert_eq!(answers, 1),
            // The other one comes when the target has answered, or not.
            Body::PingReq { .. } => assert!(answers <= 1),
            Body::Refused { .. } => return effects,
            _ => {}
        }
        assert!(!foreign || effects.iter().all(is_refusal), "foreign messages change nothing");
        effects
    }

    pub(super) fn command(&mut self, i: usize, command: Command) {
        self.input(i, |node, now| {
            let state = node.state();
            let ready = state == State::Ready;
            match command {
                Command::Join { peers } => {
                    let joined = ready || state == State::Leaving;
                    assert_eq!(node.join(now, addresses(peers)).is_err(), joined);
                }
                Command::CancelJoin => node.cancel_join(now),
                Command::Leave => assert_eq!(node.leave(now).is_ok(), ready),
                Command::EvictSelf => assert_eq!(node.evict_self(now).is_ok(), ready),
                Command::SetLabels { labels: which } => {
                    let labels = labels(which);
                    let internal = labels.iter().any(|(key, _)| key.starts_with(INTERNAL_PREFIX));
                    let refused = internal || labels.check(&node.config().label_limits()).is_err();
                    assert_eq!(node.set_labels(now, &labels).is_err(), refused);
                }
                Command::Heal { hosts } => {
                    assert_eq!(node.heal(now, addresses(hosts)).is_ok(), ready);
                }
                Command::Discovered { hosts } => {
                    assert_eq!(node.discovered(now, addresses(hosts)).is_ok(), ready);
                }
                Command::Reap { about } => {
                    let peer = address(about);
                    let status = node.member(&peer).map(|member| member.status);
                    let gone = matches!(status, Some(Status::Faulty | Status::Leave));
                    let wanted = gone && peer != node.local().address;
                    assert_eq!(node.reap(now, &peer).is_ok(), wanted);
                }
                Command::ReapFaulty => drop(node.reap_faulty(now)),
                Command::Pause => node.pause(now),
                Command::Resume => node.resume(now),
                Command::Tick => assert!(!node.tick(now) || ready),
                Command::Reconfigure { config } => reconfigure(node, now, config),
            }
        });
    }

    fn restart(&mut self, i: usize, off: Span, behind: bool) {
        let unix_ms = UNIX_MS + self.now.since_start().as_millis() as u64;
        let off = length(off).as_millis() as u64;
        let unix_ms = if behind { unix_ms - off } else { unix_ms + off };
        self.processes[i] = self.start(i as u8, unix_ms);
    }

    fn input(&mut self, i: usize, input: impl FnOnce(&mut Node, Instant)) {
        self.effects_of(i, input);
    }

    /// Gives a member an input and puts what it sends on the way.
    fn effects_of(&mut self, i: usize, input: impl FnOnce(&mut Node, Instant)) -> Vec<Output> {
        let outputs = self.processes[i].input(self.now, input);
        for output in &outputs {
            let Output::Transmit(transmit) = output else { continue };
            if !transmit.message.is_reply() {
                push(&mut self.asked, transmit.clone());
            }
            push(&mut self.in_flight, transmit.clone());
        }
        if let Some(trace) = &mut self.trace {
            trace.extend(outputs.iter().cloned());
        }
        outputs
    }
}

/// What a driver does that decodes packets itself.
fn decode(node: &mut Node, now: Instant, bytes: &[u8]) {
    match wire::decode(bytes) {
        Ok(decoded) => {
            node.handle_malformed(now, decoded.dropped_changes);
            node.handle_message(now, decoded.message);
        }
        Err(_) => node.handle_malformed(now, 1),
    }
}

/// Whether this is all that a refused message may cause.
fn is_refusal(output: &Output) -> bool {
    match output {
        Output::Transmit(transmit) => matches!(transmit.message.body, Body::Refused { .. }),
        Output::Event(event) => matches!(event, Event::Rejected { .. }),
    }
}

fn peek(messages: &[Transmit], pick: u8) -> Option<&Transmit> {
    messages.get(usize::from(pick).checked_rem(messages.len())?)
}

pub(super) fn take(messages: &mut Vec<Transmit>, pick: u8) -> Option<Transmit> {
    let i = usize::from(pick).checked_rem(messages.len())?;
    Some(messages.remove(i))
}

fn push(messages: &mut Vec<Transmit>, transmit: Transmit) {
    if messages.len() == MESSAGES_MAX {
        messages.remove(0);
    }
    messages.push(transmit);
}

/// Other settings, but for what says which transport and dialect it is. They
/// are refused only when the member holds more than they allow.
fn reconfigure(node: &mut Node, now: Instant, which: u8) {
    let old = node.config().clone();
    let new = config(which)
        .to_builder()
        .late_acks(old.late_acks())
        .second_path(old.second_path())
        .sync_whole_list(old.sync_whole_list());
    let new = new.build().expect("all values are within their bounds");
    let fits = node.len() <= new.members_max();
    assert_eq!(node.reconfigure(now, new.clone()).is_ok(), fits);
    assert_eq!(*node.config(), if fits { new } else { old });
}
