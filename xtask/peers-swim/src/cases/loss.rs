//! A network that loses 5 % of all packets: nobody fails, so every verdict is a mistake.

use peers_swim::{Foca, Notice, Peer, Setup};
use swim_sim::{Chance, SECOND, Swim};

use crate::cluster::Cluster;
use crate::report::{Bar, Row};

const MEMBERS: u32 = 100;
const LOSS: f64 = 0.05;
const SECONDS: u64 = 900;
const SEEDS: [u64; 3] = [11, 12, 13];

#[derive(Default)]
struct Mistakes {
    faulty: usize,
    renewed: usize,
    refuted: usize,
    bytes: f64,
}

fn mistakes<P: Peer>() -> Mistakes {
    let mut sum = Mistakes::default();
    for seed in SEEDS {
        let mut cluster: Cluster<P> = Cluster::warm(&Setup::new(MEMBERS, seed));
        let before = cluster.sent_by_all();
        cluster.take_seen();
        cluster.world.network.loss = Chance::of(LOSS);
        cluster.world.run_for(SECONDS * SECOND);
        for seen in cluster.take_seen() {
            match seen.what {
                Notice::Faulty(_) => sum.faulty += 1,
                Notice::Renewed => sum.renewed += 1,
                Notice::Refuted => sum.refuted += 1,
            }
        }
        sum.bytes += (cluster.sent_by_all().bytes - before.bytes) as f64;
    }
    sum.bytes /= (u64::from(MEMBERS) * SECONDS * SEEDS.len() as u64) as f64;
    sum
}

pub(super) fn run() -> Vec<Row> {
    let (ours, peer) = (mistakes::<Swim>(), mistakes::<Foca>());
    let case = |name: &str| format!("5 % loss, N=100, 3 x 900 s, {name}");
    vec![
        Row::new(case("false faulty verdicts"), "verdicts", ours.faulty as f64)
            .peer(peer.faulty as f64)
            .bar(Bar::Value(0.0)),
        Row::new(case("needless renewals"), "renewals", ours.renewed as f64)
            .peer(peer.renewed as f64)
            .bar(Bar::Value(0.0)),
        Row::new(case("refuted suspicions"), "refutations", ours.refuted as f64),
        Row::new(case("traffic"), "B/node/s", ours.bytes).peer(peer.bytes),
    ]
}
