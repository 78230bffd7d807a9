//! `incarnation-no-tests.js`, `reincarnation-source.js`,
//! `double-reincarnation.js`

use swim_core::Change;
use swim_core::Status::{self, Alive, Faulty, Suspect};

use super::fakes::{REAL_INCARNATION, member, real, said, sizes};
use super::suite::{Sent, Suite};

/// Tells the real member about itself; gives the changes of its answer and
/// its incarnation.
fn tell(suite: &mut Suite, status: Status, incarnation: u64) -> (Vec<Change>, u64) {
    let answer = suite.ping(0, vec![said(0, member(real(), status, incarnation))]);
    assert_eq!(suite.sut.local().status, Alive);
    (answer, suite.sut.local().incarnation)
}

#[test]
fn ringpop_does_not_bump_incarnation_number_after_being_piggybacked_to_alive() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        assert_eq!(tell(&mut suite, Alive, REAL_INCARNATION).1, REAL_INCARNATION);
        suite.finish();
    }
}

#[test]
fn ringpop_bumps_incarnation_number_after_being_piggybacked_to_suspect() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        assert!(tell(&mut suite, Suspect, REAL_INCARNATION).1 > REAL_INCARNATION);
        suite.finish();
    }
}

#[test]
fn ringpop_bumps_incarnation_number_after_being_piggybacked_to_faulty() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        assert!(tell(&mut suite, Faulty, REAL_INCARNATION).1 > REAL_INCARNATION);
        suite.finish();
    }
}

#[test]
fn ringpop_gossips_its_reincarnation_with_itself_as_the_source() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        let (answer, incarnation) = tell(&mut suite, Suspect, REAL_INCARNATION);
        let [change] = &answer[..] else { panic!("just the refutation: {answer:?}") };
        assert_eq!(change.member, member(real(), Alive, incarnation));
        let source = change.source.as_ref().unwrap();
        assert_eq!((&source.address, source.incarnation), (&real(), incarnation));
        assert!(suite.take(Sent::is_join).is_empty(), "no full sync");
        suite.finish();
    }
}

#[test]
fn ringpop_should_not_bump_incarnation_number_when_gossip_is_older() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        assert_eq!(tell(&mut suite, Suspect, REAL_INCARNATION - 1).1, REAL_INCARNATION);
        suite.finish();
    }
}
