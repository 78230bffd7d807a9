//! Every placement at several sizes: how even it is, what moves needlessly, what it costs.

use hashring::{
    Edit, Jump, LocalRendezvous, Maglev, Node, Placement, Rendezvous, Ring, SpreadMinimizing,
};

use crate::{
    measure::{Subject, Windows, interleaved, once, per_input},
    nodes::{address, keys},
    report::{Report, Row},
};

/// Nodes, with a table for Maglev that has enough entries for them.
const SIZES: [(u32, u32); 4] = [(10, 65_537), (100, 65_537), (1_000, 65_537), (10_000, 655_373)];
const POINTS: u32 = 100;
/// Points of each ordinal: shares are even to 0.2 %.
const SPREAD_POINTS: u32 = 512;
/// Places on which moves are counted; a tenth of them where a lookup asks every node.
const PLACES: u64 = 200_000;
const ROUNDS: usize = 8;
const LOOKUPS_PER_TURN: usize = 2_000;
const KEYS: u64 = 100_000;
const UPDATE_ROUNDS: usize = 3;

/// Numbered nodes of these weights, without gaps between the numbers.
fn nodes(count: u32, weight: impl Fn(u32) -> u32) -> Vec<Node<u32>> {
    let mut next = 0;
    (0..count)
        .map(|index| {
            let first = next;
            next += weight(index);
            numbered(index, first..next)
        })
        .collect()
}

fn numbered(index: u32, ordinals: std::ops::Range<u32>) -> Node<u32> {
    Node::new(address(index as usize).to_string()).with_ordinals(ordinals).with_data(index)
}

fn mixed(index: u32) -> u32 {
    1 + index % 4
}

pub fn run(report: &mut Report) {
    for (count, table_size) in SIZES {
        for (weights, weight) in [("equal", (|_| 1) as fn(u32) -> u32), ("mixed", mixed)] {
            let nodes = nodes(count, weight);
            let next = nodes.iter().map(Node::weight).sum();
            let case = Case { count, weights, next };
            let valid = "the nodes are valid";
            let ring = Ring::builder().points_per_weight_unit(POINTS).nodes(nodes.clone());
            let ring = ring.build().expect(valid);
            case.measure(report, &LocalRendezvous::new(ring.clone()), &ring);
            case.measure(report, &Rendezvous::new(nodes.clone()).expect(valid), &ring);
            let maglev = Maglev::with_table_size(table_size, nodes.clone()).expect(valid);
            case.measure(report, &maglev, &ring);
            case.measure(report, &Jump::new(nodes.clone()).expect(valid), &ring);
            // More than eight million points are refused.
            if u64::from(next) * u64::from(SPREAD_POINTS) <= 8 << 20 {
                let spread = SpreadMinimizing::new(SPREAD_POINTS, nodes).expect(valid);
                case.measure(report, &spread, &ring);
            }
            case.measure(report, &ring, &ring);
        }
    }
    even(report);
}

/// So many nodes of such weights.
struct Case {
    count: u32,
    weights: &'static str,
    /// The first ordinal that is free.
    next: u32,
}

impl Case {
    fn measure<P: Placement<Data = u32>>(&self, report: &mut Report, ours: &P, ring: &Ring<u32>) {
        let name = ours.name();
        let mut row = |what: &str, ours: f64, peer: &str, peer_value, unit: &str, bar| {
            let case = format!("{name}, {} {}: {what}", self.count, self.weights);
            let bench = "placements";
            report.row(&Row { bench, case: &case, ours, peer, peer_value, unit, bar });
        };
        let (shares, of_ring) = (ours.shares(), ring.shares());
        let peak = |shares: &hashring::Shares<'_, u32>| shares.peak_to_average().unwrap_or(0.0);
        row("peak", peak(&shares), "ring", peak(&of_ring), "x mean", None);
        let deviation = |shares: &hashring::Shares<'_, u32>| shares.deviation().unwrap_or(0.0);
        row("deviation", deviation(&shares), "ring", deviation(&of_ring), "sd", None);
        // Only Maglev moves anything that need not, as its table is filled anew.
        let bar = (name != "maglev").then_some(0.0);
        for (what, edit, id) in self.edits() {
            row(what, needless(ours, edit, &id), "allowed", 0.0, "x needed", bar);
        }
        let times = lookups(ours, ring);
        let bar = (name == "local-rendezvous" && self.count == 1_000 && self.weights == "equal")
            .then_some(2.5);
        row("lookup", times[0], "ring", times[1], "ns", bar);
        if bar.is_some() {
            row("lookup", times[0], "allowed", 60.0, "ns", Some(1.0));
        }
        let (bytes, of_ring) = (ours.size_bytes() as f64 / 1e3, ring.size_bytes() as f64 / 1e3);
        row("memory", bytes, "ring", of_ring, "kB", None);
        let update = || -> f64 {
            let [(_, edit, _), ..] = self.edits();
            let run = || once(|| ours.apply([edit.clone()]));
            (0..UPDATE_ROUNDS).map(|_| run()).fold(f64::INFINITY, f64::min) / 1e6
        };
        let bar = (name == "spread-minimizing" && self.count == 1_000).then_some(1.0);
        row("update", update(), "allowed", 5.0, "ms", bar);
    }

