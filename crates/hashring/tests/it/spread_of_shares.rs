//! The shares of the default scheme deviate as those of random points do, whatever the ids look
//! like.

use hashring::Ring;
use twox_hash::XxHash3_64;

/// Well-mixed numbers that are the same in every run.
fn mixed(number: u64) -> u64 {
    XxHash3_64::oneshot(&number.to_le_bytes())
}

/// Letters as Kubernetes makes them: no vowels, nothing that looks like something else.
fn kubernetes_suffix(number: u64, length: u32) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..length)
        .map(|place| char::from(LETTERS[(mixed(number) / 27_u64.pow(place) % 27) as usize]))
        .collect()
}

type IdFamily = (&'static str, fn(u64, u64) -> String);

/// Names of node `i` in ring `ring`.
const FAMILIES: [IdFamily; 5] = [
    ("name-i", |ring, i| format!("cache{ring}-{i}")),
    ("10.a.b.c:port", |ring, i| format!("10.{}.{}.{}:8080", ring % 256, i / 250, i % 250 + 1)),
    ("127.0.0.1:port", |ring, i| format!("127.0.0.1:{}", 3_000 + ring * 1_000 + i)),
    ("Kubernetes pod", |ring, i| {
        format!(
            "api-{}-{}",
            kubernetes_suffix(ring + 1_000_000, 9),
            kubernetes_suffix(ring * 10_000 + i, 5)
        )
    }),
    ("UUID", |ring, i| {
        let (high, low) = (mixed(ring * 20_000 + 2 * i), mixed(ring * 20_000 + 2 * i + 1));
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

/// Small rings vary, so the mean of several stands for them.
const CASES: [(u64, u32, u64); 5] =
    [(10, 100, 24), (10, 512, 24), (100, 16, 6), (100, 100, 6), (1_000, 100, 1)];

#[test]
fn deviation_is_that_of_random_points() {
    for (name, id) in FAMILIES {
        for (nodes, points, rings) in CASES {
            let squares: f64 = (0..rings)
                .map(|ring| {
                    let ring = Ring::builder()
                        .points_per_weight_unit(points)
                        .nodes((0..nodes).map(|i| id(ring, i)))
                        .build()
                        .expect("the ids are unique");
                    ring.shares().deviation().expect("the ring has points").powi(2)
                })
                .sum();
            let deviation = (squares / rings as f64).sqrt();
            let ideal = ((nodes - 1) as f64 / (nodes * u64::from(points) + 1) as f64).sqrt();
            let ratio = deviation / ideal;
            assert!(
                (0.75..1.25).contains(&ratio),
                "{name}, {nodes} nodes of {points} points: {deviation:.4}, {ratio:.2} of the ideal {ideal:.4}"
            );
        }
    }
}

#[test]
fn weights_are_followed() {
    let nodes = (0..50).map(|i| hashring::Node::new(format!("n{i}")).with_weight(1 + i % 5));
    let ring = Ring::builder()
        .points_per_weight_unit(1_000)
        .nodes(nodes)
        .build()
        .expect("the nodes are valid");
    let shares = ring.shares();
    let expected: f64 = shares.iter().map(|share| share.expected).sum();
    assert!((expected - 1.0).abs() < 1e-9);
    for share in &shares {
        let ratio = share.fraction / share.expected;
        assert!((0.85..1.15).contains(&ratio), "{share:?}");
    }
    assert!(shares.peak_to_average().is_some_and(|peak| (1.0..1.15).contains(&peak)));
}
