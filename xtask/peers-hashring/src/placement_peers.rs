//! Lookups by the crates that people take for each algorithm, with the same nodes and keys.

use hashring::{Jump, Maglev, Node, Placement, Rendezvous};
use hrw_hash::{HrwNode, HrwNodes};
use maglev::ConsistentHasher as _;

use crate::{
    measure::{Subject, Windows, interleaved, per_input},
    nodes::{address, keys},
    report::{Report, Row},
};

const ROUNDS: usize = 8;
const LOOKUPS_PER_TURN: usize = 2_000;
const KEYS: u64 = 100_000;
/// The highest ratio to the lookup of the best crate.
const BAR: f64 = 0.5;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Named(String);

impl HrwNode for Named {}

fn looking<'a>(
    keys: &'a [&'a str],
    lookup: impl Fn(&str) -> u64 + 'a,
) -> Box<dyn FnMut() -> f64 + 'a> {
    let mut windows = Windows::new(keys, LOOKUPS_PER_TURN);
    Box::new(move || per_input(windows.turn(), &lookup))
}

fn owner<P: Placement<Data = u32>>(placement: &P, key: &str) -> u64 {
    placement.lookup(key.as_bytes()).map_or(0, |node| std::ptr::from_ref(&**node).addr() as u64)
}

pub fn run(report: &mut Report) {
    let keys = keys(KEYS);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for count in [10_u32, 100, 1_000] {
        let names: Vec<String> =
            (0..count).map(|node| address(node as usize).to_string()).collect();
        let nodes = || {
            let nodes = (0..).zip(&names);
            nodes.map(|(n, name): (u32, &String)| {
                Node::new(name.as_str()).with_ordinal(n).with_data(n)
            })
        };
        let (rendezvous, maglev, jump) = (
            Rendezvous::new(nodes()).expect("valid nodes"),
            Maglev::new(nodes()).expect("valid nodes"),
            Jump::new(nodes()).expect("valid nodes"),
        );
        let hrw = HrwNodes::new(names.iter().cloned().map(Named));
        let peer_maglev = maglev::Maglev::with_capacity(names.clone(), 65_537);
        let peer_jump = jumphash::JumpHasher::new();
        let at = |text: &String| std::ptr::from_ref(text).addr() as u64;
        let mut subjects: Vec<Subject<'_>> = vec![
            ("rendezvous", looking(&keys, |key| owner(&rendezvous, key))),
            (
                "hrw-hash 2.0.3",
                looking(&keys, |key| hrw.sorted(&key).next().map_or(0, |node| at(&node.0))),
            ),
            ("maglev", looking(&keys, |key| owner(&maglev, key))),
            ("maglev 0.2.1", looking(&keys, |key| peer_maglev.get(&key).map_or(0, at))),
            ("jump", looking(&keys, |key| owner(&jump, key))),
            (
                "jumphash 0.1.9",
                looking(&keys, |key| at(&names[peer_jump.slot(&key, count) as usize])),
            ),
        ];
        let times = interleaved(ROUNDS, &mut subjects);
        for at in [0, 2, 4] {
            report.row(&Row {
                bench: "peers",
                case: &format!("{} of {count} nodes", subjects[at].0),
                ours: times[at],
                peer: subjects[at + 1].0,
                peer_value: times[at + 1],
                unit: "ns",
                bar: Some(BAR),
            });
        }
    }
}
