//! Partitions that come together again (ringpop-go, `heal_partition_test.go`).

use std::time::Duration;

use crate::support::{Cluster, address, heal, message, secs};
use swim_core::{Address, Body, Config, Event, Labels, Member, Status};

/// Two sides that took each other for faulty, and can talk again.
fn partitioned(a: &[usize], b: &[usize]) -> Cluster {
    let n = a.len() + b.len();
    let never = Config::lan().to_builder().heal_probability_base(0).build().unwrap();
    let mut cluster = Cluster::joined(never, n);
    cluster.cut(a, b);
    cluster.until("apart", secs(200), |c| {
        a.iter().all(|i| b.iter().all(|j| c.status(*i, *j) == Some(Status::Faulty)))
            && b.iter().all(|i| a.iter().all(|j| c.status(*i, *j) == Some(Status::Faulty)))
    });
    // Let probes end that began while the other side was not yet faulty.
    cluster.run_for(secs(60));
    cluster.heal();
    cluster
}

fn hosts(n: usize) -> Vec<Address> {
    (0..n).map(address).collect()
}

#[test]
fn without_healing_a_partition_stays() {
    let mut cluster = partitioned(&[0, 1, 2], &[3, 4, 5]);
    cluster.run_for(secs(300));
    assert_eq!(cluster.status(0, 3), Some(Status::Faulty));
}

/// Two rounds: in the first each side refutes in its own view, the second
/// merges. One target is enough: it speaks for its side.
#[test]
fn two_sides_that_are_faulty_to_each_other_merge_in_two_rounds() {
    let mut cluster = partitioned(&[0, 1, 2, 3, 4], &[5, 6, 7, 8, 9]);
    let (contacted, failures) = heal(&mut cluster, 0, hosts(10));
    assert_eq!((contacted.len(), failures), (1, 0));
    cluster.run_for(secs(5));
    assert!(!cluster.agree(10), "the first round does not merge");
    assert!((0..5).all(|i| cluster.status(i, i) == Some(Status::Alive)));
    let (contacted, _) = heal(&mut cluster, 0, hosts(10));
    assert_eq!(contacted.len(), 1);
    cluster.until("one view", secs(10), |c| c.agree(10));
    for i in 0..10 {
        for j in 0..10 {
            let history = cluster.history(i, j);
            let last_faulty = history.iter().rposition(|s| *s == Some(Status::Faulty));
            let alive_after = history.iter().rposition(|s| *s == Some(Status::Alive));
            assert!(alive_after >= last_faulty, "{i} lost {j} again: {history:?}");
        }
    }
}

/// One side missed that a member took new labels and then failed. What it is
/// told of that incarnation has the labels of that incarnation.
#[test]
fn a_suspicion_of_a_healing_has_the_labels_of_its_incarnation() {
    let labels = |version| Labels::new([("version", version)]).unwrap();
    // Member 0 is told of a member that it cannot reach.
    let config = Config::lan().to_builder().heal_probability_base(0).verify_claims(false);
    let mut cluster = Cluster::joined(config.build().unwrap(), 4);
    cluster.command(3, |node, now| node.set_labels(now, &labels("9"))).unwrap();
    cluster.until("told", secs(10), |c| c.agree(4));
    cluster.crash(0);
    let older = cluster.member(1, 3).unwrap().clone();
    cluster.command(3, |node, now| node.set_labels(now, &labels("1"))).unwrap();
    let spread = |c: &Cluster| c.member(1, 3).is_some_and(|m| m.labels == labels("1"));
    cluster.until("the others know", secs(10), spread);
    cluster.crash(3);
    cluster.until("faulty", secs(200), |c| c.status(1, 3) == Some(Status::Faulty));
    let newer = cluster.member(1, 3).unwrap().clone();
    // Member 0 comes back and heard of member 3 before it changed.
    cluster.start(0, [0]);
    let gossip = swim_core::Change { member: older, source: None };
    let body = Body::Ping { checksum: 0, changes: vec![gossip] };
    cluster.inject(0, message(&address(3), 1, 1, body));
    cluster.heal();
    heal(&mut cluster, 0, vec![address(1)]);
    let known = cluster.member(0, 3).unwrap();
    assert_eq!((known.status, known.incarnation), (Status::Suspect, newer.incarnation));
    assert_eq!(known.labels, newer.labels);
}

