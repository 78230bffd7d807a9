//! A few dozen members on one clock that jumps to the next deadline.
//!
//! Messages take a fixed latency, may be lost, and do not cross cuts. Tests
//! read as a script: `start`, `run_for`, `crash`, `cut`, `until`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use swim_core::{
    Address, Body, Config, Event, Init, Instant, Labels, Member, Message, Node, Output, Path,
    State, Status, SyncStep, Transmit,
};

/// Steps after which a run counts as a livelock.
const STEPS_MAX: usize = 5_000_000;

/// A filter over messages: sender, receiver, message.
type Filter = Box<dyn FnMut(&Address, &Address, &Message) -> bool>;

/// What becomes of a message on its way: sender, receiver, message.
type Translation = Box<dyn FnMut(&Address, &Address, &Message) -> Option<Message>>;

pub struct Cluster {
    pub now: Instant,
    pub latency: Duration,
    /// Lost messages of 1,000.
    pub loss: u64,
    pub config: Config,
    /// Milliseconds of the wall clock at `Instant::ZERO`.
    pub unix_ms: u64,
    nodes: BTreeMap<Address, Node>,
    /// Events of each member in order, also of members that crashed.
    events: BTreeMap<Address, Vec<(Instant, Event)>>,
    in_flight: VecDeque<(Instant, Transmit)>,
    cuts: BTreeSet<(Address, Address)>,
    /// Processes that do not run at the moment, with what waits for them.
    frozen: BTreeMap<Address, Vec<Transmit>>,
    drop_if: Option<Filter>,
    translation: Option<Translation>,
    /// Addresses at which two processes listen, with the name under which the
    /// second one is kept, and whether it gets the next message.
    twins: BTreeMap<Address, (Address, bool)>,
    /// Other addresses of members.
    names: BTreeMap<Address, Address>,
    /// Members that are reached by the second path only.
    first_path_down: BTreeSet<Address>,
    /// Everything that was sent.
    pub sent: Vec<(Instant, Transmit)>,
    random: u64,
    started: u64,
}

/// The settings of most tests.
pub fn lan() -> Config {
    Config::lan()
}

pub fn address(i: usize) -> Address {
    Address::new(&format!("10.0.0.{i}:7946")).unwrap()
}

impl Cluster {
    pub fn new(config: Config) -> Self {
        Self {
            now: Instant::ZERO,
            latency: Duration::from_millis(1),
            loss: 0,
            config,
            unix_ms: 1_700_000_000_000,
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            in_flight: VecDeque::new(),
            cuts: BTreeSet::new(),
            frozen: BTreeMap::new(),
            drop_if: None,
            translation: None,
            twins: BTreeMap::new(),
            names: BTreeMap::new(),
            first_path_down: BTreeSet::new(),
            sent: Vec::new(),
            random: 0x5eed,
            started: 0,
        }
    }

    /// A cluster of `n` members that all joined and agree.
    pub fn joined(config: Config, n: usize) -> Self {
        let mut cluster = Self::new(config);
        (0..n).for_each(|i| cluster.start(i, 0..n));
        cluster.until("all agree", Duration::from_secs(60), |c| c.agree(n));
        cluster
    }

    /// Starts a process and lets it join the given ones.
    pub fn start(&mut self, i: usize, peers: impl IntoIterator<Item = usize>) {
        self.start_as(i, "app", Labels::default());
        let now = self.now;
        self.node_mut(i).join(now, peers.into_iter().map(address).collect()).unwrap();
        self.drain(&address(i));
    }

    /// Makes a process that does not join.
    pub fn start_as(&mut self, i: usize, app: &str, labels: Labels) {
        self.started += 1;
        let init = Init {
            app: app.into(),
            address: address(i),
            identity: None,
            labels,
            seed: self.started,
            now: self.now,
            unix_ms: self.unix_ms + self.now.since_start().as_millis() as u64,
        };
        let node = Node::new(self.config.clone(), init).unwrap();
        self.nodes.insert(address(i), node);
    }