    /// What happens to a node, and its id.
    fn edits(&self) -> [(&'static str, Edit<u32>, String); 3] {
        let middle = self.count / 2;
        let id = address(middle as usize).to_string();
        let joins = numbered(self.count, self.next..self.next + 1);
        // It keeps the numbers that it has and gets one more.
        let weight = if self.weights == "equal" { 1 } else { mixed(middle) };
        let first = if self.weights == "equal" { middle } else { (0..middle).map(mixed).sum() };
        let ordinals = (first..first + weight).chain([self.next]);
        let heavier = Node::new(id.clone()).with_ordinals(ordinals).with_data(middle);
        [
            ("needless on join", Edit::add(joins.clone()), joins.id().to_owned()),
            ("needless on leave", Edit::remove(id.clone()), id.clone()),
            ("needless on re-weight", Edit::replace(heavier), id),
        ]
    }
}

/// Keys that move between nodes that do not change, for each that moves to or from the one that
/// does.
fn needless<P: Placement<Data = u32>>(old: &P, edit: Edit<u32>, changed: &str) -> f64 {
    let new = old.apply([edit]).expect("the edit is valid");
    let places = if old.name() == "rendezvous" { PLACES / 10 } else { PLACES };
    let (mut needed, mut needless) = (0_u32, 0_u32);
    for place in (0..places).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        let owner = |placement: &P| placement.lookup_at(place).map(|node| node.shared_id().clone());
        let (from, to) = (owner(old), owner(&new));
        if from != to {
            let concerned = from.as_deref() == Some(changed) || to.as_deref() == Some(changed);
            (needed, needless) = (needed + u32::from(concerned), needless + u32::from(!concerned));
        }
    }
    f64::from(needless) / f64::from(needed.max(1))
}

/// Nanoseconds of a lookup by a placement and by the ring.
fn lookups<P: Placement<Data = u32>>(ours: &P, ring: &Ring<u32>) -> Vec<f64> {
    let keys = keys(KEYS);
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let address = |node: &std::sync::Arc<Node<u32>>| std::ptr::from_ref(&**node).addr() as u64;
    let (mut one, mut other) =
        (Windows::new(&keys, LOOKUPS_PER_TURN), Windows::new(&keys, LOOKUPS_PER_TURN));
    let mut subjects: Vec<Subject<'_>> = vec![
        (
            "ours",
            Box::new(move || per_input(one.turn(), |key| ours.lookup(key).map_or(0, address))),
        ),
        (
            "ring",
            Box::new(move || per_input(other.turn(), |key| ring.lookup(key).map_or(0, address))),
        ),
    ];
    interleaved(ROUNDS, &mut subjects)
}

/// The bars on shares.
fn even(report: &mut Report) {
    let mut row = |case: &str, ours: f64, allowed: f64| {
        let (bench, peer, unit) = ("even", "allowed", "x mean");
        report.row(&Row { bench, case, ours, peer, peer_value: allowed, unit, bar: Some(1.0) });
    };
    let peak = |shares: hashring::Shares<'_, u32>| shares.peak_to_average().unwrap_or(0.0);
    for (count, allowed) in [(1_000, 1.10), (10_000, 1.12)] {
        let ring = Ring::builder().nodes(nodes(count, |_| 1)).build().expect("valid nodes");
        let case = format!("local-rendezvous, {count} x 100 points");
        row(&case, peak(LocalRendezvous::new(ring).shares()), allowed);
    }
    for count in [10, 100, 1_000] {
        let all = SpreadMinimizing::new(SPREAD_POINTS, nodes(count, |_| 1)).expect("valid nodes");
        row(&format!("spread-minimizing, {count} x 512 points"), peak(all.shares()), 1.002);
        let tenth = count / 10;
        for (which, first, step) in [("first", 0, 1), ("last", count - tenth, 1), ("every", 3, 10)]
        {
            let gone = (0..tenth).map(|index| first + index * step);
            let gone = gone.map(|index| Edit::remove(address(index as usize).to_string()));
            let rest = all.apply(gone).expect("they are there");
            row(&format!("the same, without the {which} tenth"), peak(rest.shares()), 1.05);
        }
    }
    let ring = Ring::builder().points_per_weight_unit(1_000).nodes(nodes(100, mixed));
    let local = LocalRendezvous::new(ring.build().expect("valid nodes"));
    row("local-rendezvous, 1,000 points: weights", 1.0 + off_weight(&local), 1.01);
    let spread = SpreadMinimizing::new(1_000, nodes(100, mixed)).expect("valid nodes");
    row("spread-minimizing, 1,000 points: weights", 1.0 + off_weight(&spread), 1.01);
    let rendezvous = Rendezvous::new(nodes(100, mixed)).expect("valid nodes");
    row("rendezvous: weights", 1.0 + off_weight(&rendezvous), 1.01);
}

/// How far the nodes of any one weight are from what it asks for, together.
fn off_weight<P: Placement<Data = u32>>(placement: &P) -> f64 {
    let shares = placement.shares();
    let sums = (1..=4).map(|weight| {
        let of_weight = shares.iter().filter(|share| share.node.weight() == weight);
        of_weight.fold((0.0, 0.0), |(fraction, expected), share| {
            (fraction + share.fraction, expected + share.expected)
        })
    });
    sums.map(|(fraction, expected): (f64, f64)| (fraction / expected - 1.0).abs())
        .fold(0.0, f64::max)
}
