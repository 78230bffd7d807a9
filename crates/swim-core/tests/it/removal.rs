//! How members that are gone are removed, and how they come back.

use swim_core::{Body, Config, Status};

use crate::support::{Cluster, address, change, lan, message, secs};

#[test]
fn a_faulty_member_becomes_a_tombstone_and_is_forgotten() {
    let config = Config::builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 4);
    cluster.crash(3);
    cluster.until("faulty", secs(15), |c| c.all_say(3, Status::Faulty));
    cluster.until("tombstone", secs(15), |c| c.all_say(3, Status::Tombstone));
    let checksum = cluster.node(0).checksum();
    cluster.until("forgotten", secs(15), |c| (0..3).all(|i| c.status(i, 3).is_none()));
    assert_eq!(cluster.node(0).checksum(), checksum, "tombstones do not count");
    assert!((0..3).all(|i| cluster.node(i).stats().members_removed == 1));
    cluster.run_for(secs(60));
    assert!((0..3).all(|i| cluster.status(i, 3).is_none()), "nobody brings it back");
}

#[test]
fn a_tombstone_of_an_unknown_member_is_ignored() {
    let mut cluster = Cluster::joined(lan(), 2);
    let body = Body::Ping { checksum: 0, changes: vec![change(9, Status::Tombstone, 5)] };
    cluster.inject(0, message(&address(8), 1, 1, body));
    assert_eq!(cluster.status(0, 9), None);
}

#[test]
fn a_restarted_process_at_the_same_address_is_alive_again() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.crash(2);
    cluster.until("faulty", secs(15), |c| c.all_say(2, Status::Faulty));
    cluster.start(2, 0..5);
    cluster.until("back", secs(3), |c| c.agree(5));
}

#[test]
fn a_process_that_restarts_with_a_lower_clock_is_alive_again() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.crash(2);
    cluster.until("faulty", secs(15), |c| c.all_say(2, Status::Faulty));
    cluster.unix_ms -= 3_600_000;
    cluster.start(2, 0..5);
    cluster.until("back", secs(3), |c| c.agree(5));
}