    /// Runs a process that the test made.
    pub fn insert(&mut self, i: usize, node: Node) {
        self.nodes.insert(address(i), node);
    }

    /// Starts a second process at the address of a running one; it is kept as
    /// member `name`. The two get the messages to the address in turn.
    pub fn start_twin(&mut self, name: usize, of: usize, peers: impl IntoIterator<Item = usize>) {
        self.started += 1;
        let init = Init {
            app: "app".into(),
            address: address(of),
            identity: Some("twin".into()),
            labels: Labels::default(),
            seed: self.started,
            now: self.now,
            unix_ms: self.unix_ms + self.now.since_start().as_millis() as u64,
        };
        self.nodes.insert(address(name), Node::new(self.config.clone(), init).unwrap());
        self.twins.insert(address(of), (address(name), true));
        let peers = peers.into_iter().map(address).collect();
        self.command(name, |node, now| node.join(now, peers)).unwrap();
    }

    /// Kills the second process at an address.
    pub fn crash_twin(&mut self, of: usize) {
        let (name, _) = self.twins.remove(&address(of)).expect("it has a twin");
        self.nodes.remove(&name).expect("it runs");
    }

    /// Kills a process: it neither sends nor receives any more.
    pub fn crash(&mut self, i: usize) {
        self.nodes.remove(&address(i)).expect("it runs");
    }

    pub fn is_running(&self, i: usize) -> bool {
        self.nodes.contains_key(&address(i))
    }

    /// Stops a process as SIGSTOP does: messages wait, time goes on.
    pub fn freeze(&mut self, i: usize) {
        self.frozen.insert(address(i), Vec::new());
    }

    /// Lets a frozen process run again: due timers first, then what waited.
    pub fn thaw(&mut self, i: usize) {
        let waiting = self.frozen.remove(&address(i)).expect("it is frozen");
        let now = self.now;
        self.node_mut(i).handle_timeout(now);
        self.drain(&address(i));
        for transmit in waiting {
            self.deliver(transmit);
        }
    }

    /// Stops all messages between two sets of members.
    pub fn cut(&mut self, a: &[usize], b: &[usize]) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Stops messages from `from` to `to`.
    pub fn cut_one_way(&mut self, from: &[usize], to: &[usize]) {
        for f in from {
            self.cuts.extend(to.iter().map(|t| (address(*f), address(*t))));
        }
    }

    /// From now on this address leads to a member as well.
    pub fn name(&mut self, name: &str, of: usize) {
        self.names.insert(Address::new(name).unwrap(), address(of));
    }

    /// From now on a member is reached, and answers, by the second path only.
    pub fn first_path_down(&mut self, i: usize) {
        self.first_path_down.insert(address(i));
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
        self.drop_if = None;
    }

    /// Loses the messages for which `filter` holds.
    pub fn drop_if(&mut self, filter: impl FnMut(&Address, &Address, &Message) -> bool + 'static) {
        self.drop_if = Some(Box::new(filter));
    }

    /// From now on messages arrive as `translation` makes them, or not at all.
    pub fn translate(
        &mut self,
        translation: impl FnMut(&Address, &Address, &Message) -> Option<Message> + 'static,
    ) {
        self.translation = Some(Box::new(translation));
    }

    pub fn node(&self, i: usize) -> &Node {
        &self.nodes[&address(i)]
    }

    pub fn node_mut(&mut self, i: usize) -> &mut Node {
        self.nodes.get_mut(&address(i)).expect("it runs")
    }

    /// Runs a command on a member and carries out what follows.
    pub fn command<T>(&mut self, i: usize, f: impl FnOnce(&mut Node, Instant) -> T) -> T {
        let now = self.now;
        let result = f(self.node_mut(i), now);
        self.drain(&address(i));
        result
    }

    /// Gives a member a message as from the network.
    pub fn inject(&mut self, to: usize, message: Message) {
        self.command(to, |node, now| node.handle_message(now, message));
    }

