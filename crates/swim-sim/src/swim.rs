//! `swim-core` as a [`Machine`]: through its public API and nothing else.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use swim_core::{
    Address, Body, Change, Config, Event, Init, Instant, Labels, Member, Message, Node, Output,
    State, Status, Transmit, wire,
};

use crate::machine::{
    Belief, Boot, Command, Effect, HostId, Kind, Machine, Names, Observation, Want,
};
use crate::time::Nanos;

/// A message on its way, with its address: in a box, because it passes through many hands.
#[derive(Clone, Debug)]
pub struct Packet(pub Box<Transmit>);

impl Deref for Packet {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0.message
    }
}

/// Members in one page of the list that a preloaded member gets: few, because
/// each leaves an event behind, and the queue of events keeps its size.
const PRELOAD_PAGE: u32 = 64;

/// A `swim-core` process.
#[derive(Debug)]
pub struct Swim {
    node: Node,
    names: Arc<Names>,
    /// Outputs that were taken from the machine before its driver asked.
    early: VecDeque<Output>,
    /// The settings that it was started with.
    config: Arc<Config>,
    /// Whether the prober is stuck in a send.
    is_stuck: bool,
    /// Requests of a prober that was stuck, with the time at which its probe
    /// has taken too long, in order. Those that were answered stay.
    stuck: VecDeque<(Instant, u64)>,
    /// Time of the last input.
    now: Instant,
}

/// A span that does not end within any run.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl Swim {
    /// A process that runs a machine which the caller made, for
    /// [`World::install`](crate::World::install).
    #[must_use]
    pub fn of_node(node: Node, names: Arc<Names>, now: Nanos) -> Self {
        let config = Arc::new(node.config().clone());
        Self::make(node, names, config, now)
    }

    const fn make(node: Node, names: Arc<Names>, config: Arc<Config>, now: Nanos) -> Self {
        Self {
            node,
            names,
            early: VecDeque::new(),
            config,
            is_stuck: false,
            stuck: VecDeque::new(),
            now: instant(now),
        }
    }

    /// The machine inside, for code that the simulator has no command for; see
    /// [`World::act`](crate::World::act).
    pub const fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// The machine inside.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// The addresses of all hosts.
    #[must_use]
    pub const fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// No probe ends from now on, and after the one that is due none begins.
    fn hold_probes(&mut self, now: Instant) {
        let builder = self.config.to_builder().protocol_period(NEVER);
        let config = builder.ping_timeout(NEVER).ping_req_timeout(NEVER).build();
        let config = config.expect("the three spans are within their ranges");
        self.node.reconfigure(now, config).expect("spans may change at any time");
        self.is_stuck = true;
    }

    fn release_probes(&mut self, now: Instant) {
        self.node.reconfigure(now, self.config.clone()).expect("spans may change at any time");
        self.is_stuck = false;
        self.fail_overdue(now);
    }

    /// A probe began before the send that it was stuck in, and so did its time:
    /// no answer comes early enough, neither the target's nor a helper's. The
    /// next probe was due meanwhile.
    fn fail_overdue(&mut self, now: Instant) {
        if self.is_stuck || self.stuck.front().is_none_or(|(overdue, _)| *overdue > now) {
            return;
        }
        let failed = |node: &Node| node.stats().probes_failed + node.stats().probes_inconclusive;
        let before = failed(&self.node);
        let overdue = self.stuck.partition_point(|(overdue, _)| *overdue <= now);
        for (_, seq) in self.stuck.drain(..overdue) {
            self.node.handle_undelivered(now, seq);
        }
        let mut asked = Vec::new();
        while let Some(output) = self.node.poll_output() {
            asked.extend(probe_request(&output));
            self.early.push_back(output);
        }
        asked.iter().for_each(|seq| self.node.handle_undelivered(now, *seq));
        if failed(&self.node) > before {
            self.node.tick(now);
        }
    }

    /// Whether outputs are more than what the machine has next.
    fn is_disturbed(&self) -> bool {
        self.is_stuck || !self.early.is_empty()
    }

    /// The next output of a machine that is disturbed.
    fn next_output(&mut self) -> Option<Output> {
        let output = self.early.pop_front().or_else(|| self.node.poll_output())?;
        if self.is_stuck {
            let span = self.config.ping_timeout() + self.config.ping_req_timeout();
            let overdue = self.now + span * (self.node.health_score() + 1);
            self.stuck.extend(probe_request(&output).map(|seq| (overdue, seq)));
        }
        Some(output)
    }

    fn addresses(&self, hosts: &[HostId]) -> Vec<Address> {
        hosts.iter().map(|host| self.names.address(*host).clone()).collect()
    }

    /// Answers a join request with one page of members `first..`; gives where
    /// the next page begins.
    fn preload_page(&mut self, now: Nanos, request: &Transmit, first: u32, members: u32) -> u32 {
        let local = self.node.local();
        let (host, incarnation) = (self.names.host(&local.address), local.incarnation);
        let end = first.saturating_add(PRELOAD_PAGE).min(members);
        let alive = |member: HostId| {
            let address = self.names.address(member).clone();
            let member = Member::new(address, Status::Alive, incarnation, Labels::default());
            Change { member, source: None }
        };
        let others = (first..end).filter(|member| Some(*member) != host);
        let next = (end < members).then(|| swim_core::Cursor {
            buckets: 1,
            bucket: 0,
            after: Some(self.names.address(end - 1).clone()),
        });
        let message = Message {
            app: self.node.app().clone(),
            from: request.to.clone(),
            from_incarnation: incarnation,
            seq: request.message.seq,
            body: Body::JoinAck { checksum: 0, changes: others.map(alive).collect(), next },
        };
        self.node.handle_message(instant(now), message);
        end
    }
}

