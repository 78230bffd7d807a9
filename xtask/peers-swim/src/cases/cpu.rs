//! What a quiet cluster costs: CPU time per member and second of virtual time.

use peers_swim::{Foca, Peer, Setup};
use swim_sim::{SECOND, Swim};

use super::size;
use crate::cluster::Cluster;
use crate::measure;
use crate::report::{Bar, Row};

/// Virtual time of one timed round: a multiple of the 30 s between the rarest things that both do
/// (foca's announcements, our full syncs), so that each round has the same share of them.
const ROUND_SECONDS: u64 = 60;

fn round<P: Peer>(cluster: &mut Cluster<P>) -> f64 {
    let members = cluster.world.running().count();
    let cpu = measure::cpu_ns(|| cluster.world.run_for(ROUND_SECONDS * SECOND));
    cpu / 1_000.0 / (members as u64 * ROUND_SECONDS) as f64
}

pub(super) fn run() -> Vec<Row> {
    let mut rows = Vec::new();
    for members in [100, 1_000] {
        let setup = Setup::new(members, 2);
        let mut ours: Cluster<Swim> = Cluster::warm(&setup);
        let mut peer: Cluster<Foca> = Cluster::warm(&setup);
        ours.count_nothing();
        peer.count_nothing();
        let [a, b] =
            measure::best_of([Box::new(|| round(&mut ours)), Box::new(|| round(&mut peer))]);
        let row = Row::new(format!("CPU per node-second, {}", size(members)), "us", a).peer(b);
        rows.push(if members == 1_000 { row.bar(Bar::Ratio(0.6)) } else { row });
        let case = format!("node-seconds per CPU-second, {}", size(members));
        rows.push(Row::new(case, "1/s", 1e6 / a).peer(1e6 / b));
    }
    rows
}
