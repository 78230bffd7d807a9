//! `join-tests.js`

use std::time::Duration;

use swim_core::Member;
use swim_core::Status::{Alive, Faulty, Suspect};

use super::fakes::{fake, member, nobody, real, sizes};
use super::suite::{Setup, Suite};

#[test]
fn join_cluster_of_1_plus_n_nodes() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n);
        let ping = suite.next_ping(|_| true);
        let [change] = ping.changes() else { panic!("the list of others is not spread: {ping:?}") };
        assert_eq!((&change.member.address, change.member.status), (&real(), Alive));
        suite.run_for(Duration::from_secs(1));
        suite.finish();
    }
}

#[test]
fn join_ringpop_with_fake_node() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n);
        let list = suite.join(&fake(n));
        assert_eq!(list.len(), n + 1);
        suite.run_for(Duration::from_millis(100));
        assert_eq!(suite.status(n), None, "the joiner spreads itself");
        suite.assert_counts(&[(Alive, n + 1)]);
        suite.finish();
    }
}

#[test]
fn five_second_suspect_to_faulty_window_on_join() {
    for n in sizes(2) {
        let listed = vec![member(nobody(), Suspect, 127)];
        let mut suite = Setup { listed, ..Setup::default() }.prepare(n);
        let start = suite.now;
        suite.assert_counts(&[(Alive, n + 1), (Suspect, 1)]);
        let faulty = |member: &Member| member.address == nobody() && member.status == Faulty;
        let took = suite.until("faulty", |suite| suite.sut.members().any(faulty));
        // It was joined a round trip before the first ping.
        assert!(took.abs_diff(Duration::from_secs(5)) < Duration::from_millis(5), "{took:?}");
        suite.next_ping(|ping| ping.changes().iter().any(|change| faulty(&change.member)));
        assert!(suite.now - start < Duration::from_secs(8));
        assert_eq!(suite.sut.member(&nobody()).unwrap().incarnation, 127);
        suite.finish();
    }
}
