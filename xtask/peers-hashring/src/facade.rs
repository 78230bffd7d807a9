//! The owner of a key as a member of a cluster gives it, beside the same placement alone.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use hashring::{LocalRendezvous, Node, Placement, Rendezvous, Ring};
use ringpop::discovery::StaticList;
use ringpop::{PlacementChoice, Ringpop};
use tokio::runtime::Runtime;

use crate::{
    measure::{Subject, Windows, interleaved, per_input},
    nodes::keys,
    report::{Report, Row},
};

const ROUNDS: usize = 12;
const LOOKUPS_PER_TURN: usize = 20_000;
const KEYS: u64 = 400_000;
/// One member of weight 100: as many points as a thousand ordinary members have.
const POINTS: u32 = 1_000;
/// Members of rendezvous: with more of them a lookup takes longer, and the facade the same.
const MEMBERS: usize = 8;
/// The highest ratio of `owns` to a lookup of the placement.
const BAR: f64 = 1.5;

/// A cluster in this process, of which the first member is asked.
fn cluster(runtime: &Runtime, placement: PlacementChoice, members: usize) -> Vec<Ringpop> {
    runtime.block_on(async {
        let mut cluster: Vec<Ringpop> = Vec::new();
        for _ in 0..members {
            let mut builder = Ringpop::builder("bench").placement(placement);
            if placement.points().is_some() {
                builder = builder.weight(100);
            }
            if let Some(first) = cluster.first() {
                let list = StaticList::from_addresses([first.whoami()]).expect("an address");
                builder = builder.discovery(Arc::new(list));
            }
            let member = builder.bind().await.expect("a port is free");
            member.serve(ringpop::tonic::service::Routes::default()).expect("it is bound");
            member.bootstrap().await.expect("the others are there");
            cluster.push(member);
        }
        while cluster[0].view().ring.len() < members {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cluster
    })
}

fn looking<'a>(
    keys: &'a [&'a str],
    lookup: impl Fn(&[u8]) -> u64 + 'a,
) -> Box<dyn FnMut() -> f64 + 'a> {
    let mut windows = Windows::new(keys, LOOKUPS_PER_TURN);
    Box::new(move || per_input(windows.turn(), |key| lookup(key.as_bytes())))
}

pub fn run(report: &mut Report) {
    let runtime = Runtime::new().expect("a runtime starts");
    let valid = "the nodes are those of a ring";
    let nodes = |member: &Ringpop| -> Vec<Node> {
        let nodes = member.view().ring.nodes().to_vec();
        nodes.iter().map(|node| Node::new(node.id()).with_weight(node.weight())).collect()
    };
    let ring = |member: &Ringpop| {
        let ring = Ring::builder().points_per_weight_unit(POINTS).nodes(nodes(member));
        ring.build().expect(valid)
    };
    let of_ring = cluster(&runtime, PlacementChoice::Ring { points: POINTS }, 1);
    compare(report, &of_ring[0], &ring(&of_ring[0]));
    let local = cluster(&runtime, PlacementChoice::LocalRendezvous { points: POINTS }, 1);
    compare(report, &local[0], &LocalRendezvous::new(ring(&local[0])));
    let rendezvous = cluster(&runtime, PlacementChoice::Rendezvous, MEMBERS);
    let alone = Rendezvous::new(nodes(&rendezvous[0])).expect(valid);
    compare(report, &rendezvous[0], &alone);
}

/// The check of a handle on an owned key, while the ring stays as it is.
pub fn owned(report: &mut Report) {
    const CHECKS: usize = 100_000;
    /// Handlers check before each step.
    const NANOS_MAX: f64 = 10.0;
    let runtime = Runtime::new().expect("a runtime starts");
    let cluster = cluster(&runtime, PlacementChoice::Rendezvous, 1);
    let owned = cluster[0].owned("key").expect("it owns every key");
    let handles = vec![&owned; CHECKS];
    let check = || per_input(&handles, |owned| u64::from(black_box(owned).check()));
    let mut subjects: [Subject<'_>; 1] = [("check", Box::new(check))];
    let times = interleaved(ROUNDS, &mut subjects);
    report.row(&Row {
        bench: "owned",
        case: "Owned::check",
        ours: times[0],
        peer: "the time it may take",
        peer_value: NANOS_MAX,
        unit: "ns",
        bar: Some(1.0),
    });
}

fn compare(report: &mut Report, member: &Ringpop, alone: &impl Placement) {
    let keys = keys(KEYS);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut subjects: Vec<Subject<'_>> = vec![
        (
            "the placement alone",
            looking(&keys, |key| alone.lookup(key).map_or(0, |node| node.id().len() as u64)),
        ),
        ("owns", looking(&keys, |key| u64::from(member.owns(key)))),
        ("lookup", looking(&keys, |key| member.lookup(key).map_or(0, |owner| owner.len() as u64))),
        (
            "view().lookup",
            looking(&keys, |key| member.view().lookup(key).map_or(0, |owner| owner.len() as u64)),
        ),
    ];
    let times = interleaved(ROUNDS, &mut subjects);
    for ((name, _), time) in subjects.iter().zip(&times).skip(1) {
        report.row(&Row {
            bench: "facade",
            case: black_box(&format!("{name}, {}", member.placement())),
            ours: *time,
            peer: "the placement alone",
            peer_value: times[0],
            unit: "ns",
            bar: (*name == "owns").then_some(BAR),
        });
    }
}