    /// The replies to an injected message, taken off the network.
    pub fn replies(&mut self, from: usize, to: &Address, seq: u64) -> Vec<Body> {
        let from = address(from);
        self.sent
            .iter()
            .filter(|(_, t)| t.message.from == from && t.to == *to && t.message.seq == seq)
            .map(|(_, t)| t.message.body.clone())
            .collect()
    }

    pub fn status(&self, observer: usize, subject: usize) -> Option<Status> {
        self.member(observer, subject).map(|member| member.status)
    }

    pub fn member(&self, observer: usize, subject: usize) -> Option<&Member> {
        self.node(observer).member(&address(subject))
    }

    /// Whether all running members are ready, have one checksum, and see `n`
    /// alive members.
    pub fn agree(&self, n: usize) -> bool {
        let mut checksums: Vec<u64> = self.nodes.values().map(Node::checksum).collect();
        checksums.dedup();
        checksums.len() == 1
            && self.nodes.values().all(|node| {
                node.state() == State::Ready
                    && node.members().filter(|m| m.status == Status::Alive).count() == n
            })
    }

    /// Whether every running member but the subject gives it this status.
    pub fn all_say(&self, subject: usize, status: Status) -> bool {
        let subject = address(subject);
        self.nodes
            .iter()
            .filter(|(address, _)| **address != subject)
            .all(|(_, node)| node.member(&subject).map(|m| m.status) == Some(status))
    }

    pub fn events(&self, i: usize) -> impl Iterator<Item = &Event> {
        self.events.get(&address(i)).into_iter().flatten().map(|(_, event)| event)
    }

    /// When the events of a member happened for which `wanted` holds.
    pub fn times(&self, i: usize, wanted: impl Fn(&Event) -> bool) -> Vec<Instant> {
        let events = self.events.get(&address(i)).into_iter().flatten();
        events.filter(|(_, event)| wanted(event)).map(|(at, _)| *at).collect()
    }

    /// All statuses that `observer` gave `subject`, in order.
    pub fn history(&self, observer: usize, subject: usize) -> Vec<Option<Status>> {
        let subject = address(subject);
        let about = |event: &Event| match event {
            Event::MemberChanged { before, after, .. } => {
                let one = after.as_ref().or(before.as_ref())?;
                (one.address == subject).then(|| after.as_ref().map(|m| m.status))
            }
            _ => None,
        };
        self.events(observer).filter_map(about).collect()
    }

