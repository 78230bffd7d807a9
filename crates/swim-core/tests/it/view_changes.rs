//! One event for a burst of changes, as in Rapid.

use std::time::Duration;

use crate::support::{Cluster, address, ms, secs};
use swim_core::{Address, Coalescing, Config, Damping, Event, Instant, Labels, Node, Status};

const COALESCING: Coalescing = Coalescing { quiet: secs(3), delay_max: secs(20) };

fn config() -> Config {
    Config::builder().coalescing(Some(COALESCING)).build().unwrap()
}

/// The view changes that a member told of since its event number `from`.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    joined: Vec<Address>,
    left: Vec<Address>,
    updated: Vec<Address>,
}

fn changes(cluster: &Cluster, i: usize, from: usize) -> Vec<Change> {
    let change = |event: &Event| match event.clone() {
        Event::ViewChanged { joined, left, updated, .. } => Some(Change { joined, left, updated }),
        _ => None,
    };
    cluster.events(i).skip(from).filter_map(change).collect()
}

/// How many events each of the first `n` members has had.
fn marks(cluster: &Cluster, n: usize) -> Vec<usize> {
    (0..n).map(|i| cluster.events(i).count()).collect()
}

fn addresses(range: impl IntoIterator<Item = usize>) -> Vec<Address> {
    let mut addresses: Vec<Address> = range.into_iter().map(address).collect();
    addresses.sort();
    addresses
}

/// A listener to the view changes alone has the ring of the machine.
fn follow(cluster: &Cluster, i: usize) -> Vec<Address> {
    let mut ring = addresses([i]);
    for Change { joined, left, .. } in changes(cluster, i, 0) {
        assert!(left.iter().all(|address| ring.contains(address)), "who leaves was there");
        assert!(joined.iter().all(|address| !ring.contains(address)), "who joins was not");
        ring.retain(|address| !left.contains(address));
        ring.extend(joined);
    }
    ring.sort();
    ring
}

fn ring(node: &Node) -> Vec<Address> {
    let mut ring: Vec<Address> = node.on_ring().map(|m| m.address.clone()).collect();
    ring.sort();
    ring
}

#[test]
fn a_mass_crash_is_one_view_change() {
    let (survivors, n) = (40, 90);
    let coalescing = Coalescing { quiet: secs(5), delay_max: secs(30) };
    let config = Config::builder().coalescing(Some(coalescing)).build().unwrap();
    let mut cluster = Cluster::joined(config, n);
    cluster.run_for(secs(10));
    let marks = marks(&cluster, survivors);
    (survivors..n).for_each(|i| cluster.crash(i));
    cluster.run_for(secs(60));
    for (i, mark) in marks.into_iter().enumerate() {
        let all = Change { joined: vec![], left: addresses(survivors..n), updated: vec![] };
        assert_eq!(changes(&cluster, i, mark), [all], "as {i} saw it");
        let single = cluster.events(i).skip(mark).filter(|event| {
            matches!(event, Event::MemberChanged { after: Some(m), .. } if m.status == Status::Faulty)
        });
        assert_eq!(single.count(), 50, "each by itself without it");
        assert_eq!(follow(&cluster, i), ring(cluster.node(i)));
    }
}

#[test]
fn a_joiner_hears_of_the_whole_cluster_at_once_and_the_others_of_it() {
    let mut cluster = Cluster::joined(config(), 20);
    cluster.run_for(secs(30));
    let marks = marks(&cluster, 20);
    cluster.start(20, 0..20);
    cluster.run_for(secs(30));
    let all = Change { joined: addresses(0..20), left: vec![], updated: vec![] };
    assert_eq!(changes(&cluster, 20, 0), [all]);
    for (i, mark) in marks.into_iter().enumerate() {
        let one = Change { joined: addresses([20]), left: vec![], updated: vec![] };
        assert_eq!(changes(&cluster, i, mark), [one]);
    }
}

#[test]
fn a_member_that_is_back_within_the_burst_changes_nothing() {
    let config = Config::builder()
        .coalescing(Some(Coalescing { quiet: secs(30), delay_max: secs(60) }))
        .build()
        .unwrap();
    let mut cluster = Cluster::joined(config, 5);
    cluster.run_for(secs(60));
    let marks = marks(&cluster, 4);
    cluster.crash(4);
    cluster.until("faulty", secs(20), |c| c.all_say(4, Status::Faulty));
    cluster.start(4, 0..5);
    cluster.run_for(secs(120));
    for (i, mark) in marks.into_iter().enumerate() {
        assert_eq!(changes(&cluster, i, mark), []);
        assert_eq!(cluster.node(i).stats().view_changes_undone, 1);
    }
}