/// The number of a request that a probe consists of.
const fn probe_request(output: &Output) -> Option<u64> {
    match output {
        Output::Transmit(Transmit { message, .. }) => match message.body {
            Body::Ping { .. } | Body::PingReq { .. } => Some(message.seq),
            _ => None,
        },
        Output::Event(_) => None,
    }
}

const fn instant(now: Nanos) -> Instant {
    Instant::from_start(Duration::from_nanos(now))
}

/// The labels of a version: one that changes with it, and a weight.
fn labels(version: u32) -> Labels {
    if version == 0 {
        return Labels::default();
    }
    let pairs = [("version", version.to_string()), ("weight", (1 + version % 3).to_string())];
    Labels::new(pairs).expect("two short labels are within the limits")
}

impl Machine for Swim {
    const NAME: &'static str = "swim-core";

    type Packet = Packet;
    type Event = Event;

    fn new(boot: Boot) -> Self {
        let init = Init {
            app: boot.names.app(boot.stranger),
            address: boot.names.address(boot.host).clone(),
            identity: None,
            labels: labels(boot.labels),
            seed: boot.seed,
            now: instant(boot.now),
            unix_ms: boot.unix_ms,
        };
        let config = boot.config.clone();
        let node = Node::new(boot.config, init).expect("name and labels are valid");
        Self::make(node, boot.names, config, boot.now)
    }

