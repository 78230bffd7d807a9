//! One membership change: weigh it, record it, queue it for the others, keep the checksum right,
//! tell the application.

use peers_swim::{Foca, Peer, Setup, Update, settled};
use swim_sim::Swim;

use super::size;
use crate::measure;
use crate::report::{Bar, Row};

/// Changes of one round.
const CHANGES: usize = 8_192;

/// Changes that arrive together, as many as fit a packet.
const TOGETHER: usize = 20;

struct Prepared<P> {
    peer: P,
    members: u32,
    made: u32,
    packet: Vec<u8>,
}

impl<P: Peer> Prepared<P> {
    fn new(members: u32) -> Self {
        let peer = settled(&Setup::new(members, 5));
        Self { peer, members, made: 0, packet: Vec::new() }
    }

    /// The next change: members in turn but far apart, so that the processor cannot guess.
    fn update(&mut self) -> Update {
        let others = self.members - 1;
        // Coprime to the number of the others, so that a turn meets each of them once.
        let stride = 7_919;
        let subject = 1 + self.made % others * stride % others;
        let age = 1 + (self.made / others) as u16;
        self.made += 1;
        Update { subject, age }
    }

    fn round(&mut self) -> f64 {
        let updates: Vec<_> = (0..CHANGES).map(|_| self.update()).collect();
        let batches: Vec<_> =
            updates.chunks(TOGETHER).map(|updates| self.peer.batch(updates)).collect();
        let cpu = measure::cpu_ns(|| {
            for batch in batches {
                self.peer.apply(batch);
                self.peer.discard(&mut self.packet);
            }
        });
        cpu / CHANGES as f64
    }
}

pub(super) fn run() -> Vec<Row> {
    let (mut small, mut large) = (Prepared::<Swim>::new(100), Prepared::<Swim>::new(10_000));
    let (mut peer_small, mut peer_large) =
        (Prepared::<Foca>::new(100), Prepared::<Foca>::new(10_000));
    let [ours_100, peer_100, ours_10k, peer_10k] = measure::best_of([
        Box::new(|| small.round()),
        Box::new(|| peer_small.round()),
        Box::new(|| large.round()),
        Box::new(|| peer_large.round()),
    ]);
    vec![
        Row::new(format!("one change, {}", size(100)), "ns", ours_100).peer(peer_100),
        Row::new(format!("one change, {}", size(10_000)), "ns", ours_10k)
            .peer(peer_10k)
            .bar(Bar::Value(2_000.0)),
        Row::new("one change, N=10,000 over N=100", "x", ours_10k / ours_100)
            .peer(peer_10k / peer_100)
            .bar(Bar::Value(2.0)),
    ]
}
