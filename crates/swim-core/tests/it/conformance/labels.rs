//! `labels.js`

use swim_core::Status::{self, Alive, Faulty, Leave, Suspect, Tombstone};
use swim_core::{Labels, Member};

use super::fakes::{INCARNATION, REAL_INCARNATION, fake, labels, real, said, sizes};
use super::suite::{Setup, Suite};

fn hello() -> Labels {
    labels(&[("hello", "world")])
}

fn labelled(i: usize, status: Status, incarnation: u64, labels: &Labels) -> Member {
    Member::new(fake(i), status, incarnation, labels.clone())
}

/// Fake `by` says this.
fn tell(suite: &mut Suite, by: usize, member: Member) {
    suite.ping(by, vec![said(by, member)]);
}

#[test]
fn ringpop_should_accept_labels_that_are_present_in_the_bootstrap_list() {
    for n in sizes(2) {
        let listed = vec![labelled(0, Alive, INCARNATION, &hello())];
        let suite = Setup { listed, ..Setup::default() }.prepare(n);
        assert_eq!(suite.member(0).unwrap().labels, hello());
        suite.assert_counts(&[(Alive, n + 1)]);
        suite.finish();
    }
}

#[test]
fn ringpop_should_accept_labels_for_a_node_with_a_higher_incarnation_number_from_the_node_itself() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        tell(&mut suite, 1, labelled(1, Alive, INCARNATION + 1, &hello()));
        assert_eq!(suite.member(1).unwrap().labels, hello());
        suite.finish();
    }
}

#[test]
fn ringpop_should_accept_labels_for_a_node_with_a_higher_incarnation_number_from_another_node() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        tell(&mut suite, 0, labelled(1, Alive, INCARNATION + 1, &hello()));
        assert_eq!(suite.member(1).unwrap().labels, hello());
        suite.finish();
    }
}

#[test]
fn ringpop_should_not_accept_labels_for_a_node_with_a_lower_incarnation_number() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        tell(&mut suite, 0, labelled(1, Alive, INCARNATION - 1, &hello()));
        assert!(suite.member(1).unwrap().labels.is_empty());
        suite.finish();
    }
}

#[test]
fn ringpop_should_deterministically_pick_labels_on_conflict() {
    let two = [hello(), labels(&[("hello", "world"), ("foo", "baz")])];
    for n in sizes(2) {
        let winners = [[0, 1], [1, 0]].map(|order| {
            let mut suite = Suite::prepare(n);
            for i in order {
                tell(&mut suite, 0, labelled(1, Alive, INCARNATION + 1, &two[i]));
            }
            let winner = suite.member(1).unwrap().labels.clone();
            suite.finish();
            winner
        });
        assert_eq!(winners[0], winners[1]);
    }
}

#[test]
fn different_labels_should_be_accepted_on_a_higher_incarnation_number() {
    let other = labels(&[("foo", "baz")]);
    for n in sizes(2) {
        for (first, second) in [(&hello(), &other), (&other, &hello())] {
            let mut suite = Suite::prepare(n);
            tell(&mut suite, 0, labelled(1, Alive, INCARNATION + 1, first));
            tell(&mut suite, 0, labelled(1, Alive, INCARNATION + 2, second));
            assert_eq!(suite.member(1).unwrap().labels, *second, "replaced, not merged");
            suite.finish();
        }
    }
}

/// Tells the real member about its labels; gives its incarnation then.
fn tell_itself(n: usize, own: Labels, heard: Labels) -> u64 {
    let mut suite = Setup { labels: own.clone(), ..Setup::default() }.prepare(n);
    let change = said(0, Member::new(real(), Alive, REAL_INCARNATION, heard));
    suite.ping(0, vec![change]);
    assert_eq!(suite.sut.local().labels, own, "only it says what its labels are");
    let incarnation = suite.sut.local().incarnation;
    suite.finish();
    incarnation
}

/// Which of two sets is preferred is decided by their order here, by a
/// checksum in Ringpop; the labels are therefore others than in the suite.
#[test]
fn ringpop_does_not_reincarnate_if_it_hears_the_wrong_labels_that_are_not_preferred() {
    for n in sizes(2) {
        let wrong = labels(&[("hello", "world"), ("foo", "baz")]);
        assert_eq!(tell_itself(n, hello(), wrong), REAL_INCARNATION);
    }
}

#[test]
fn ringpop_reincarnates_if_it_hears_the_wrong_labels() {
    for n in sizes(2) {
        assert!(tell_itself(n, Labels::default(), hello()) > REAL_INCARNATION);
    }
}

#[test]
fn different_labels_should_be_accepted_on_a_state_override() {
    let other = labels(&[("foo", "baz")]);
    let order = [Alive, Suspect, Faulty, Leave, Tombstone];
    let pairs = order.iter().enumerate().flat_map(|(i, x)| order[i + 1..].iter().map(|y| (*x, *y)));
    let pairs: Vec<(Status, Status)> = pairs.collect();
    assert_eq!(pairs.len(), 10);
    for n in sizes(2) {
        for (x, y) in &pairs {
            // Whatever the order of the labels, the status decides.
            for (first, second) in [(&hello(), &other), (&other, &hello())] {
                let mut suite = Suite::prepare(n);
                // An unknown incarnation, so that a tombstone overrides, too.
                tell(&mut suite, 0, labelled(1, *x, INCARNATION + 1, first));
                tell(&mut suite, 0, labelled(1, *y, INCARNATION + 1, second));
                let known = suite.member(1).unwrap();
                assert_eq!((known.status, &known.labels), (*y, second), "from {x} to {y}");
                suite.finish();
            }
        }
    }
}
