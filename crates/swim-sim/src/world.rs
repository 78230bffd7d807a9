//! The cluster: hosts, the network between them, and the loop that makes
//! things happen in their order.

mod faults;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use swim_core::Config;

use crate::host::{Host, Parcel, Pause, Traffic};
use crate::machine::{Boot, Command, Effect, HostId, Machine, Names, Want};
use crate::network::Network;
use crate::queue::{Happening, Queue, Slab};
use crate::rng::Rng;
use crate::time::Nanos;
use crate::watch::{Fate, Input, Watcher};

/// Things that may happen at one point in virtual time before a run counts as
/// one that makes no progress.
const AT_ONE_TIME_MAX: u32 = 10_000_000;

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Hosts, whether a process runs on them from the start or not.
    pub hosts: u32,
    /// Settings of every process.
    pub config: Config,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

/// A cluster in virtual time.
///
/// ```
/// use swim_core::Config;
/// use swim_sim::{SECOND, Setup, Swim, World};
///
/// let setup = Setup { hosts: 10, config: Config::lan(), seed: 1 };
/// let mut world: World<Swim> = World::new(setup, ());
/// world.warm(10);
/// world.crash(3);
/// world.run_for(60 * SECOND);
/// assert!(world.agree());
/// ```
#[derive(Debug)]
pub struct World<M: Machine, W = ()> {
    setup: Setup,
    /// The settings, shared by all machines.
    config: Arc<Config>,
    names: Arc<Names>,
    now: Nanos,
    queue: Queue,
    hosts: Vec<Host<M, M::Packet>>,
    in_flight: Slab<Parcel<M::Packet>>,
    /// The network.
    pub network: Network,
    /// The observer.
    pub watcher: W,
    /// What discovery lists, as it answers now.
    pub discovery: Vec<HostId>,
    /// Hosts that get another list from their discovery.
    pub lists: BTreeMap<HostId, Vec<HostId>>,
    /// Whether machines that ask for it get what discovery lists; true from the start.
    pub follows_discovery: bool,
    /// Whether bytes are counted, which costs time.
    pub counts_bytes: bool,
    /// Whether every packet travels as bytes, not only those that are damaged.
    pub encodes: bool,
    seeds: Rng,
    /// A packet that is being encoded.
    buffer: Vec<u8>,
    happened_now: u32,
}

/// How a process is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Whom it joins; discovery's list when `None`.
    pub peers: Option<Vec<HostId>>,
    /// Whether it belongs to another application.
    pub stranger: bool,
    /// Version of its labels; 0 for none.
    pub labels: u32,
}

impl<M: Machine, W: Watcher<M>> World<M, W> {
    /// A world in which nothing runs yet. Discovery lists nobody.
    ///
    /// # Panics
    ///
    /// When there are more than 2^24 hosts.
    pub fn new(setup: Setup, watcher: W) -> Self {
        Self {
            names: Names::new(setup.hosts),
            now: 0,
            queue: Queue::default(),
            hosts: (0..setup.hosts).map(|_| Host::default()).collect(),
            in_flight: Slab::default(),
            network: Network::new(setup.seed),
            watcher,
            discovery: Vec::new(),
            lists: BTreeMap::new(),
            follows_discovery: true,
            counts_bytes: false,
            encodes: false,
            seeds: Rng::stream(setup.seed, "processes"),
            buffer: Vec::new(),
            happened_now: 0,
            config: Arc::new(setup.config.clone()),
            setup,
        }
    }

    // --- Looking ---

    /// Virtual time.
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// What the world was made from.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The process on a host, if one runs there.
    ///
    /// # Panics
    ///
    /// When there is no such host.
    pub fn machine(&self, host: HostId) -> Option<&M> {
        self.hosts[host as usize].machine.as_ref()
    }

    /// All processes that run.
    pub fn running(&self) -> impl Iterator<Item = (HostId, &M)> {
        let machines = self.hosts.iter().map(|host| host.machine.as_ref());
        (0..).zip(machines).filter_map(|(host, machine)| machine.map(|machine| (host, machine)))
    }

    /// Whether the process on a host stands still.
    pub fn is_paused(&self, host: HostId) -> bool {
        self.hosts[host as usize].pause.is_some()
    }

    /// What discovery lists to a host, as it answers now.
    pub fn listed(&self, host: HostId) -> Vec<HostId> {
        self.lists.get(&host).unwrap_or(&self.discovery).clone()
    }

