//! foca as a machine of the simulator.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use ::foca::{
    Config, Identity, Member, NoCustomBroadcast, Notification, PostcardCodec, Runtime, Timer,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};
use swim_sim::{
    Belief, Boot, Command, Effect, HostId, Kind, Machine, Names, Nanos, Observation, SECOND,
    UNIX_MS_AT_START, Want,
};

/// Largest packet: what fits an Ethernet frame.
const PACKET_BYTES_MAX: usize = 1_400;

/// After this time without an answer a join is tried again: foca announces
/// itself once and leaves the rest to its driver.
const JOIN_RETRY: Nanos = SECOND;

/// Hosts that a joining member announces itself to at once.
const JOIN_PEERS: usize = 3;

/// Milliseconds of the wall clock that a life is counted in.
const LIFE_MS: u64 = 100;

/// An address and when the process began, which is how foca wants a restarted
/// process to be told from its former self.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Id {
    host: HostId,
    life: u32,
}

impl Identity for Id {
    type Addr = HostId;

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life.wrapping_add(1), ..*self })
    }

    fn addr(&self) -> HostId {
        self.host
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.life > adversary.life
    }
}

/// What foca calls back: keeps its timers, what it wants to send, and what it
/// believes.
struct Driver {
    now: Nanos,
    timers: BinaryHeap<Reverse<(Nanos, Timer<Id>)>>,
    effects: VecDeque<Effect<Vec<u8>, Observation>>,
    beliefs: Vec<Option<Belief>>,
}

impl Driver {
    fn believe(&mut self, id: &Id, belief: Belief) {
        self.beliefs[id.host as usize] = Some(belief);
        let observation = Observation { subject: id.host, belief, version: id.life.into() };
        self.effects.push_back(Effect::Event(observation));
    }
}

impl Runtime<Id> for Driver {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberUp(id) => self.believe(id, Belief::Alive),
            Notification::MemberDown(id) => self.believe(id, Belief::Faulty),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.effects.push_back(Effect::Send { to: Some(to.host), packet: data.to_vec() });
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        let at = self.now + after.as_nanos() as Nanos;
        self.timers.push(Reverse((at, event)));
    }
}

/// A member of a foca cluster.
pub(crate) struct Foca {
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
        let life = 0;
        for host in peers.iter().take(JOIN_PEERS).filter(|host| **host != self.id.host) {
            // An announcement that cannot be sent is like one that is lost.
            let _ = self.machine.announce(Id { host: *host, life }, &mut self.driver);
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
    type Event = Observation;

    fn new(boot: Boot) -> Self {
        let since_start = boot.unix_ms.saturating_sub(UNIX_MS_AT_START);
        let id = Id { host: boot.host, life: 1 + (since_start / LIFE_MS) as u32 };
        let rng = SmallRng::seed_from_u64(boot.seed);
        let machine = ::foca::Foca::new(id, config(&boot), rng, PostcardCodec);
        let driver = Driver {
            now: boot.now,
            timers: BinaryHeap::new(),
            effects: VecDeque::new(),
            beliefs: vec![None; boot.names.len()],
        };
        Self { machine, driver, id, joining: None, is_member: false }
    }

    fn preload(&mut self, now: Nanos, members: u32) {
        self.driver.now = now;
        let Id { host, life } = self.id;
        let others = (0..members).filter(|other| *other != host);
        let others = others.map(|host| Member::alive(Id { host, life }));
        self.machine.apply_many(others, false, &mut self.driver).expect("members are valid");
        self.driver.effects.retain(|effect| matches!(effect, Effect::Send { .. }));
        self.is_member = true;
    }

    fn command(&mut self, now: Nanos, command: Command) {
        self.driver.now = now;
        match command {
            Command::Join(peers) if peers.iter().all(|peer| *peer == self.id.host) => {
                self.is_member = true;
            }
            // The first of the seed hosts begins the cluster: nobody else is there.
            Command::Join(peers) => {
                self.is_member |= peers.first() == Some(&self.id.host);
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

    fn poll(&mut self) -> Option<Effect<Vec<u8>, Observation>> {
        self.driver.effects.pop_front()
    }

    fn observation(&self, event: &Observation) -> Option<Observation> {
        Some(*event)
    }

    fn version(&self) -> u64 {
        self.id.life.into()
    }

    fn want(_: &Observation) -> Option<Want> {
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
        if host == self.id.host {
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
        let known = self.machine.iter_members().map(|member| member.id().host);
        let hash = |host: HostId| {
            let scattered = (u64::from(host) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            scattered.rotate_left(host % 63)
        };
        known.chain([self.id.host]).fold(0, |sum: u64, host| sum.wrapping_add(hash(host)))
    }

    fn backlog(&self) -> usize {
        self.machine.updates_backlog()
    }
}
