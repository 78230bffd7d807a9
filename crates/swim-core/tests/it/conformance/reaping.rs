//! `reaping-faulty-nodes.js`. Ringpop sends a tombstone as `faulty` with a
//! flag, for the sake of members that do not know the status. Here it is a
//! status; the flag is a matter of an encoding.

use std::time::Duration;

use swim_core::Change;
use swim_core::Status::{Alive, Faulty, Suspect, Tombstone};

use super::fakes::{INCARNATION, fake, member, nobody, said, sizes};
use super::status_changes;
use super::suite::{Setup, Suite};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn tombstones(changes: &[Change]) -> Vec<&Change> {
    changes.iter().filter(|change| change.member.status == Tombstone).collect()
}

#[test]
fn respond_join_requests_with_tombstone_flag() {
    for n in sizes(2) {
        let mut suite = Suite::with_status(n, Tombstone);
        let list = suite.join(&fake(n));
        let tombstones = tombstones(&list);
        assert_eq!(list.len(), n + 1);
        assert_eq!(tombstones.len(), 1);
        assert_eq!(tombstones[0].member, member(fake(1), Tombstone, INCARNATION));
        suite.finish();
    }
}

#[test]
fn join_cluster_with_tombstone_in_memberlist() {
    for n in sizes(2) {
        let listed = vec![member(nobody(), Tombstone, 127)];
        let mut suite = Setup { listed, ..Setup::default() }.prepare(n);
        suite.assert_counts(&[(Alive, n + 1)]);
        let ping = suite.next_ping(|_| true);
        assert!(ping.changes().iter().all(|change| change.member.address != nobody()));
        suite.finish();
    }
}

#[test]
fn five_second_faulty_to_tombstone_window() {
    for n in sizes(2) {
        let mut suite = Suite::with_status(n, Faulty);
        let start = suite.now;
        suite.next_ping(|ping| !tombstones(ping.changes()).is_empty());
        let took = suite.now - start;
        assert!(took.abs_diff(ms(5000)) < ms(300), "{took:?}");
        suite.finish();
    }
}

#[test]
fn five_second_faulty_to_tombstone_window_on_join() {
    for n in sizes(2) {
        let listed = vec![member(nobody(), Faulty, 127)];
        let mut suite = Setup { listed, ..Setup::default() }.prepare(n);
        suite.assert_counts(&[(Alive, n + 1), (Faulty, 1)]);
        let took = suite
            .until("a tombstone", |suite| suite.sut.member(&nobody()).unwrap().status == Tombstone);
        assert!(took.abs_diff(ms(5000)) < ms(300), "{took:?}");
        suite.finish();
    }
}

#[test]
fn five_second_tombstone_to_evicted_window() {
    for n in sizes(2) {
        let mut suite = Suite::with_status(n, Tombstone);
        suite.assert_counts(&[(Alive, n), (Tombstone, 1)]);
        suite.run_for(ms(4000));
        suite.assert_counts(&[(Alive, n), (Tombstone, 1)]);
        suite.run_for(ms(1100));
        suite.assert_counts(&[(Alive, n)]);
        suite.finish();
    }
}

#[test]
fn change_status_to_and_from_tombstone_via_piggybacking() {
    status_changes::check(&[
        (Alive, Tombstone, [Alive, Tombstone, Tombstone]),
        (Suspect, Tombstone, [Suspect, Tombstone, Tombstone]),
        (Faulty, Tombstone, [Faulty, Tombstone, Tombstone]),
        (Tombstone, Alive, [Tombstone, Tombstone, Alive]),
        (Tombstone, Suspect, [Tombstone, Tombstone, Suspect]),
        (Tombstone, Faulty, [Tombstone, Tombstone, Faulty]),
        (Tombstone, Tombstone, [Tombstone, Tombstone, Tombstone]),
    ]);
}

#[test]
fn tombstone_should_not_be_applied_when_gossiped_about_but_unknown_to_the_sut() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        suite.ping(0, vec![said(0, member(nobody(), Tombstone, 127))]);
        suite.assert_counts(&[(Alive, n + 1)]);
        let ping = suite.next_ping(|ping| ping.to != fake(0));
        assert!(ping.changes().iter().all(|change| change.member.address != nobody()));
        suite.finish();
    }
}

#[test]
fn test_admin_reap_endpoint() {
    for n in sizes(2) {
        let mut suite = Suite::with_status(n, Faulty);
        let reaped = suite.command(|sut, now| sut.reap_faulty(now));
        assert_eq!(reaped, 1);
        suite.assert_counts(&[(Alive, n), (Tombstone, 1)]);
        assert_eq!(suite.status(1), Some(Tombstone));
        suite.finish();
    }
}

#[test]
fn tombstone_should_be_applied_when_sent_as_a_state() {
    for n in sizes(2) {
        let suite = Suite::with_status(n, Tombstone);
        suite.assert_counts(&[(Alive, n), (Tombstone, 1)]);
        suite.finish();
    }
}

#[test]
fn tombstone_should_be_gossiped_with_flag_when_applied_as_state() {
    for n in sizes(3) {
        let mut suite = Suite::with_status(n, Tombstone);
        let ping = suite.next_ping(|ping| ping.to != fake(0));
        let tombstones = tombstones(ping.changes());
        assert_eq!(tombstones, [&said(0, member(fake(1), Tombstone, INCARNATION))]);
        suite.finish();
    }
}
