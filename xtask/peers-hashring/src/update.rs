//! One node comes to, or leaves, a ring of 10,000 nodes with 100 points each.

use hashring::Edit;

use crate::{
    measure::{Subject, interleaved, once},
    nodes::{address, nodes, ring},
    report::{Report, Row},
};

const NODES: usize = 10_000;
const POINTS: usize = 100;
const ROUNDS: usize = 4;
const BAR: f64 = 0.05;

#[derive(Clone, Debug, Hash)]
struct VirtualNode {
    point: usize,
    address: std::net::SocketAddr,
}

fn virtual_nodes(nodes: std::ops::Range<usize>) -> Vec<VirtualNode> {
    nodes
        .flat_map(|node| {
            (0..POINTS).map(move |point| VirtualNode { point, address: address(node) })
        })
        .collect()
}

pub fn run(report: &mut Report) {
    let ours = ring(NODES, POINTS);
    let newcomer = nodes(NODES + 1).last().expect("there is a last node");
    // In the middle of the list, so that half of the owners are renumbered.
    let leaver = ours.nodes()[NODES / 2].shared_id().clone();
    let mut registry = registry_hashring::HashRing::new();
    registry.batch_add(virtual_nodes(0..NODES));
    let edits: Vec<Edit<u32>> =
        (0..100).map(|i| Edit::remove(ours.nodes()[i * 100].id())).collect();

    let mut subjects: Vec<Subject<'_>> = vec![
        ("full rebuild", Box::new(|| once(|| ring(NODES, POINTS)))),
        ("add one node", Box::new(|| once(|| ours.apply([Edit::add(newcomer.clone())])))),
        ("remove one node", Box::new(|| once(|| ours.apply([Edit::remove(leaver.clone())])))),
        (
            "double one weight",
            Box::new(|| once(|| ours.apply([Edit::reweight(leaver.clone(), 2)]))),
        ),
        ("remove 100 nodes", Box::new(|| once(|| ours.apply(edits.iter().cloned())))),
        (
            "hashring 0.3.6 batch_add of one node",
            Box::new(|| {
                let time = once(|| registry.batch_add(virtual_nodes(NODES..NODES + 1)));
                for node in virtual_nodes(NODES..NODES + 1) {
                    registry.remove(&node);
                }
                time
            }),
        ),
    ];
    let times = interleaved(ROUNDS, &mut subjects);
    let mut row = |case: &str, ours: f64, peer: &str, peer_value: f64, bar: Option<f64>| {
        report.row(&Row {
            bench: "update",
            case,
            ours: ours / 1e3,
            peer,
            peer_value: peer_value / 1e3,
            unit: "us",
            bar,
        });
    };
    row("add one node", times[1], "our full rebuild", times[0], Some(BAR));
    row("remove one node", times[2], "our full rebuild", times[0], Some(BAR));
    row("double one weight", times[3], "our full rebuild", times[0], None);
    row("remove 100 nodes", times[4], "our full rebuild", times[0], None);
    row("add one node", times[1], "hashring 0.3.6 batch_add", times[5], None);
}