/// One side takes a member for alive that the other is about to forget. Members that heard of that
/// from others have no labels of it any more.
#[test]
fn a_suspicion_of_a_healing_keeps_the_labels_that_a_tombstone_has_lost() {
    let labels = Labels::new([("version", "1")]).unwrap();
    // Member 0 is told of a member that it cannot reach.
    let config = Config::lan().to_builder().heal_probability_base(0).verify_claims(false);
    let mut cluster = Cluster::joined(config.build().unwrap(), 4);
    cluster.command(3, |node, now| node.set_labels(now, &labels)).unwrap();
    cluster.until("told", secs(10), |c| c.agree(4));
    let alive = cluster.member(1, 3).unwrap().clone();
    cluster.crash(0);
    cluster.crash(3);
    cluster.until("faulty", secs(200), |c| c.status(1, 3) == Some(Status::Faulty));
    let tell = |cluster: &mut Cluster, to, from, member| {
        let changes = vec![swim_core::Change { member, source: None }];
        let body = Body::Ping { checksum: 0, changes };
        cluster.inject(to, message(&address(from), 1, 1, body));
    };
    let status = Status::Tombstone;
    let tombstone = Member::new(address(3), status, alive.incarnation, Labels::default());
    tell(&mut cluster, 1, 2, tombstone);
    assert_eq!(cluster.status(1, 3), Some(Status::Tombstone));
    // Member 0 comes back and heard of member 3 before it failed.
    cluster.start(0, [0]);
    tell(&mut cluster, 0, 3, alive.clone());
    heal(&mut cluster, 0, vec![address(1)]);
    let known = cluster.member(0, 3).unwrap();
    assert_eq!((known.status, known.incarnation), (Status::Suspect, alive.incarnation));
    assert_eq!(known.labels, labels);
}

/// A partition that lasts so long that each side has forgotten the other. What
/// they say of their members is not newer than the cached tombstones, until these refute.
#[test]
fn sides_that_have_forgotten_each_other_merge_in_two_rounds() {
    let config = Config::lan().to_builder().heal_probability_base(0);
    let config = config.faulty_timeout(secs(20)).tombstone_timeout(secs(10)).build().unwrap();
    let mut cluster = Cluster::joined(config, 6);
    cluster.cut(&[0, 1, 2], &[3, 4, 5]);
    let forgotten = |c: &Cluster| (0..6).all(|i| c.node(i).len() == 3);
    cluster.until("forgotten", secs(300), forgotten);
    cluster.run_for(secs(60));
    cluster.heal();
    heal(&mut cluster, 0, hosts(6));
    cluster.run_for(secs(5));
    heal(&mut cluster, 0, hosts(6));
    cluster.until("one view", secs(60), |c| c.agree(6));
}

/// Sides that never knew each other merge at once.
#[test]
fn sides_that_do_not_know_each_other_merge_in_one_round() {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    for i in 3..6 {
        cluster.start(i, 3..6);
    }
    cluster.until("two clusters", secs(10), |c| (3..6).all(|i| c.node(i).len() == 3));
    heal(&mut cluster, 0, hosts(6));
    cluster.until("one view", secs(10), |c| c.agree(6));
}

#[test]
fn a_healing_gives_up_after_ten_failures() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    let (contacted, failures) = heal(&mut cluster, 0, (10..40).map(address).collect());
    assert_eq!((contacted.len(), failures), (0, 10));
}

/// A host that never answered may do so tomorrow: each request for a healing gets one.
#[test]
fn an_address_that_never_answered_is_asked_again() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    for _ in 0..20 {
        assert_eq!(heal(&mut cluster, 0, vec![address(30)]).1, 1);
    }
}

/// A process that is still starting gives out its list, but is no member yet:
/// nobody invents it (ringpop-go#65).
#[test]
fn a_host_that_is_still_starting_is_not_merged() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    cluster.start(5, [9]);
    cluster.command(0, |node, now| node.discovered(now, vec![address(5)])).unwrap();
    cluster.run_for(secs(20));
    assert_eq!(cluster.status(0, 5), None);
}

