//! A few dozen members in the world of the simulator.
//!
//! Messages take a fixed latency, may be lost, and do not cross cuts; discovery lists nobody.
//! Tests read as a script: `start`, `run_for`, `crash`, `cut`, `until`.

use std::sync::Arc;
use std::time::Duration;

use swim_core::{
    Address, Body, Config, Event, Init, Instant, Labels, Member, Message, Node, State, Status,
    Transmit,
};
use swim_sim::{
    Chance, HostId, Hosts, Latency, Names, Nanos, Pause, Rule, RuleId, Setup, Swim, World,
};

use super::address;
use super::script::{Script, instant};

/// Hosts of every world: as many as the last part of an address can name.
const HOSTS: u32 = 256;

pub struct Cluster {
    world: World<Swim, Script>,
    names: Arc<Names>,
    /// Settings of processes that start from now on.
    pub config: Config,
    /// Milliseconds of the wall clock at `Instant::ZERO`.
    pub unix_ms: u64,
    cuts: Vec<RuleId>,
    started: u64,
}

fn host(i: usize) -> HostId {
    HostId::try_from(i).unwrap()
}

fn hosts(of: &[usize]) -> Hosts {
    Hosts::of(&of.iter().map(|i| host(*i)).collect::<Vec<_>>())
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap()
}

impl Cluster {
    pub fn new(config: Config) -> Self {
        let setup = Setup { hosts: HOSTS, config: config.clone(), seed: 0x5eed };
        let mut world = World::new(setup, Script::default());
        world.follows_discovery = false;
        let mut cluster = Self {
            world,
            names: Names::new(HOSTS),
            config,
            unix_ms: 1_700_000_000_000,
            cuts: Vec::new(),
            started: 0,
        };
        cluster.set_latency(Duration::from_millis(1));
        cluster
    }

    /// A cluster of `n` members that all joined and agree.
    pub fn joined(config: Config, n: usize) -> Self {
        let mut cluster = Self::new(config);
        (0..n).for_each(|i| cluster.start(i, 0..n));
        cluster.until("all agree", Duration::from_secs(60), |c| c.agree(n));
        cluster
    }

    /// Does not check the machines after each step, for tests with thousands of members.
    pub fn leave_unchecked(&mut self) {
        self.world.watcher.is_unchecked = true;
    }

    /// How long messages take from now on.
    pub fn set_latency(&mut self, latency: Duration) {
        self.world.network.latency = Latency::Fixed(nanos(latency));
    }

    /// Loses so many of 1,000 messages from now on.
    pub fn set_loss(&mut self, per_mille: u32) {
        self.world.network.loss = Chance::of(f64::from(per_mille) / 1000.0);
    }