    /// What a host sent and received. Bytes are 0 unless they are counted.
    pub fn traffic(&self, host: HostId) -> (Traffic, Traffic) {
        let host = &self.hosts[host as usize];
        (host.sent, host.received)
    }

    /// Whether all processes that take part have one view, with all of them in it.
    pub fn agree(&self) -> bool {
        let mut members = self.running().filter(|(_, machine)| machine.is_member());
        let Some((_, first)) = members.next() else { return true };
        members.all(|(_, machine)| machine.fingerprint() == first.fingerprint())
            && self.running().filter(|(_, machine)| machine.is_member()).count()
                == first.reachable()
    }

    /// Things that happened so far, for measures of speed.
    pub const fn happenings(&self) -> u64 {
        self.queue.entries()
    }

    // --- Processes ---

    /// Starts a process and lets it join.
    ///
    /// # Panics
    ///
    /// When one runs there already.
    pub fn start(&mut self, host: HostId, start: Start) {
        let boot = self.boot(host, &start);
        self.watcher.fault(self.now, &format_args!("start {host} {start:?}"));
        self.install(host, M::new(boot));
        let peers = start.peers.unwrap_or_else(|| self.listed(host));
        self.command(host, Command::Join(peers));
    }

    fn boot(&mut self, host: HostId, start: &Start) -> Boot {
        let place = &mut self.hosts[host as usize];
        assert!(place.machine.is_none(), "one process at a time runs on a host");
        place.lives += 1;
        Boot {
            host,
            names: self.names.clone(),
            config: self.config.clone(),
            cluster_size: self.setup.hosts,
            stranger: start.stranger,
            labels: start.labels,
            seed: self.seeds.next(),
            now: place.clock.local(self.now),
            unix_ms: place.clock.unix_ms(self.now),
        }
    }

    /// Puts a process on a host that the caller made, and that does nothing yet.
    ///
    /// # Panics
    ///
    /// When one runs there already.
    pub fn install(&mut self, host: HostId, machine: M) {
        self.watcher.started(self.now, host, &machine);
        let place = &mut self.hosts[host as usize];
        assert!(place.machine.is_none(), "one process at a time runs on a host");
        place.machine = Some(machine);
        place.armed = None;
        place.pause = None;
        place.service = 0;
        place.serving = false;
        place.inbox.clear();
        place.outbox.clear();
    }

    /// Starts hosts `0..members` as a cluster that has been together for long.
    /// Their probes are spread evenly over one period.
    pub fn warm(&mut self, members: u32) {
        let period = self.setup.config.protocol_period().as_nanos() as Nanos;
        let mut rng = Rng::stream(self.setup.seed, "phases");
        let mut starts: Vec<(Nanos, HostId)> =
            (0..members).map(|host| (self.now + rng.below(period), host)).collect();
        starts.sort_unstable();
        // All were made at one time and have the incarnation that all know; those that have not
        // begun yet hold what arrives.
        for host in 0..members {
            let boot = self.boot(host, &Start::default());
            self.install(host, M::new(boot));
            self.hosts[host as usize].pause = Some(Pause::Frozen);
        }
        self.discovery = (0..members).collect();
        for (at, host) in starts {
            self.run_until(at);
            let place = &mut self.hosts[host as usize];
            let local = place.clock.local(at);
            if let Some(machine) = &mut place.machine {
                machine.preload(local, members);
                self.watcher.started(at, host, machine);
            }
            self.resume(host);
        }
    }

    /// Ends a process without a word.
    pub fn crash(&mut self, host: HostId) {
        if self.hosts[host as usize].machine.take().is_some() {
            self.watcher.fault(self.now, &format_args!("crash {host}"));
            self.watcher.stopped(self.now, host);
        }
        let place = &mut self.hosts[host as usize];
        place.pause = None;
        place.inbox.clear();
        place.outbox.clear();
    }

    /// Gives the process on a host a command; nothing when none runs or it
    /// stands still.
    pub fn command(&mut self, host: HostId, command: Command) {
        if !self.is_paused(host) {
            self.command_at_once(host, command);
        }
    }