/// Members whose checksums are made in two ways sync for ever: the tenth sync
/// that brings nothing is told, and then one of each twice as many.
#[test]
fn full_syncs_that_do_not_end_are_told() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    cluster.run_for(secs(60));
    // Nobody's checksum is what the other takes it for.
    cluster.translate(|_, _, message| {
        let mut message = message.clone();
        if let Body::Ping { checksum, .. } | Body::Ack { checksum, .. } = &mut message.body {
            *checksum ^= 1;
        }
        Some(message)
    });
    cluster.run_for(secs(600));
    let told: Vec<u32> = cluster
        .events(0)
        .filter_map(|event| match event {
            Event::SyncEndless { peer, syncs } if *peer == address(1) => Some(*syncs),
            _ => None,
        })
        .collect();
    assert!(told.len() >= 3, "{told:?}");
    assert_eq!(told[..3], [10, 20, 40]);
    assert_eq!(cluster.node(0).stats().syncs_endless, told.len() as u64);
}

/// In a cluster that changes all the time, checksums differ all the time, and
/// syncs end all the same.
#[test]
fn full_syncs_of_a_busy_cluster_are_not_endless() {
    let mut cluster = Cluster::joined(Config::lan(), 8);
    for round in 0..300 {
        let labels = Labels::new([("round", round.to_string())]).unwrap();
        cluster.command(round % 8, |node, now| node.set_labels(now, &labels)).unwrap();
        cluster.run_for(Duration::from_millis(150));
    }
    for i in 0..8 {
        assert_eq!(cluster.node(i).stats().syncs_endless, 0);
    }
}

#[test]
fn members_that_can_be_reached_are_no_targets() {
    let mut cluster = Cluster::joined(Config::lan(), 4);
    assert_eq!(heal(&mut cluster, 0, hosts(4)), (vec![], 0));
    assert_eq!(cluster.node(0).stats().heal_attempts, 0);
}

/// The members of a cluster together look about three times in 30 s.
#[test]
fn a_cluster_looks_for_others_from_time_to_time() {
    let mut cluster = Cluster::joined(Config::lan(), 20);
    cluster.run_for(Duration::from_secs(30 * 25));
    let wanted: usize =
        (0..20).map(|i| cluster.events(i).filter(|e| matches!(e, Event::HealWanted)).count()).sum();
    // 75 are expected; four standard deviations are 32.
    assert!((43..107).contains(&wanted), "{wanted} in 25 periods");
}

#[test]
fn a_member_that_has_left_does_not_heal() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    cluster.command(0, swim_core::Node::leave).unwrap();
    assert!(cluster.command(0, |node, now| node.heal(now, hosts(2))).is_err());
}

/// One side of a partition has forgotten a dead member at its operator's wish,
/// and the other remembers it for a day: with whole lists as with digests the
/// other is told (seed 2001229 of the simulator).
#[test]
fn a_member_that_one_side_forgot_is_forgotten_by_both() {
    for whole_list in [false, true] {
        let config = Config::lan().to_builder().sync_whole_list(whole_list).build().unwrap();
        let mut cluster = Cluster::joined(config, 3);
        cluster.crash(2);
        cluster
            .until("faulty", secs(60), |c| (0..2).all(|i| c.status(i, 2) == Some(Status::Faulty)));
        cluster.cut(&[0], &[1]);
        cluster.until("apart", secs(60), |c| c.status(0, 1) == Some(Status::Faulty));
        cluster.command(0, swim_core::Node::reap_faulty);
        cluster.until("forgotten", secs(90), |c| c.status(0, 2).is_none());
        assert_eq!(cluster.status(1, 2), Some(Status::Faulty));
        cluster.heal();
        cluster.command(0, |node, now| node.heal(now, vec![address(1)])).ok();
        cluster.until("agreed", secs(180), |c| {
            c.status(1, 2).is_none() && c.node(0).checksum() == c.node(1).checksum()
        });
    }
}
