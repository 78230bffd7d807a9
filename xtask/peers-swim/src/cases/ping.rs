//! Handling one ping: bytes in, weigh the piggybacked changes, bytes of the answer out.

use peers_swim::{Foca, Peer, Setup, Update, ping_message, receive_message, settled};
use swim_core::Message;
use swim_sim::{HostId, Rng, Swim};

use super::size;
use crate::measure;
use crate::report::{Bar, Row};

const SIZES: [u32; 3] = [100, 1_000, 10_000];
const LARGEST: u32 = 10_000;

/// Pings of one timed round: long against the clock, and together they touch every member.
const STALE_PINGS: usize = 4_096;
const FRESH_PINGS: usize = 256;

const STALE_UPDATES: usize = 6;
const FRESH_UPDATES: usize = 20;

fn setup(members: u32) -> Setup {
    Setup::new(members, 1)
}

/// Draws the members that pings are about.
struct Subjects {
    rng: Rng,
    members: u32,
    /// How new the last change about each member was.
    ages: Vec<u16>,
}

impl Subjects {
    fn new(members: u32) -> Self {
        let rng = Rng::new(7);
        let ages = vec![0; members as usize];
        Self { rng, members, ages }
    }

    /// Some member other than the one under test.
    fn draw(&mut self) -> HostId {
        1 + self.rng.below(u64::from(self.members) - 1) as HostId
    }

    /// Changes that say what everybody knows.
    fn stale(&mut self, n: usize) -> Vec<Update> {
        (0..n).map(|_| Update { subject: self.draw(), age: 0 }).collect()
    }

    /// Changes that are news.
    fn fresh(&mut self, n: usize) -> Vec<Update> {
        (0..n)
            .map(|_| {
                let subject = self.draw();
                let age = &mut self.ages[subject as usize];
                *age += 1;
                Update { subject, age: *age }
            })
            .collect()
    }
}

/// CPU time of one ping out of many.
fn handle<P: Peer>(peer: &mut P, pings: &[Vec<u8>]) -> f64 {
    let mut packet = Vec::new();
    let total = measure::cpu_ns(|| {
        for ping in pings {
            peer.receive_bytes(0, ping);
            peer.discard(&mut packet);
        }
    });
    total / pings.len() as f64
}

/// The same without decoding and encoding, which the peer cannot do.
fn handle_messages(ours: &mut Swim, messages: &[Message]) -> f64 {
    let messages = messages.to_vec();
    let count = messages.len();
    let total = measure::cpu_ns(|| {
        for message in messages {
            receive_message(ours, message);
        }
    });
    total / count as f64
}

/// Pings about what everybody knows, as packets.
fn stale_pings<P: Peer>(members: u32) -> (P, Vec<Vec<u8>>) {
    let peer: P = settled(&setup(members));
    let mut subjects = Subjects::new(members);
    let pings = (0..STALE_PINGS)
        .map(|_| {
            let updates = subjects.stale(STALE_UPDATES);
            peer.ping(subjects.draw(), &updates)
        })
        .collect();
    (peer, pings)
}

/// The same as messages.
fn stale_messages(members: u32) -> (Swim, Vec<Message>) {
    let ours: Swim = settled(&setup(members));
    let mut subjects = Subjects::new(members);
    let messages = (0..STALE_PINGS)
        .map(|_| {
            let updates = subjects.stale(STALE_UPDATES);
            ping_message(&ours, subjects.draw(), &updates)
        })
        .collect();
    (ours, messages)
}

