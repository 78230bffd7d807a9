//! The owner of a key as a member of a cluster gives it, beside its ring alone.

use std::hint::black_box;

use ringpop::Ringpop;
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
const POINTS_PER_WEIGHT_UNIT: u32 = 1_000;
/// The highest ratio of `owns` to a lookup of the ring.
const BAR: f64 = 1.5;

/// A member of a cluster of one.
fn member(runtime: &Runtime) -> Ringpop {
    runtime.block_on(async {
        let builder = Ringpop::builder("bench").weight(100);
        let member = builder.points_per_weight_unit(POINTS_PER_WEIGHT_UNIT).bind().await;
        let member = member.expect("a port is free");
        member.serve(ringpop::tonic::service::Routes::default()).expect("it is bound");
        member.bootstrap().await.expect("it is alone");
        member
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
    let member = member(&runtime);
    let ring = member.view().ring.clone();
    let keys = keys(KEYS);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut subjects: Vec<Subject<'_>> = vec![
        (
            "the ring alone",
            looking(&keys, |key| ring.lookup(key).map_or(0, |node| node.id().len() as u64)),
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
            case: black_box(name),
            ours: *time,
            peer: "the ring alone",
            peer_value: times[0],
            unit: "ns",
            bar: (*name == "owns").then_some(BAR),
        });
    }
}
