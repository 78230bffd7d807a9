//! What a quiet cluster sends: bytes per member and second, with UDP and IP headers.

use peers_swim::{Foca, Peer, Setup};
use swim_sim::{SECOND, Swim};

use super::size;
use crate::cluster::Cluster;
use crate::report::{Bar, Row};

/// Two of foca's periodic announcements to a random member, every 30 s.
const SECONDS: u64 = 60;

/// Bytes and packets per member and second.
fn idle<P: Peer>(members: u32) -> (f64, f64) {
    let mut cluster: Cluster<P> = Cluster::warm(&Setup::new(members, 4));
    let before = cluster.sent_by_all();
    cluster.world.run_for(SECONDS * SECOND);
    let after = cluster.sent_by_all();
    let node_seconds = (u64::from(members) * SECONDS) as f64;
    (
        (after.bytes - before.bytes) as f64 / node_seconds,
        (after.packets - before.packets) as f64 / node_seconds,
    )
}

pub(super) fn run() -> Vec<Row> {
    let mut rows = Vec::new();
    for members in [100, 1_000] {
        let (ours, peer) = (idle::<Swim>(members), idle::<Foca>(members));
        let size = size(members);
        rows.push(
            Row::new(format!("idle traffic, {size}"), "B/node/s", ours.0)
                .peer(peer.0)
                .bar(Bar::Value(150.0)),
        );
        rows.push(Row::new(format!("idle packets, {size}"), "1/node/s", ours.1).peer(peer.1));
    }
    rows
}
