//! A whole cluster starts at once and every member knows the same one seed.

use peers_swim::{Foca, Peer, Setup};
use swim_sim::{MILLISECOND, Nanos, SECOND, Swim};

use crate::cluster::Cluster;
use crate::report::{Bar, Row};

const MEMBERS: u32 = 1_000;

/// Members start within this time.
const SPREAD: Nanos = SECOND;

/// How long to wait for the last pair.
const LIMIT: Nanos = 600 * SECOND;

struct Outcome {
    /// Seconds until all but a share of the pairs know each other: 1 %, 0.01 %, none.
    known: [f64; 3],
    /// What the seed sent and received until every pair knew each other, in KiB.
    seed_kib: f64,
    /// What all members sent meanwhile, in KiB per member.
    all_kib: f64,
    missing: usize,
}

fn join<P: Peer>() -> Outcome {
    let mut cluster: Cluster<P> = Cluster::cold(&Setup::new(MEMBERS, 6), SPREAD);
    let pairs = f64::from(MEMBERS * (MEMBERS - 1));
    let allowed = [pairs / 100.0, pairs / 10_000.0, 0.0];
    let mut known = [LIMIT as f64 / SECOND as f64; 3];
    loop {
        let missing = cluster.missing_pairs();
        let now = cluster.world.now() as f64 / SECOND as f64;
        for (time, allowed) in known.iter_mut().zip(allowed) {
            if missing as f64 <= allowed {
                *time = time.min(now);
            }
        }
        if missing == 0 || cluster.world.now() >= LIMIT {
            let kib = |bytes: u64| bytes as f64 / 1_024.0;
            let (sent, received) = cluster.world.traffic(0);
            return Outcome {
                known,
                seed_kib: kib(sent.bytes + received.bytes),
                all_kib: kib(cluster.sent_by_all().bytes) / f64::from(MEMBERS),
                missing,
            };
        }
        cluster.world.run_for(100 * MILLISECOND);
    }
}

pub(super) fn run() -> Vec<Row> {
    let (ours, peer) = (join::<Swim>(), join::<Foca>());
    let row = |name: &str, unit, value: fn(&Outcome) -> f64| {
        let case = format!("cold join through one seed, N=1,000, {name}");
        Row::new(case, unit, value(&ours)).peer(value(&peer))
    };
    vec![
        row("99 % of pairs", "s", |o| o.known[0]),
        row("99.99 % of pairs", "s", |o| o.known[1]),
        row("all pairs", "s", |o| o.known[2]).bar(Bar::Value(10.0)),
        row("pairs missing at the end", "pairs", |o| o.missing as f64),
        row("traffic of the seed", "KiB", |o| o.seed_kib),
        row("sent per member", "KiB", |o| o.all_kib),
    ]
}
