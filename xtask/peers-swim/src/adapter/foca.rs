//! foca as a [`Peer`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

use super::{Nanos, Observation, PACKET_BYTES_MAX, PROBE_PERIOD, PROBE_TIMEOUT, SUSPICION};
use super::{Peer, Setup, Sink, Update};

const PORT: u16 = 7946;

/// An address and a counter of lives, the identity that foca's own examples use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Id {
    address: SocketAddrV4,
    life: u16,
}

impl Id {
    fn new(index: usize) -> Self {
        let bits = u32::from(Ipv4Addr::new(10, 0, 0, 0)) + index as u32;
        Self { address: SocketAddrV4::new(bits.into(), PORT), life: 0 }
    }

    fn index(self) -> usize {
        (u32::from(*self.address.ip()) & 0x00ff_ffff) as usize
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

/// What foca calls back: keeps its timers and what it wants to send.
#[derive(Default)]
struct Driver {
    now: Nanos,
    timers: BinaryHeap<Reverse<(Nanos, Timer<Id>)>>,
    /// The packets one after another, to keep the driver free of allocations.
    bytes: Vec<u8>,
    packets: Vec<(Id, usize)>,
    observations: Vec<Observation>,
}

impl Runtime<Id> for Driver {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberDown(id) => {
                self.observations.push(Observation::Faulty(id.index()));
            }
            // A healthy member takes a new identity: foca tells it to after a suspicion that it
            // had refuted already.
            Notification::Rejoin(_) => self.observations.push(Observation::Renewed),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        self.packets.push((to, self.bytes.len()));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        let at = self.now + after.as_nanos() as Nanos;
        self.timers.push(Reverse((at, event)));
    }
}

/// A member of a foca cluster, with the timings of `Config::new_lan`.
pub(crate) struct Foca {
    machine: ::foca::Foca<Id, PostcardCodec, SmallRng, NoCustomBroadcast>,
    driver: Driver,
    setup: Setup,
    index: usize,
}

impl Foca {
    fn config(setup: Setup) -> Config {
        let members = NonZeroU32::new(setup.members as u32).expect("a cluster has members");
        let mut config = Config::new_lan(members);
        config.probe_period = Duration::from_nanos(PROBE_PERIOD);
        config.probe_rtt = Duration::from_nanos(PROBE_TIMEOUT);
        let scale = (setup.members as f64).log10().max(1.0);
        config.suspect_to_down_after = Duration::from_nanos(SUSPICION).mul_f64(scale);
        config.max_packet_size = NonZeroUsize::new(PACKET_BYTES_MAX).expect("it is not zero");
        config
    }
}

impl Peer for Foca {
    const NAME: &'static str = "foca 2.0.0";

    type Batch = Vec<Member<Id>>;

    fn new(setup: Setup, index: usize, now: Nanos) -> Self {
        let rng = SmallRng::seed_from_u64(setup.seed_of(index));
        let machine = ::foca::Foca::new(Id::new(index), Self::config(setup), rng, PostcardCodec);
        let driver = Driver { now, ..Driver::default() };
        Self { machine, driver, setup, index }
    }

    fn preload(&mut self, now: Nanos) {
        self.driver.now = now;
        let others = (0..self.setup.members).filter(|other| *other != self.index);
        let others = others.map(|other| Member::alive(Id::new(other)));
        self.machine.apply_many(others, false, &mut self.driver).expect("members are valid");
    }

    fn join(&mut self, now: Nanos, via: Option<usize>) {
        self.driver.now = now;
        if let Some(via) = via {
            self.machine
                .announce(Id::new(via), &mut self.driver)
                .expect("an announcement fits a packet");
        }
    }

    fn receive(&mut self, now: Nanos, bytes: &[u8]) {
        self.driver.now = now;
        // Errors are about packets that are for somebody else; they change nothing.
        let _ = self.machine.handle_data(bytes, &mut self.driver);
    }

    fn timeout(&mut self, now: Nanos) {
        self.driver.now = now;
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

    fn next_deadline(&self) -> Option<Nanos> {
        self.driver.timers.peek().map(|Reverse((at, _))| *at)
    }

    fn drain(&mut self, sink: &mut impl Sink) {
        let mut start = 0;
        for (to, end) in self.driver.packets.drain(..) {
            sink.send(to.index(), &self.driver.bytes[start..end]);
            start = end;
        }
        self.driver.bytes.clear();
        for observation in self.driver.observations.drain(..) {
            sink.observe(observation);
        }
    }

    fn known(&self) -> usize {
        self.machine.num_members()
    }

    fn backlog(&self) -> usize {
        self.machine.updates_backlog()
    }

    fn ping(&self, from: usize, updates: &[Update]) -> Vec<u8> {
        let header = Header {
            src: Id::new(from),
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

    fn batch(&self, updates: &[Update]) -> Self::Batch {
        updates
            .iter()
            .map(|update| Member::new(Id::new(update.subject), update.age, State::Alive))
            .collect()
    }

    fn apply(&mut self, now: Nanos, batch: Self::Batch) {
        self.driver.now = now;
        self.machine
            .apply_many(batch.into_iter(), true, &mut self.driver)
            .expect("members are valid");
    }
}
