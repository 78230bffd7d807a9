//! The hot paths allocate nothing. One test alone in its process, because the counter sees every
//! thread.
#![cfg(not(loom))]

use std::{alloc::System, hint::black_box, time::Instant};

use hashring::{
    BackendRecord, Edit, HealthConfig, LoadBound, Node, Outcome, Ring, Selector, SharedRing,
    WhenAllQuarantined,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn assert_no_allocation(what: &str, mut hot_path: impl FnMut(&[u8])) {
    let keys: Vec<_> = (0..1_000).map(|i| format!("session/{i}/of/user").into_bytes()).collect();
    let region = Region::new(ALLOCATOR);
    for key in &keys {
        hot_path(key);
    }
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0), "{what} allocates");
}

#[test]
fn hot_paths_allocate_nothing() {
    let nodes = (0..1_000).map(|i| Node::new(format!("n{i}")).with_data(i % 5));
    let ring = Ring::builder().nodes(nodes).build().expect("the nodes are valid");
    assert_no_allocation("lookup", |key| {
        black_box(ring.lookup(key));
    });
    let mut owners = Vec::with_capacity(50);
    for n in [1, 3, 50] {
        assert_no_allocation("lookup_n", |key| ring.lookup_n(key, n, &mut owners));
    }
    assert_no_allocation("owners_spread", |key| {
        ring.owners_spread(key, 3, |node| *node.data(), &mut owners);
    });
    assert_no_allocation("lookup_bounded", |key| {
        black_box(ring.lookup_bounded(key, LoadBound::default(), 1_000, |node| {
            u64::from(node.id().len() == 3) * 9
        }));
    });
    check_update(&ring);
    let shared = SharedRing::new(ring.clone());
    let mut reader = shared.reader();
    assert_no_allocation("a reader's load", |key| {
        black_box(reader.load().lookup(key));
    });
    check_pick();
}

/// The next ring in the memory of an old one takes no more than its nodes, and the points that
/// change.
fn check_update(ring: &Ring<usize>) {
    let edit = |weight| [Edit::reweight("n500", weight)];
    let fits = |ring: &Ring<usize>, old| ring.apply_reusing(old, edit(1)).expect("the node exists");
    let second = ring.apply(edit(2)).expect("the node exists");
    let region = Region::new(ALLOCATOR);
    let third = fits(&second, ring.clone());
    drop(third);
    let with_a_copy = region.change().bytes_allocated;
    let copy = ring.clone();
    let region = Region::new(ALLOCATOR);
    let third = fits(&second, copy);
    let reusing = region.change().bytes_allocated;
    assert_eq!(third.checksum(), ring.checksum());
    assert!(with_a_copy > ring.size_bytes(), "{with_a_copy} of {}", ring.size_bytes());
    assert!(reusing < ring.size_bytes() / 20, "{reusing} of {}", ring.size_bytes());
}

fn check_pick() {
    let now = Instant::now();
    for quarantined in [0, 100, 500, 990, 1_000] {
        let selector = Selector::builder()
            .health(
                HealthConfig::default()
                    .with_threshold(1)
                    .with_max_quarantined_percent(100)
                    .with_min_eligible(0)
                    .with_panic_threshold_percent(0),
            )
            .when_all_quarantined(WhenAllQuarantined::Ignore)
            .build(now)
            .expect("the options are valid");
        let records =
            (0..1_000).map(|i| BackendRecord::new(format!("n{i}"), format!("10.0.0.1:{i}")));
        selector.replace_backends(records).expect("the list is valid");
        for i in 0..quarantined {
            selector.report(&format!("n{i}"), Outcome::Failure, now);
        }
        let mut picker = selector.picker();
        // The first long walk makes the bitmap that the later ones use again.
        let mut picked = Vec::with_capacity(3);
        for key in 0..100_u8 {
            picker.pick_n(&[key], 3, now, &mut picked).expect("there are backends");
        }
        assert_no_allocation("pick", |token| {
            black_box(picker.pick(token, now).expect("there are backends"));
        });
        assert_no_allocation("pick_n", |token| {
            picker.pick_n(token, 3, now, &mut picked).expect("there are backends");
        });
        assert_no_allocation("report", |token| {
            if let Ok(node) = picker.pick(token, now) {
                node.data().health().report(Outcome::Success, now);
            }
        });
    }
}