/// Everything that is piggybacked is known already, and nothing is left to spread.
pub(super) fn stale() -> Vec<Row> {
    let works = SIZES.map(|members| {
        let (mut ours, our_pings) = stale_pings::<Swim>(members);
        let (mut peer, peer_pings) = stale_pings::<Foca>(members);
        let (mut bare, messages) = stale_messages(members);
        let works: [measure::Work<'_>; 3] = [
            Box::new(move || handle(&mut ours, &our_pings)),
            Box::new(move || handle(&mut peer, &peer_pings)),
            Box::new(move || handle_messages(&mut bare, &messages)),
        ];
        works
    });
    let [[a, b, c], [d, e, f], [g, h, i]] = works;
    let best = measure::best_of([a, b, c, d, e, f, g, h, i]);
    let mut rows = Vec::new();
    for (members, best) in SIZES.into_iter().zip(best.chunks(3)) {
        let case = format!("ping, 6 stale updates, {}", size(members));
        let bare = Row::new(format!("{case}, without wire"), "ns", best[2]);
        let row = Row::new(case, "ns", best[0]).peer(best[1]);
        rows.push(if members == LARGEST { row.bar(Bar::Ratio(0.1)) } else { row });
        rows.push(bare);
    }
    let case = "ping, 6 stale updates, N=10,000 over N=100";
    rows.push(Row::new(case, "x", best[6] / best[0]).peer(best[7] / best[1]).bar(Bar::Value(2.0)));
    rows
}

/// Everything that is piggybacked is news, and news about every member is still to be spread.
pub(super) fn fresh() -> Vec<Row> {
    struct Prepared<P> {
        peer: P,
        subjects: Subjects,
    }
    fn prepare<P: Peer>(members: u32) -> Prepared<P> {
        let mut peer: P = settled(&setup(members));
        let (mut subjects, mut packet) = (Subjects::new(members), Vec::new());
        for subject in 1..members {
            subjects.ages[subject as usize] += 1;
            let batch = peer.batch(&[Update { subject, age: 1 }]);
            peer.apply(batch);
            peer.discard(&mut packet);
        }
        assert_eq!(peer.backlog(), members as usize - 1, "the backlog is full");
        Prepared { peer, subjects }
    }
    fn round<P: Peer>(prepared: &mut Prepared<P>) -> f64 {
        let Prepared { peer, subjects } = prepared;
        let pings: Vec<_> = (0..FRESH_PINGS)
            .map(|_| {
                let updates = subjects.fresh(FRESH_UPDATES);
                peer.ping(subjects.draw(), &updates)
            })
            .collect();
        handle(peer, &pings)
    }
    SIZES
        .into_iter()
        .map(|members| {
            let mut ours = prepare::<Swim>(members);
            let mut peer = prepare::<Foca>(members);
            let [a, b] =
                measure::best_of([Box::new(|| round(&mut ours)), Box::new(|| round(&mut peer))]);
            let case = format!("ping, 20 fresh updates, full backlog, {}", size(members));
            let row = Row::new(case, "ns", a).peer(b);
            if members == LARGEST { row.bar(Bar::Ratio(0.05)) } else { row }
        })
        .collect()
}

/// Allocations of one ping in the steady state.
pub(super) fn allocations() -> Vec<Row> {
    fn count<P: Peer>() -> f64 {
        let (mut peer, pings) = stale_pings::<P>(LARGEST);
        let mut packet = Vec::new();
        let mut handle_all = || {
            for ping in &pings {
                peer.receive_bytes(0, ping);
                peer.discard(&mut packet);
            }
        };
        // Buffers take their size the first time.
        handle_all();
        measure::allocations(handle_all) as f64 / STALE_PINGS as f64
    }
    fn count_bare() -> f64 {
        let (mut ours, messages) = stale_messages(LARGEST);
        let mut handle_all = |messages: Vec<_>| {
            for message in messages {
                receive_message(&mut ours, message);
            }
        };
        handle_all(messages.clone());
        measure::allocations(|| handle_all(messages)) as f64 / STALE_PINGS as f64
    }
    let case = "allocations per ping, 6 stale updates";
    vec![
        Row::new(case, "allocations", count::<Swim>()).peer(count::<Foca>()).bar(Bar::Value(0.0)),
        Row::new(format!("{case}, without wire"), "allocations", count_bare()).bar(Bar::Value(0.0)),
    ]
}
