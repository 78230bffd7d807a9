//! Claims in requests that members are gone: a stranger who says that everybody is faulty
//! must not leave a member alone.

use std::time::Duration;

use crate::support::{Cluster, address, change, message, ms, secs};
use swim_core::{Address, Body, Change, Config, Event, Status, SyncStep};

const GONE: [Status; 3] = [Status::Faulty, Status::Leave, Status::Tombstone];

fn cluster(n: usize) -> Cluster {
    let mut cluster = Cluster::joined(Config::lan(), n);
    cluster.run_for(secs(10));
    cluster.forget_traffic();
    cluster
}

/// What a stranger says of everybody but the member at 0.
fn all_are(cluster: &Cluster, n: usize, status: Status, ahead: u64) -> Vec<Change> {
    let incarnation = |i| cluster.member(0, i).unwrap().incarnation + ahead;
    (1..n).map(|i| change(i, status, incarnation(i))).collect()
}

fn tell(cluster: &mut Cluster, from: &Address, seq: u64, changes: Vec<Change>) {
    cluster.inject(0, message(from, 1, seq, Body::Ping { checksum: 0, changes }));
}

/// Nobody goes off the ring of the member at 0 for so long.
fn all_stay(cluster: &mut Cluster, n: usize, span: Duration) {
    let end = cluster.now() + span;
    while cluster.now() < end {
        assert_eq!(cluster.node(0).on_ring().count(), n, "at {:?}", cluster.now());
        cluster.run_for(ms(5));
    }
    cluster.until("one view", secs(30), |c| c.agree(n));
    assert_eq!(cluster.node(0).on_ring().count(), n);
}

/// In small clusters, and in one with more members than are asked at once.
#[test]
fn one_message_that_says_that_everybody_is_gone_takes_nobody_off_the_ring() {
    for n in [2, 5, 20, 60] {
        for status in GONE {
            for sender in [address(99), address(1)] {
                let mut cluster = cluster(n);
                let changes = all_are(&cluster, n, status, 0);
                let isolated = |c: &Cluster| {
                    let told = |event: &&Event| matches!(event, Event::IsolationChanged { .. });
                    c.events(0).filter(told).count()
                };
                let before = isolated(&cluster);
                tell(&mut cluster, &sender, 900, changes);
                all_stay(&mut cluster, n, secs(10));
                assert_eq!(isolated(&cluster), before);
            }
        }
    }
}

#[test]
fn nor_do_many_messages_with_ever_newer_claims() {
    let n = 8;
    let mut cluster = cluster(n);
    for round in 0..20 {
        for (seq, status) in (round * 3..).zip(GONE) {
            let changes = all_are(&cluster, n, status, round);
            tell(&mut cluster, &address(99), 900 + seq, changes);
            cluster.run_for(ms(20));
            assert_eq!(cluster.node(0).on_ring().count(), n);
        }
    }
    all_stay(&mut cluster, n, secs(10));
}

#[test]
fn nor_do_the_other_requests_that_carry_claims() {
    let n = 8;
    let mut cluster = cluster(n);
    let changes = all_are(&cluster, n, Status::Faulty, 0);
    let ask = Body::PingReq { target: address(1), checksum: 0, changes: changes.clone() };
    cluster.inject(0, message(&address(99), 1, 900, ask));
    all_stay(&mut cluster, n, secs(5));
    let changes = all_are(&cluster, n, Status::Leave, 0);
    let step = SyncStep::Exchange { buckets: 1, differing: vec![0], cursor: None, changes };
    cluster.inject(0, message(&address(98), 1, 901, Body::Sync(step)));
    all_stay(&mut cluster, n, secs(5));
}

/// Nor does it help to have them suspected first: they refute before it counts.
#[test]
fn a_suspicion_first_does_not_make_a_claim_count() {
    let n = 20;
    for pause in [ms(10), ms(500), ms(1500), secs(3)] {
        let mut cluster = cluster(n);
        let suspect = all_are(&cluster, n, Status::Suspect, 0);
        let gone = all_are(&cluster, n, Status::Faulty, 0);
        tell(&mut cluster, &address(99), 900, suspect);
        cluster.run_for(pause);
        tell(&mut cluster, &address(99), 901, gone);
        all_stay(&mut cluster, n, secs(10));
    }
}

/// What the claims of a stranger cost is bounded: each member is asked once, and at most
/// 32 at once.
#[test]
fn claims_cost_a_bounded_number_of_pings() {
    let n = 60;
    let mut cluster = cluster(n);
    let changes = all_are(&cluster, n, Status::Faulty, 0);
    for seq in 0..100 {
        tell(&mut cluster, &address(99), 900 + seq, changes.clone());
    }
    let pings = |c: &Cluster| c.node(0).stats().claims_checked;
    assert!(pings(&cluster) <= 32, "{}", pings(&cluster));
    all_stay(&mut cluster, n, secs(10));
}

/// One that died and of whom this member has not noticed it goes as soon as it does not
/// answer.
#[test]
fn a_claim_that_is_true_is_taken_when_the_member_does_not_answer() {
    let mut cluster = cluster(8);
    let incarnation = cluster.member(0, 3).unwrap().incarnation;
    cluster.crash(3);
    tell(&mut cluster, &address(1), 900, vec![change(3, Status::Faulty, incarnation)]);
    assert_eq!(cluster.status(0, 3), Some(Status::Alive));
    cluster.until("gone", ms(510), |c| c.status(0, 3) == Some(Status::Faulty));
}

/// A member that leaves says so itself: each that hears of it asks it once.
#[test]
fn a_member_that_leaves_is_off_every_ring_at_once() {
    for n in [3, 10, 40] {
        let mut cluster = cluster(n);
        cluster.command(1, |node, now| node.leave(now)).unwrap();
        cluster.until("left", secs(2), |c| (0..n).all(|i| c.status(i, 1) == Some(Status::Leave)));
        let suspects = (2..n).filter(|i| cluster.history(*i, 1).contains(&Some(Status::Suspect)));
        assert_eq!(suspects.count(), 0);
    }
}

/// One that ends right after its leave was confirmed does not answer any more.
#[test]
fn a_member_that_leaves_and_ends_is_off_every_ring_within_two_seconds() {
    let n = 20;
    let mut cluster = cluster(n);
    cluster.command(1, |node, now| node.leave(now)).unwrap();
    cluster.run_for(ms(3));
    cluster.crash(1);
    let left = |c: &Cluster| (0..n).all(|i| i == 1 || c.status(i, 1) == Some(Status::Leave));
    cluster.until("left", secs(2), left);
}

/// Ringpop believes every sender, and so does its preset.
#[test]
fn with_the_rules_of_ringpop_every_claim_is_believed() {
    let mut cluster = Cluster::joined(Config::ringpop(), 3);
    let incarnation = cluster.member(0, 1).unwrap().incarnation;
    tell(&mut cluster, &address(9), 900, vec![change(1, Status::Faulty, incarnation)]);
    assert_eq!(cluster.status(0, 1), Some(Status::Faulty));
}
