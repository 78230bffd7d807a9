//! foca as a machine of the simulator and as a [`Peer`] of the bench.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use ::foca::{
    Codec as _, Config, Header, Identity, Member, Message, NoCustomBroadcast, Notification,
    PostcardCodec, Runtime, State, Timer,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};
use swim_sim::{
    Belief, Boot, Command, Effect, HostId, Kind, Machine, Names, Nanos, Observation, Rng, SECOND,
    UNIX_MS_AT_START, Want,
};

use crate::peer::{Notice, PACKET_BYTES_MAX, Peer, Update};

/// After this time without an answer a join is tried again: foca announces
/// itself once and leaves the rest to its driver.
const JOIN_RETRY: Nanos = SECOND;

/// Hosts that a joining member announces itself to at once.
const JOIN_PEERS: usize = 3;

/// Milliseconds of the wall clock that a life is counted in.
const LIFE_MS: u64 = 100;

/// The life of a process that began with the run.
const FIRST_LIFE: u16 = 1;

const PORT: u16 = 7946;

/// An address and when the process began, which is how foca wants a restarted
/// process to be told from its former self; the identity of foca's own examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id {
    address: SocketAddrV4,
    life: u16,
}

impl Id {
    fn new(host: HostId, life: u16) -> Self {
        let bits = u32::from(Ipv4Addr::new(10, 0, 0, 0)) + host;
        Self { address: SocketAddrV4::new(bits.into(), PORT), life }
    }

    fn host(self) -> HostId {
        u32::from(*self.address.ip()) & 0x00ff_ffff
    }
}

impl Identity for Id {
    type Addr = SocketAddrV4;

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life.wrapping_add(1), ..*self })
    }

    fn addr(&self) -> SocketAddrV4 {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.life > adversary.life
    }
}

/// An event of a member.
#[derive(Clone, Copy, Debug)]
pub enum Noticed {
    /// It believes something about another.
    Observed(Observation),
    /// It took a new identity although it is healthy: foca tells it to after a suspicion that it
    /// had refuted already.
    Renewed,
}

/// What foca calls back: keeps its timers, what it wants to send, and what it
/// believes.
struct Driver {
    now: Nanos,
    timers: BinaryHeap<Reverse<(Nanos, Timer<Id>)>>,
    /// The packets one after another, to keep the driver free of allocations; the first of them
    /// are taken already.
    bytes: Vec<u8>,
    taken: usize,
    /// The receiver of each packet, and where it ends.
    packets: VecDeque<(Id, usize)>,
    events: VecDeque<Noticed>,
    beliefs: Vec<Option<Belief>>,
}

impl Driver {
    fn believe(&mut self, id: &Id, belief: Belief) {
        let subject = id.host();
        self.beliefs[subject as usize] = Some(belief);
        let version = id.life.into();
        self.events.push_back(Noticed::Observed(Observation { subject, belief, version }));
    }

    /// The next packet that it wants to send.
    fn next_packet(&mut self) -> Option<(Id, &[u8])> {
        let Some((to, end)) = self.packets.pop_front() else {
            self.bytes.clear();
            self.taken = 0;
            return None;
        };
        let start = std::mem::replace(&mut self.taken, end);
        Some((to, &self.bytes[start..end]))
    }
}

impl Runtime<Id> for Driver {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberUp(id) => self.believe(id, Belief::Alive),
            Notification::MemberDown(id) => self.believe(id, Belief::Faulty),
            Notification::Rejoin(_) => self.events.push_back(Noticed::Renewed),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        self.packets.push_back((to, self.bytes.len()));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        let at = self.now + after.as_nanos() as Nanos;
        self.timers.push(Reverse((at, event)));
    }
}

/// A member of a foca cluster.
pub struct Foca {
    machine: ::foca::Foca<Id, PostcardCodec, SmallRng, NoCustomBroadcast>,
    driver: Driver,
    id: Id,
    /// Whom it tries to join, and when it tries again.
    joining: Option<(Vec<HostId>, Nanos)>,
    is_member: bool,
}