    fn preload(&mut self, now: Nanos, members: u32) {
        let me = self.names.host(&self.node.local().address);
        let peer = (0..members).find(|host| Some(*host) != me);
        let peers = peer.map(|peer| self.names.address(peer).clone()).into_iter().collect();
        self.node.join(instant(now), peers).expect("a new process has not joined");
        let mut first = 0;
        // Members learnt here count as known from the start: their events are dropped. The first
        // probe stays.
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(request) if self.node.state() == State::Joining => {
                    first = self.preload_page(now, &request, first, members);
                }
                probe @ Output::Transmit(_) => self.early.push_back(probe),
                Output::Event(_) => {}
            }
        }
    }

    fn command(&mut self, now: Nanos, command: Command) {
        let now = instant(now);
        self.now = now;
        // What does not fit the state is refused and changes nothing, which is
        // what a driver that is late would see as well.
        match command {
            Command::Join(peers) => drop(self.node.join(now, self.addresses(&peers))),
            Command::Discovered(hosts) => drop(self.node.discovered(now, self.addresses(&hosts))),
            Command::Leave => drop(self.node.leave(now)),
            Command::EvictSelf => drop(self.node.evict_self(now)),
            Command::SetLabels(version) => drop(self.node.set_labels(now, &labels(version))),
            Command::ReapFaulty => drop(self.node.reap_faulty(now)),
            Command::HoldProbes => self.hold_probes(now),
            Command::ReleaseProbes => self.release_probes(now),
        }
    }

    fn receive(&mut self, now: Nanos, packet: Packet) {
        self.node.handle_message(instant(now), packet.0.message);
    }

    fn receive_bytes(&mut self, now: Nanos, bytes: &[u8]) {
        // Bytes that are no message are counted by the machine already.
        let _ = self.node.handle_packet(instant(now), bytes);
    }

    fn undelivered(&mut self, now: Nanos, packet: &Packet) {
        if !packet.is_reply() {
            self.node.handle_undelivered(instant(now), packet.seq);
        }
    }

    fn timeout(&mut self, now: Nanos) {
        self.now = instant(now);
        self.node.handle_timeout(self.now);
        self.fail_overdue(self.now);
    }

    fn deadline(&self) -> Option<Nanos> {
        let overdue = self.stuck.front().filter(|_| !self.is_stuck).map(|(overdue, _)| *overdue);
        let at = match (self.node.poll_timeout(), overdue) {
            (Some(at), Some(overdue)) => at.min(overdue),
            (at, overdue) => at.or(overdue)?,
        };
        let at = at.since_start();
        Some(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
    }

    fn poll(&mut self) -> Option<Effect<Packet, Event>> {
        // Hardly ever is there anything but what the machine has next.
        let output =
            if self.is_disturbed() { self.next_output()? } else { self.node.poll_output()? };
        Some(match output {
            Output::Transmit(transmit) => {
                let to = self.names.host(&transmit.to);
                Effect::Send { to, packet: Packet(Box::new(transmit)) }
            }
            Output::Event(event) => Effect::Event(event),
        })
    }

    fn observation(&self, event: &Event) -> Option<Observation> {
        let Event::MemberChanged { before, after, .. } = event else { return None };
        let member = after.as_ref().or(before.as_ref())?;
        let subject = self.names.host(&member.address)?;
        let belief = after.as_ref().map_or(Belief::Gone, |member| belief_of(member.status));
        Some(Observation { subject, belief, version: member.incarnation })
    }

    fn version(&self) -> u64 {
        self.node.local().incarnation
    }

    fn want(event: &Event) -> Option<Want> {
        match event {
            Event::JoinFailed { .. } | Event::JoinRetrying { .. } => Some(Want::Join),
            Event::HealWanted => Some(Want::Heal),
            _ => None,
        }
    }

    fn sender(packet: &Packet, names: &Names) -> Option<HostId> {
        names.host(&packet.from)
    }

    fn kind(packet: &Packet) -> Kind {
        match packet.body {
            Body::Ping { .. } => Kind::Ping,
            Body::Ack { .. } => Kind::Ack,
            Body::PingReq { .. } => Kind::PingReq,
            Body::PingReqAck { .. } => Kind::PingReqAck,
            Body::Join { .. } => Kind::Join,
            Body::JoinAck { .. } => Kind::JoinAck,
            Body::Sync(_) => Kind::Sync,
            Body::SyncAck { .. } => Kind::SyncAck,
            Body::Refused { .. } => Kind::Refused,
        }
    }

    fn bytes(packet: &Packet) -> usize {
        wire::encoded_len(packet)
    }

    fn encode(packet: &Packet, bytes: &mut Vec<u8>) {
        wire::encode_into(packet, bytes);
    }

    fn belief(&self, host: HostId) -> Option<Belief> {
        self.node.member(self.names.address(host)).map(|member| belief_of(member.status))
    }

    fn is_member(&self) -> bool {
        self.node.state() == State::Ready
    }

    fn reachable(&self) -> usize {
        self.node.members().filter(|member| member.is_reachable()).count()
    }

    fn fingerprint(&self) -> u64 {
        self.node.checksum()
    }

    fn backlog(&self) -> usize {
        self.node.pending_changes()
    }
}

const fn belief_of(status: Status) -> Belief {
    match status {
        Status::Alive => Belief::Alive,
        Status::Suspect => Belief::Suspect,
        Status::Faulty => Belief::Faulty,
        Status::Leave => Belief::Left,
        Status::Tombstone => Belief::Gone,
    }
}
