//! `lookup-tests.js`. The machine has no ring; what a ring follows is which
//! members are reachable and what their identity is. These cases check that
//! the events say so. The lookups themselves are tests of the ring.

use std::collections::BTreeMap;

use swim_core::Address;
use swim_core::Status::{Alive, Faulty, Leave, Suspect, Tombstone};

use super::fakes::{INCARNATION, fake, real, sizes};
use super::suite::Suite;

/// The real member and these fakes, each at its address.
fn placed(fakes: impl Iterator<Item = usize>) -> BTreeMap<Address, String> {
    let addresses = fakes.map(fake).chain([real()]);
    addresses.map(|address| (address.clone(), address.to_string())).collect()
}

/// The ring after fake 1 is given a status.
fn ring_with(n: usize, status: swim_core::Status) -> BTreeMap<Address, String> {
    let suite = Suite::with_status(n, status);
    let ring = suite.ring();
    suite.finish();
    ring
}

#[test]
fn ringpop_full_lookup_returns_correct_values() {
    for n in sizes(1) {
        let suite = Suite::prepare(n);
        assert_eq!(suite.ring(), placed(0..n));
        suite.finish();
    }
}

#[test]
fn ringpop_lookup_of_faulty_member_should_return_different_member() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        assert!(suite.ring().contains_key(&fake(1)));
        suite.tell(0, 1, Faulty, INCARNATION);
        assert_eq!(suite.ring(), placed((0..n).filter(|i| *i != 1)));
        // Back when it refutes.
        suite.tell(0, 1, Alive, INCARNATION + 1);
        assert_eq!(suite.ring(), placed(0..n));
        suite.finish();
    }
}

#[test]
fn ringpop_lookup_after_changing_status_to_suspect_is_correct() {
    for n in sizes(2) {
        assert_eq!(ring_with(n, Suspect), placed(0..n));
    }
}

#[test]
fn ringpop_lookup_after_changing_status_to_faulty_is_correct() {
    for n in sizes(2) {
        assert_eq!(ring_with(n, Faulty), placed((0..n).filter(|i| *i != 1)));
    }
}

#[test]
fn ringpop_lookup_after_changing_status_to_tombstone_is_correct() {
    for n in sizes(2) {
        assert_eq!(ring_with(n, Tombstone), placed((0..n).filter(|i| *i != 1)));
    }
}

#[test]
fn ringpop_lookup_after_changing_status_to_leave_is_correct() {
    for n in sizes(2) {
        assert_eq!(ring_with(n, Leave), placed((0..n).filter(|i| *i != 1)));
    }
}
