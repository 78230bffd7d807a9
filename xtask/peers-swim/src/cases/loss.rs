//! A network that loses 5 % of all packets: nobody fails, so every verdict is a mistake.

use crate::adapter::{Foca, Observation, Ours, Peer, SECOND, Setup};
use crate::report::{Bar, Row};
use crate::sim::Cluster;

const MEMBERS: usize = 100;
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
        let mut cluster: Cluster<P> = Cluster::warm(Setup { members: MEMBERS, seed });
        let before = cluster.sent_by_all();
        cluster.take_seen();
        cluster.lose(LOSS);
        cluster.run_for(SECONDS * SECOND);
        for seen in cluster.take_seen() {
            match seen.what {
                Observation::Faulty(_) => sum.faulty += 1,
                Observation::Renewed => sum.renewed += 1,
                Observation::Refuted => sum.refuted += 1,
            }
        }
        sum.bytes += (cluster.sent_by_all().bytes - before.bytes) as f64;
    }
    sum.bytes /= (MEMBERS as u64 * SECONDS * SEEDS.len() as u64) as f64;
    sum
}

pub(super) fn run() -> Vec<Row> {
    let (ours, peer) = (mistakes::<Ours>(), mistakes::<Foca>());
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