/// `Config::new_lan` with the timings of the cluster. foca wants an answer to a
/// probe within the period; the rest of a longer timeout is cut off.
fn config(boot: &Boot) -> Config {
    let members = NonZeroU32::new(boot.cluster_size).expect("a cluster has members");
    let mut config = Config::new_lan(members);
    let period = boot.config.protocol_period();
    config.probe_period = period;
    config.probe_rtt = boot.config.ping_timeout().min(period / 2);
    let scaled = boot.config.suspect_timeout_scaled();
    let scale = if scaled { f64::from(boot.cluster_size).log10().max(1.0) } else { 1.0 };
    config.suspect_to_down_after = boot.config.suspect_timeout().mul_f64(scale);
    config.max_packet_size = NonZeroUsize::new(PACKET_BYTES_MAX).expect("it is not zero");
    config
}

impl Foca {
    fn announce(&mut self, peers: Vec<HostId>) {
        let me = self.id.host();
        for host in peers.iter().take(JOIN_PEERS).filter(|host| **host != me) {
            // An announcement that cannot be sent is like one that is lost.
            let _ = self.machine.announce(Id::new(*host, 0), &mut self.driver);
        }
        self.joining = Some((peers, self.driver.now + JOIN_RETRY));
    }

    fn look_for_members(&mut self) {
        if self.joining.is_some() && self.machine.num_members() > 0 {
            self.joining = None;
            self.is_member = true;
        }
    }
}

impl Machine for Foca {
    const NAME: &'static str = "foca 2.0.0";

    type Packet = Vec<u8>;
    type Event = Noticed;

    fn new(boot: Boot) -> Self {
        let since_start = boot.unix_ms.saturating_sub(UNIX_MS_AT_START);
        let life = u16::try_from(since_start / LIFE_MS).unwrap_or(u16::MAX - FIRST_LIFE);
        let id = Id::new(boot.host, FIRST_LIFE + life);
        let rng = SmallRng::seed_from_u64(boot.seed);
        let machine = ::foca::Foca::new(id, config(&boot), rng, PostcardCodec);
        let driver = Driver {
            now: boot.now,
            timers: BinaryHeap::new(),
            bytes: Vec::new(),
            taken: 0,
            packets: VecDeque::new(),
            events: VecDeque::new(),
            beliefs: vec![None; boot.names.len()],
        };
        Self { machine, driver, id, joining: None, is_member: false }
    }

    fn preload(&mut self, now: Nanos, members: u32) {
        self.driver.now = now;
        let me = self.id.host();
        let others = (0..members).filter(|other| *other != me);
        let others = others.map(|host| Member::alive(Id::new(host, self.id.life)));
        self.machine.apply_many(others, false, &mut self.driver).expect("members are valid");
        // Nor do they count as its memory.
        self.driver.events = VecDeque::new();
        self.is_member = true;
    }

    fn command(&mut self, now: Nanos, command: Command) {
        self.driver.now = now;
        let me = self.id.host();
        match command {
            Command::Join(peers) if peers.iter().all(|peer| *peer == me) => {
                self.is_member = true;
            }
            // The first of the seed hosts begins the cluster: nobody else is there.
            Command::Join(peers) => {
                self.is_member |= peers.first() == Some(&me);
                self.announce(peers);
            }
            Command::Leave | Command::EvictSelf => {
                // It fails only where it has left before.
                let _ = self.machine.leave_cluster(&mut self.driver);
                self.is_member = false;
            }
            // foca announces itself to members that are down by itself, has no
            // labels, and its probes cannot be held.
            Command::Discovered(_)
            | Command::SetLabels(_)
            | Command::ReapFaulty
            | Command::HoldProbes
            | Command::ReleaseProbes => {}
        }
    }

    fn receive(&mut self, now: Nanos, packet: Vec<u8>) {
        self.receive_bytes(now, &packet);
    }

    fn receive_bytes(&mut self, now: Nanos, bytes: &[u8]) {
        self.driver.now = now;
        // Errors are about packets that are for somebody else; they change nothing.
        let _ = self.machine.handle_data(bytes, &mut self.driver);
        self.look_for_members();
    }

    fn undelivered(&mut self, _: Nanos, _: &Vec<u8>) {}

