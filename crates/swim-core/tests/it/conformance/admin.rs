//! `admin-tests.js`: what its endpoints do. The endpoints themselves belong to
//! whoever drives the machine.

use std::time::Duration;

use swim_core::Status::{Alive, Leave};
use swim_core::{Node, Status};

use super::fakes::{fake, real, sizes};
use super::suite::{Sent, Suite};

fn stopped(n: usize) -> Suite {
    let mut suite = Suite::prepare(n);
    suite.command(Node::pause);
    suite.run_for(Duration::from_millis(10));
    suite.forget_probes();
    suite
}

#[test]
fn endpoint_admin_gossip_stop() {
    for n in sizes(1) {
        let mut suite = stopped(n);
        suite.run_for(Duration::from_secs(1));
        assert!(suite.take(Sent::is_ping).is_empty());
        suite.finish();
    }
}

#[test]
fn endpoint_admin_gossip_start() {
    for n in sizes(1) {
        let mut suite = stopped(n);
        suite.command(Node::resume);
        suite.run_for(Duration::from_secs(1));
        assert_eq!(suite.take(Sent::is_ping).len(), 6, "one at once and one each 200 ms");
        suite.finish();
    }
}

#[test]
fn endpoint_admin_gossip_tick() {
    for n in sizes(1) {
        let mut suite = stopped(n);
        assert!(suite.command(Node::tick));
        suite.run_for(Duration::from_secs(1));
        assert_eq!(suite.take(Sent::is_ping).len(), 1);
        suite.finish();
    }
}

/// What the next answer to a ping says about the real member.
fn next_answer(suite: &mut Suite) -> Status {
    let answer = suite.ping(0, Vec::new());
    let [change] = &answer[..] else { panic!("exactly one change: {answer:?}") };
    assert_eq!(change.member.address, real());
    assert_eq!(change.member, *suite.sut.local());
    change.member.status
}

#[test]
fn endpoint_admin_member_leave() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n);
        suite.drain();
        suite.command(Node::leave).unwrap();
        assert_eq!(next_answer(&mut suite), Leave);
        assert!(suite.command(Node::leave).is_err(), "once is enough");
        suite.finish();
    }
}

/// The rejoin of Ringpop asks nobody for a list: the member knows the cluster.
#[test]
fn endpoint_admin_member_join() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n);
        suite.drain();
        suite.command(Node::leave).unwrap();
        suite.run_for(Duration::from_millis(100));
        suite.command(|sut, now| sut.join(now, Vec::new())).unwrap();
        assert_eq!(next_answer(&mut suite), Alive);
        suite.next_ping(|ping| ping.to == fake(0));
        assert_eq!(suite.sut.len(), n + 1);
        suite.finish();
    }
}