    /// Starts a process and lets it join the given ones.
    pub fn start(&mut self, i: usize, peers: impl IntoIterator<Item = usize>) {
        self.start_as(i, "app", Labels::default());
        let peers = peers.into_iter().map(address).collect();
        self.command(i, |node, now| node.join(now, peers)).unwrap();
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
            now: self.now(),
            unix_ms: self.wall_ms(),
        };
        self.insert(i, Node::new(self.config.clone(), init).unwrap());
    }

    /// Runs a process that the test made.
    pub fn insert(&mut self, i: usize, node: Node) {
        let swim = Swim::of_node(node, Arc::clone(&self.names), self.world.now());
        self.world.install(host(i), swim);
        // It may have something to do already.
        self.command(i, |_, _| ());
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
            now: self.now(),
            unix_ms: self.wall_ms(),
        };
        self.insert(name, Node::new(self.config.clone(), init).unwrap());
        self.world.watcher.twins.insert(host(of), (host(name), true));
        let peers = peers.into_iter().map(address).collect();
        self.command(name, |node, now| node.join(now, peers)).unwrap();
    }

    /// Kills the second process at an address.
    pub fn crash_twin(&mut self, of: usize) {
        let (name, _) = self.world.watcher.twins.remove(&host(of)).expect("it has a twin");
        self.world.crash(name);
    }

    /// Kills a process: it neither sends nor receives any more.
    pub fn crash(&mut self, i: usize) {
        assert!(self.is_running(i), "it runs");
        self.world.crash(host(i));
    }

    pub fn is_running(&self, i: usize) -> bool {
        self.world.machine(host(i)).is_some()
    }

    /// Stops a process as SIGSTOP does: messages wait, time goes on.
    pub fn freeze(&mut self, i: usize) {
        self.world.pause(host(i), Pause::FrozenTimersFirst);
    }

    /// Lets a frozen process run again: due timers first, then what waited.
    pub fn thaw(&mut self, i: usize) {
        assert!(self.world.is_paused(host(i)), "it is frozen");
        self.world.resume(host(i));
    }

    /// Stops all messages between two sets of members.
    pub fn cut(&mut self, a: &[usize], b: &[usize]) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Stops messages from `from` to `to`.
    pub fn cut_one_way(&mut self, from: &[usize], to: &[usize]) {
        let rule = self.world.network.add(Rule::cut(hosts(from), hosts(to)));
        self.cuts.push(rule);
    }

    /// From now on this address leads to a member as well.
    pub fn name(&mut self, name: &str, of: usize) {
        self.world.watcher.names.insert(Address::new(name).unwrap(), host(of));
    }

    /// From now on a member is reached, and answers, by the second path only.
    pub fn first_path_down(&mut self, i: usize) {
        self.world.watcher.first_path_down.insert(host(i));
    }

    pub fn heal(&mut self) {
        self.cuts.drain(..).for_each(|rule| self.world.network.lift(rule));
        self.world.watcher.drop_if = None;
    }

    /// Loses the messages for which `filter` holds.
    pub fn drop_if(&mut self, filter: impl FnMut(&Address, &Address, &Message) -> bool + 'static) {
        self.world.watcher.drop_if = Some(Box::new(filter));
    }

    /// From now on messages arrive as `translation` makes them, or not at all.
    pub fn translate(
        &mut self,
        translation: impl FnMut(&Address, &Address, &Message) -> Option<Message> + 'static,
    ) {
        self.world.watcher.translation = Some(Box::new(translation));
    }

    pub fn now(&self) -> Instant {
        instant(self.world.now())
    }

    /// The wall clock in milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> u64 {
        self.unix_ms + self.now().since_start().as_millis() as u64
    }

    pub fn node(&self, i: usize) -> &Node {
        self.world.machine(host(i)).expect("it runs").node()
    }

    /// The processes that run, by number.
    fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.world.running().map(|(host, machine)| (host as usize, machine.node()))
    }

    /// Runs a command on a member and carries out what follows.
    pub fn command<T>(&mut self, i: usize, f: impl FnOnce(&mut Node, Instant) -> T) -> T {
        self.world.act(host(i), |machine, now| f(machine.node_mut(), instant(now)))
    }

    /// Gives a member a message as from the network.
    pub fn inject(&mut self, to: usize, message: Message) {
        self.command(to, |node, now| node.handle_message(now, message));
    }

    /// Everything that was sent since the traffic was forgotten.
    pub fn sent(&self) -> &[(Instant, Transmit)] {
        &self.world.watcher.sent
    }

    pub fn forget_traffic(&mut self) {
        self.world.watcher.sent.clear();
    }

    /// Forgets what would fill the memory of a long test.
    pub fn forget_replies(&mut self) {
        self.world.watcher.sent.retain(|(_, t)| !t.message.is_reply());
    }

    /// The replies to an injected message, taken off the network.
    pub fn replies(&self, from: usize, to: &Address, seq: u64) -> Vec<Body> {
        let from = address(from);
        self.sent()
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
        let mut checksums: Vec<u64> = self.nodes().map(|(_, node)| node.checksum()).collect();
        checksums.dedup();
        checksums.len() == 1
            && self.nodes().all(|(_, node)| {
                node.state() == State::Ready
                    && node.members().filter(|m| m.status == Status::Alive).count() == n
            })
    }

    /// Whether every running member but the subject gives it this status.
    pub fn all_say(&self, subject: usize, status: Status) -> bool {
        let (host, subject) = (subject, address(subject));
        let mut others = self.nodes().filter(|(i, _)| *i != host);
        others.all(|(_, node)| node.member(&subject).map(|m| m.status) == Some(status))
    }

    fn timed_events(&self, i: usize) -> impl Iterator<Item = &(Instant, Event)> {
        self.world.watcher.events.get(&host(i)).into_iter().flatten()
    }

    pub fn events(&self, i: usize) -> impl Iterator<Item = &Event> {
        self.timed_events(i).map(|(_, event)| event)
    }

    /// When the events of a member happened for which `wanted` holds.
    pub fn times(&self, i: usize, wanted: impl Fn(&Event) -> bool) -> Vec<Instant> {
        self.timed_events(i).filter(|(_, event)| wanted(event)).map(|(at, _)| *at).collect()
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

    pub fn run_for(&mut self, duration: Duration) {
        self.world.run_for(nanos(duration));
    }

    /// Runs until the condition holds.
    #[track_caller]
    pub fn until(
        &mut self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> Duration {
        let start = self.now();
        let end = self.world.now() + nanos(limit);
        while !condition(self) {
            let happened = self.world.step(end);
            assert!(happened, "not within {limit:?}: {what}\n{}", self.describe());
        }
        self.now() - start
    }

    fn describe(&self) -> String {
        let line = |(i, node): (usize, &Node)| {
            let mut members: Vec<String> = node
                .members()
                .map(|m| format!("{}={}@{}", m.address, m.status, m.incarnation))
                .collect();
            members.sort();
            let (state, checksum) = (node.state(), node.checksum());
            format!("{} {state:?} {checksum:016x}: {}\n", address(i), members.join(" "))
        };
        self.nodes().map(line).collect()
    }
}
