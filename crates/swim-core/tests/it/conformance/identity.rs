//! `identity.js`. A ring places members by identity; see `lookup.rs`.

use swim_core::Status::Alive;
use swim_core::{Labels, Member};

use super::fakes::{INCARNATION, fake, identified, real, said, sizes};
use super::suite::{Setup, Suite};

#[test]
fn ringpop_should_set_its_identity_during_bootstrap() {
    for n in sizes(2) {
        let setup = Setup { identity: Some("identity".into()), ..Setup::default() };
        let mut suite = setup.prepare(n);
        assert_eq!(suite.sut.local().labels, identified("identity"));
        let ping = suite.next_ping(|_| true);
        assert_eq!(ping.changes()[0].member.labels, identified("identity"), "and spreads it");
        suite.finish();
    }
}

#[test]
fn ringpop_with_identity_full_lookup_returns_correct_values() {
    for n in sizes(1) {
        let listed = vec![Member::new(fake(0), Alive, INCARNATION, identified("fake-node"))];
        let setup = Setup { listed, identity: Some("sut".into()), ..Setup::default() };
        let suite = setup.prepare(n);
        let ring = suite.ring();
        assert_eq!(ring.len(), n + 1);
        assert_eq!((ring[&real()].as_str(), ring[&fake(0)].as_str()), ("sut", "fake-node"));
        assert!((1..n).all(|i| ring[&fake(i)] == fake(i).as_str()));
        suite.finish();
    }
}

#[test]
fn ringpop_when_identity_changes_hashring_is_updated() {
    for n in sizes(1) {
        let mut suite = Suite::prepare(n);
        let none = fake(0).to_string();
        assert_eq!(suite.ring()[&fake(0)], none);
        let steps = [
            (identified("identity"), "identity"),
            (identified("identity2"), "identity2"),
            (Labels::default(), &none),
        ];
        for (i, (labels, expected)) in (1..).zip(steps) {
            let now = Member::new(fake(0), Alive, INCARNATION + i, labels);
            suite.ping(0, vec![said(0, now)]);
            assert_eq!(suite.ring()[&fake(0)], *expected);
            assert_eq!(suite.ring().len(), n + 1);
        }
        suite.finish();
    }
}