#[test]
fn changes_without_an_end_are_told_of_after_the_longest_delay() {
    let mut cluster = Cluster::joined(config(), 4);
    cluster.run_for(secs(60));
    let mark = cluster.events(0).count();
    let start = cluster.now();
    let mut told: Vec<Instant> = Vec::new();
    for round in 0..60 {
        let labels = Labels::new([("round", round.to_string())]).unwrap();
        cluster.command(1, |node, now| node.set_labels(now, &labels)).unwrap();
        cluster.run_for(secs(1));
        let so_far = changes(&cluster, 0, mark).len();
        told.resize(so_far, cluster.now());
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0] - start <= COALESCING.delay_max + secs(3), "{told:?}");
    let updated = Change { joined: vec![], left: vec![], updated: addresses([1]) };
    assert!(changes(&cluster, 0, mark).iter().all(|change| *change == updated));
}

#[test]
fn suspicion_and_refutation_are_no_view_change() {
    let mut cluster = Cluster::joined(config(), 6);
    cluster.run_for(secs(60));
    let mark = cluster.events(0).count();
    cluster.freeze(5);
    cluster.until("suspect", secs(20), |c| c.status(0, 5) == Some(Status::Suspect));
    cluster.thaw(5);
    cluster.until("refuted", secs(20), |c| c.agree(6));
    cluster.run_for(secs(60));
    assert_eq!(changes(&cluster, 0, mark), []);
}

#[test]
fn a_member_that_leaves_tells_itself_at_once() {
    let mut cluster = Cluster::joined(config(), 3);
    cluster.run_for(secs(60));
    let mark = cluster.events(2).count();
    cluster.command(2, |node, now| node.leave(now)).unwrap();
    let gone = Change { joined: vec![], left: addresses([2]), updated: vec![] };
    assert_eq!(changes(&cluster, 2, mark), [gone]);
}

/// A damped member leaves by a view change as well.
#[test]
fn damping_is_a_view_change() {
    let damping = Damping { penalty: 5000, half_life: secs(60), ..Damping::DEFAULT };
    let quick = Coalescing { quiet: ms(500), delay_max: secs(2) };
    let config = Config::builder().damping(Some(damping)).coalescing(Some(quick)).build().unwrap();
    let mut cluster = Cluster::joined(config, 12);
    for _ in 0..2 {
        cluster.crash(11);
        cluster.until("faulty", secs(60), |c| c.all_say(11, Status::Faulty));
        cluster.start(11, 0..12);
        cluster.until("back", secs(30), |c| c.agree(12));
    }
    cluster.until("damped", secs(60), |c| (0..12).all(|i| c.node(i).is_damped(&address(11))));
    cluster.run_for(secs(10));
    for i in 0..11 {
        assert_eq!(follow(&cluster, i), ring(cluster.node(i)));
        assert_eq!(ring(cluster.node(i)).len(), 11);
        let all = changes(&cluster, i, 0);
        assert!(
            all.iter().all(|change| change.updated.is_empty()),
            "votes do not concern the ring"
        );
    }
    cluster.until("returned", secs(3600), |c| (0..12).all(|i| c.node(i).damped().count() == 0));
    cluster.run_for(secs(10));
    assert!((0..11).all(|i| follow(&cluster, i).len() == 12));
}

#[test]
fn without_coalescing_there_is_no_such_event() {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    cluster.crash(2);
    cluster.run_for(secs(60));
    assert_eq!(changes(&cluster, 0, 0), []);
    assert_eq!(Config::ringpop().coalescing(), None);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused = |quiet, delay_max| {
        let coalescing = Some(Coalescing { quiet, delay_max });
        Config::builder().coalescing(coalescing).build().unwrap_err().to_string()
    };
    let error = refused(Duration::ZERO, secs(1));
    assert_eq!(error, "coalescing.quiet is 0ns, it must be at least 1ms");
    let error = refused(secs(2), secs(1));
    assert_eq!(error, "coalescing.delay_max is 1s, it must be at least 2s");
}