    fn timeout(&mut self, now: Nanos) {
        self.driver.now = now;
        if let Some((peers, _)) = self.joining.take_if(|(_, at)| *at <= now) {
            self.announce(peers);
        }
        while let Some(Reverse((at, _))) = self.driver.timers.peek() {
            if *at > now {
                break;
            }
            let Some(Reverse((_, timer))) = self.driver.timers.pop() else {
                break;
            };
            // Errors are about probes that were overtaken; they change nothing.
            let _ = self.machine.handle_timer(timer, &mut self.driver);
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        let timer = self.driver.timers.peek().map(|Reverse((at, _))| *at);
        let join = self.joining.as_ref().map(|(_, at)| *at);
        timer.into_iter().chain(join).min()
    }

    fn poll(&mut self) -> Option<Effect<Vec<u8>, Noticed>> {
        if let Some((to, packet)) = self.driver.next_packet() {
            return Some(Effect::Send { to: Some(to.host()), packet: packet.to_vec() });
        }
        self.driver.events.pop_front().map(Effect::Event)
    }

    fn observation(&self, event: &Noticed) -> Option<Observation> {
        match event {
            Noticed::Observed(observation) => Some(*observation),
            Noticed::Renewed => None,
        }
    }

    fn version(&self) -> u64 {
        self.id.life.into()
    }

    fn want(_: &Noticed) -> Option<Want> {
        None
    }

    fn sender(_: &Vec<u8>, _: &Names) -> Option<HostId> {
        None
    }

    fn kind(_: &Vec<u8>) -> Kind {
        Kind::Gossip
    }

    fn bytes(packet: &Vec<u8>) -> usize {
        packet.len()
    }

    fn encode(packet: &Vec<u8>, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(packet);
    }

    fn belief(&self, host: HostId) -> Option<Belief> {
        if host == self.id.host() {
            return Some(Belief::Alive);
        }
        self.driver.beliefs.get(host as usize).copied().flatten()
    }

    fn is_member(&self) -> bool {
        self.is_member
    }

    fn reachable(&self) -> usize {
        self.machine.num_members() + 1
    }

    fn fingerprint(&self) -> u64 {
        let known = self.machine.iter_members().map(|member| member.id().host());
        let hash = |host: HostId| Rng::new(host.into()).next();
        known.chain([self.id.host()]).fold(0, |sum: u64, host| sum.wrapping_add(hash(host)))
    }

    fn backlog(&self) -> usize {
        self.machine.updates_backlog()
    }
}

impl Peer for Foca {
    const PACKETS_ARE_BYTES: bool = true;

    type Batch = Vec<Member<Id>>;

    fn notice(&self, event: &Noticed) -> Option<Notice> {
        match event {
            Noticed::Observed(seen) if seen.belief == Belief::Faulty => {
                Some(Notice::Faulty(seen.subject))
            }
            Noticed::Observed(_) => None,
            Noticed::Renewed => Some(Notice::Renewed),
        }
    }

    fn ping(&self, from: HostId, updates: &[Update]) -> Vec<u8> {
        let header = Header {
            src: Id::new(from, FIRST_LIFE),
            src_incarnation: 0,
            dst: *self.machine.identity(),
            message: Message::Ping(1),
        };
        let mut bytes = Vec::new();
        PostcardCodec.encode_header(&header, &mut bytes).expect("a vector takes everything");
        let members = self.batch(updates);
        if !members.is_empty() {
            bytes.extend_from_slice(&(members.len() as u16).to_be_bytes());
        }
        for member in &members {
            PostcardCodec.encode_member(member, &mut bytes).expect("a vector takes everything");
        }
        bytes
    }

    fn batch(&self, updates: &[Update]) -> Vec<Member<Id>> {
        let member = |update: &Update| {
            Member::new(Id::new(update.subject, FIRST_LIFE), update.age, State::Alive)
        };
        updates.iter().map(member).collect()
    }

    fn apply(&mut self, batch: Vec<Member<Id>>) {
        self.machine
            .apply_many(batch.into_iter(), true, &mut self.driver)
            .expect("members are valid");
    }

    fn discard(&mut self, _: &mut Vec<u8>) {
        while let Some(packet) = self.driver.next_packet() {
            black_box(packet);
        }
        for event in self.driver.events.drain(..) {
            black_box(event);
        }
    }
}