    pub fn forget_traffic(&mut self) {
        self.sent.clear();
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the condition holds.
    #[track_caller]
    pub fn until(
        &mut self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = self.now;
        let end = start + limit;
        while !condition(self) {
            assert!(self.step(end), "not within {limit:?}: {what}\n{}", self.describe());
        }
        self.now - start
    }

    fn describe(&self) -> String {
        let line = |(address, node): (&Address, &Node)| {
            let mut members: Vec<String> = node
                .members()
                .map(|m| format!("{}={}@{}", m.address, m.status, m.incarnation))
                .collect();
            members.sort();
            format!(
                "{address} {:?} {:016x}: {}\n",
                node.state(),
                node.checksum(),
                members.join(" ")
            )
        };
        self.nodes.iter().map(line).collect()
    }

    /// Jumps to the next message or deadline before `end`; `false` when there
    /// is none.
    fn step(&mut self, end: Instant) -> bool {
        let runs = |(address, _): &(&Address, &Node)| !self.frozen.contains_key(*address);
        let running = self.nodes.iter().filter(runs);
        let deadline = running.filter_map(|(a, n)| Some((n.poll_timeout()?, a))).min();
        let arrival = self.in_flight.front().map(|(at, _)| *at);
        let next = match (deadline.as_ref().map(|(at, _)| *at), arrival) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => return false,
        };
        if next > end {
            return false;
        }
        assert!(self.sent.len() < STEPS_MAX, "livelock");
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let (_, transmit) = self.in_flight.pop_front().expect("just looked");
            self.deliver(transmit);
        } else {
            let (_, address) = deadline.expect("it is one of the two");
            let address = address.clone();
            let now = self.now;
            let node = self.nodes.get_mut(&address).expect("it runs");
            node.handle_timeout(now);
            self.drain(&address);
        }
        true
    }

    fn deliver(&mut self, transmit: Transmit) {
        let now = self.now;
        let mut to = transmit.to.clone();
        if let Some((name, turn)) = self.twins.get_mut(&to) {
            *turn = !*turn;
            to = if *turn { to } else { name.clone() };
        }
        if let Some(waiting) = self.frozen.get_mut(&to) {
            waiting.push(transmit);
            return;
        }
        if let Some(node) = self.nodes.get_mut(&to) {
            node.handle_message(now, transmit.message);
            self.drain(&to);
        }
    }

    fn drain(&mut self, address: &Address) {
        loop {
            let node = self.nodes.get_mut(address).expect("it runs");
            let Some(output) = node.poll_output() else {
                node.check_invariants();
                return;
            };
            match output {
                Output::Event(event) => {
                    let now = self.now;
                    self.events.entry(address.clone()).or_default().push((now, event));
                }
                Output::Transmit(transmit) => self.transmit(transmit),
            }
        }
    }

    fn transmit(&mut self, mut transmit: Transmit) {
        self.sent.push((self.now, transmit.clone()));
        if let Some(member) = self.names.get(&transmit.to) {
            transmit.to = member.clone();
        }
        if let Some(translate) = &mut self.translation {
            let Transmit { to, message, .. } = &transmit;
            let Some(translated) = translate(&message.from, to, message) else { return };
            transmit.message = translated;
        }
        let (from, to) = (transmit.message.from.clone(), transmit.to.clone());
        // A reply goes back the way its request came.
        let is_reply = transmit.message.is_reply();
        let first_path = transmit.path == Path::First && !is_reply;
        let cut = self.cuts.contains(&(from.clone(), to.clone()))
            || (first_path && self.first_path_down.contains(&to));
        let filtered =
            self.drop_if.as_mut().is_some_and(|drop| drop(&from, &to, &transmit.message));
        // A generator of its own for the network: Knuth's MMIX constants.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let lost = (self.random >> 33) % 1000 < self.loss;
        if !cut && !filtered && !lost {
            self.in_flight.push_back((self.now + self.latency, transmit));
        }
    }
}

/// A message as another process would send it.
pub fn message(from: &Address, incarnation: u64, seq: u64, body: Body) -> Message {
    Message { app: "app".into(), from: from.clone(), from_incarnation: incarnation, seq, body }
}

/// A change about a member without source or labels.
pub fn change(i: usize, status: Status, incarnation: u64) -> swim_core::Change {
    swim_core::Change {
        member: Member::new(address(i), status, incarnation, Labels::default()),
        source: None,
    }
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Heals from one member and gives whom it contacted, and with how many
/// failures.
pub fn heal(cluster: &mut Cluster, i: usize, hosts: Vec<Address>) -> (Vec<Address>, usize) {
    let ended = |c: &Cluster| c.events(i).filter(|e| matches!(e, Event::HealEnded { .. })).count();
    let before = ended(cluster);
    cluster.command(i, |node, now| node.heal(now, hosts)).unwrap();
    cluster.until("healing ends", secs(60), |c| ended(c) > before);
    let last = cluster.events(i).filter_map(|event| match event {
        Event::HealEnded { contacted, failures } => Some((contacted.clone(), *failures)),
        _ => None,
    });
    last.last().unwrap()
}

/// The kind of a message, for people.
pub const fn kind(body: &Body) -> &'static str {
    match body {
        Body::Ping { .. } => "ping",
        Body::Ack { .. } => "ack",
        Body::PingReq { .. } => "ping-req",
        Body::PingReqAck { .. } => "ping-req-ack",
        Body::Join { .. } => "join",
        Body::JoinAck { .. } => "join-ack",
        Body::Sync(SyncStep::Compare { .. }) => "compare",
        Body::Sync(SyncStep::Exchange { .. }) => "exchange",
        Body::SyncAck { .. } => "sync-ack",
        Body::Refused { .. } => "refused",
    }
}