    /// Runs code on the process of a host, with its local time, and carries out what follows.
    ///
    /// # Panics
    ///
    /// When none runs there.
    pub fn act<T>(&mut self, host: HostId, act: impl FnOnce(&mut M, Nanos) -> T) -> T {
        let place = &mut self.hosts[host as usize];
        let machine = place.machine.as_mut().expect("a process runs there");
        let result = act(machine, place.clock.local(self.now));
        self.settle(host);
        result
    }

    fn command_at_once(&mut self, host: HostId, command: Command) {
        let place = &mut self.hosts[host as usize];
        let Some(machine) = &mut place.machine else { return };
        self.watcher.input(self.now, host, &Input::Command(&command), machine);
        machine.command(place.clock.local(self.now), command);
        self.settle(host);
    }

    /// Says something in the trace.
    pub fn note(&mut self, what: &dyn Display) {
        self.watcher.fault(self.now, what);
    }

    // --- The loop ---

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Nanos) {
        self.run_until(self.now + duration);
    }

    /// Lets time pass until this point.
    ///
    /// # Panics
    ///
    /// When time does not pass because machines have always something to do.
    pub fn run_until(&mut self, end: Nanos) {
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// Lets the next thing happen, unless it does so after this point; tells whether it did.
    ///
    /// # Panics
    ///
    /// As [`run_until`](Self::run_until).
    #[inline]
    pub fn step(&mut self, end: Nanos) -> bool {
        let Some((at, what)) = self.queue.pop_until(end) else { return false };
        self.happened_now = if at > self.now { 0 } else { self.happened_now + 1 };
        assert!(self.happened_now < AT_ONE_TIME_MAX, "no progress at {at} ns");
        self.now = self.now.max(at);
        match what {
            Happening::Wake { host } => self.wake(host, at),
            Happening::Arrive { host, parcel } => {
                let parcel = self.in_flight.take(parcel);
                self.arrive(host, parcel);
            }
            Happening::Serve { host } => self.serve(host),
        }
        true
    }

    /// Lets time pass step by step until the condition holds or the limit is
    /// over; tells whether it holds.
    pub fn run_while(&mut self, step: Nanos, limit: Nanos, wanted: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !wanted(self) {
            if self.now >= end {
                return false;
            }
            self.run_until((self.now + step).min(end));
        }
        true
    }

    #[inline]
    fn wake(&mut self, host: HostId, at: Nanos) {
        let place = &mut self.hosts[host as usize];
        if place.armed != Some(at) {
            return;
        }
        place.armed = None;
        // What it was armed for may be disarmed by now.
        if !place.is_due(at) {
            self.rearm(host);
        } else if place.pause.is_none_or(Pause::runs_timers) {
            self.timeout(host);
        }
    }

    fn timeout(&mut self, host: HostId) {
        let place = &mut self.hosts[host as usize];
        let Some(machine) = &mut place.machine else { return };
        self.watcher.input(self.now, host, &Input::Timeout, machine);
        machine.timeout(place.clock.local(self.now));
        self.settle(host);
    }

    fn arrive(&mut self, host: HostId, parcel: Parcel<M::Packet>) {
        let place = &mut self.hosts[host as usize];
        if place.machine.is_none() {
            self.refuse(host, parcel);
            return;
        }
        if place.is_prompt() && place.inbox.is_empty() {
            self.take(host, parcel);
            return;
        }
        let held = place.hold(parcel);
        if held && place.pause.is_none() && !place.serving {
            place.serving = true;
            let at = self.now + place.service;
            self.queue.push(at, Happening::Serve { host });
        }
    }

    /// A slow process has worked on a packet.
    fn serve(&mut self, host: HostId) {
        let place = &mut self.hosts[host as usize];
        place.serving = false;
        if place.pause.is_some() || place.machine.is_none() {
            return;
        }
        if let Some(parcel) = place.inbox.pop_front() {
            self.take(host, parcel);
        }
        let place = &mut self.hosts[host as usize];
        if !place.inbox.is_empty() {
            place.serving = true;
            let at = self.now + place.service;
            self.queue.push(at, Happening::Serve { host });
        }
    }

    /// Gives a packet to a process.
    fn take(&mut self, host: HostId, parcel: Parcel<M::Packet>) {
        let place = &mut self.hosts[host as usize];
        let Some(machine) = &mut place.machine else { return };
        let now = place.clock.local(self.now);
        match parcel {
            Parcel::Packet(packet) => {
                place.received.add(if self.counts_bytes { M::bytes(&packet) } else { 0 });
                self.watcher.input(self.now, host, &Input::Packet(&packet), machine);
                machine.receive(now, packet);
            }
            Parcel::Bytes(bytes) => {
                place.received.add(bytes.len());
                self.watcher.input(self.now, host, &Input::Bytes(&bytes), machine);
                machine.receive_bytes(now, &bytes);
            }
            Parcel::Returned(packet) => {
                self.watcher.input(self.now, host, &Input::Undelivered(&packet), machine);
                machine.undelivered(now, &packet);
            }
        }
        self.settle(host);
    }

    /// Nobody listens at the receiver.
    fn refuse(&mut self, to: HostId, parcel: Parcel<M::Packet>) {
        let Parcel::Packet(packet) = parcel else { return };
        if !self.network.refuses {
            return;
        }
        let Some(from) = M::sender(&packet, &self.names) else { return };
        let [answer, _] = self.network.route(to, from, || M::kind(&packet));
        if let Some(arrival) = answer {
            let parcel = self.in_flight.put(Parcel::Returned(packet));
            let at = self.now + arrival.delay;
            self.queue.push(at, Happening::Arrive { host: from, parcel });
        }
    }

    /// Carries out what a process wants and arms its next wake-up.
    fn settle(&mut self, host: HostId) {
        let mut want = None;
        loop {
            let Some(machine) = &mut self.hosts[host as usize].machine else { return };
            let Some(effect) = machine.poll() else { break };
            match effect {
                Effect::Send { to, packet } => self.send(host, to, packet),
                Effect::Event(event) => {
                    want = M::want(&event).or(want);
                    self.watcher.event(self.now, host, &event, machine);
                }
            }
        }
        if let Some(machine) = &self.hosts[host as usize].machine {
            self.watcher.settled(self.now, host, machine);
        }
        match want.filter(|_| self.follows_discovery) {
            Some(Want::Join) => self.command_at_once(host, Command::Join(self.listed(host))),
            Some(Want::Heal) => self.command_at_once(host, Command::Discovered(self.listed(host))),
            None => self.rearm(host),
        }
    }

    fn rearm(&mut self, host: HostId) {
        let place = &mut self.hosts[host as usize];
        let Some(deadline) = place.deadline() else { return };
        let at = deadline.max(self.now);
        if place.armed.is_none_or(|armed| at < armed) {
            place.armed = Some(at);
            self.queue.push(at, Happening::Wake { host });
        }
    }

    fn send(&mut self, from: HostId, to: Option<HostId>, mut packet: M::Packet) {
        let place = &mut self.hosts[from as usize];
        if place.pause.is_some() {
            self.watcher.sent(self.now, from, to, &packet, Fate::Held);
            place.outbox.push((to, packet));
            return;
        }
        let to = self.watcher.route(self.now, to, &mut packet);
        let counted = self.counts_bytes || self.network.mtu.is_some();
        let bytes = if counted { M::bytes(&packet) } else { 0 };
        place.sent.add(bytes);
        let Some(to) = to else {
            self.watcher.sent(self.now, from, None, &packet, Fate::Nowhere);
            return;
        };
        if self.network.mtu.is_some_and(|mtu| bytes > mtu) {
            self.watcher.sent(self.now, from, Some(to), &packet, Fate::TooLarge);
            return;
        }
        let [first, second] = self.network.route(from, to, || M::kind(&packet));
        let fate = if first.is_some() { Fate::Sent } else { Fate::Lost };
        self.watcher.sent(self.now, from, Some(to), &packet, fate);
        let Some(first) = first else { return };
        if let Some(second) = second {
            let parcel = self.wrap(packet.clone(), second.corrupt);
            self.queue.push(self.now + second.delay, Happening::Arrive { host: to, parcel });
        }
        let parcel = self.wrap(packet, first.corrupt);
        self.queue.push(self.now + first.delay, Happening::Arrive { host: to, parcel });
    }

    fn wrap(&mut self, packet: M::Packet, corrupt: bool) -> u32 {
        if !corrupt && !self.encodes {
            return self.in_flight.put(Parcel::Packet(packet));
        }
        self.buffer.clear();
        M::encode(&packet, &mut self.buffer);
        if corrupt {
            self.network.corrupt(&mut self.buffer);
        }
        self.in_flight.put(Parcel::Bytes(self.buffer.as_slice().into()))
    }
}
