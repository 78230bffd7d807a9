//! Bytes per point, and how evenly the points spread keys.

use hashring::{Crc32, EnvoyRingHash, Ketama, Ring, Ringpop, Scheme, Xxh3};

use crate::{
    measure::mixed,
    nodes::ring,
    report::{Report, Row},
};

const BYTES_PER_POINT: f64 = 20.0;
const SPREAD_BAR: f64 = 1.25;

/// 656 nodes have just over 2^16 points, where the index is largest in proportion.
pub fn memory(report: &mut Report) {
    for (nodes, points) in [(10, 100), (656, 100), (1_000, 100), (10_000, 100)] {
        let ring = ring(nodes, points);
        report.row(&Row {
            bench: "memory",
            case: &format!("{nodes} nodes x {points} points"),
            ours: ring.size_bytes() as f64 / ring.points().len() as f64,
            peer: "allowed",
            peer_value: BYTES_PER_POINT,
            unit: "B/point",
            bar: Some(1.0),
        });
    }
}

/// Letters as Kubernetes makes them.
fn suffix(number: u64, length: u32) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..length)
        .map(|place| char::from(LETTERS[(mixed(number) / 27_u64.pow(place) % 27) as usize]))
        .collect()
}

type IdFamily = (&'static str, fn(u64) -> String);

const FAMILIES: [IdFamily; 5] = [
    ("name-i", |i| format!("name-{i}")),
    ("10.a.b.c:port", |i| format!("10.1.{}.{}:8080", i / 250, i % 250 + 1)),
    ("127.0.0.1:port", |i| format!("127.0.0.1:{}", 3_000 + i)),
    ("Kubernetes pod", |i| format!("api-{}-{}", suffix(1 << 40, 9), suffix(i, 5))),
    ("UUID", |i| {
        let (high, low) = (mixed(2 * i), mixed(2 * i + 1));
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }),
];

pub fn spread(report: &mut Report) {
    for (family, id) in FAMILIES {
        for nodes in [100_u64, 1_000] {
            let ring =
                Ring::builder().nodes((0..nodes).map(id)).build().expect("the ids are unique");
            let points = f64::from(ring.points_per_weight_unit());
            report.row(&Row {
                bench: "spread",
                case: &format!("{family}, {nodes} nodes"),
                ours: ring.shares().deviation().expect("the ring has points"),
                peer: "random points",
                peer_value: ((nodes - 1) as f64 / (nodes as f64 * points + 1.0)).sqrt(),
                unit: "sd",
                bar: Some(SPREAD_BAR),
            });
        }
    }
}

/// Every scheme on rings of about 100 points a node; these rows inform.
pub fn schemes(report: &mut Report) {
    let envoy = EnvoyRingHash::new(10_000, 10_000).expect("the sizes are valid");
    scheme_row(report, Xxh3);
    scheme_row(report, Crc32);
    scheme_row(report, Ringpop);
    scheme_row(report, envoy);
    scheme_row(report, Ketama);
}

/// The mean over the families of ids, five rings each.
fn scheme_row<S: Scheme + Clone>(report: &mut Report, scheme: S) {
    const NODES: u64 = 100;
    const RINGS: u64 = 5;
    let mut deviations = Vec::new();
    let mut points = 0;
    for (_, id) in FAMILIES {
        for ring in 0..RINGS {
            let ids = (0..NODES).map(|i| id(ring * NODES + i));
            let ring = Ring::builder()
                .scheme(scheme.clone())
                .nodes(ids)
                .build()
                .expect("the ids are unique");
            deviations.push(ring.shares().deviation().expect("the ring has points"));
            points = ring.points().len();
        }
    }
    report.row(&Row {
        bench: "schemes",
        case: &format!("{}, {NODES} nodes, {points} points", scheme.name()),
        ours: deviations.iter().sum::<f64>() / deviations.len() as f64,
        peer: "random points",
        peer_value: ((NODES - 1) as f64 / (points as f64 + 1.0)).sqrt(),
        unit: "sd",
        bar: None,
    });
}
