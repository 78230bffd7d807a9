//! `self-eviction-tests.js`

use std::collections::BTreeSet;

use swim_core::Status::Faulty;
use swim_core::{Event, Node, State};

use super::fakes::{real, sizes};
use super::suite::{Sent, Suite};

/// Evicts a member that does not probe; gives its pings.
fn evicted(suite: &mut Suite) -> Vec<Sent> {
    suite.command(Node::pause);
    suite.forget_probes();
    suite.command(Node::evict_self).unwrap();
    let ended = |event: &Event| matches!(event, Event::LeaveComplete { .. });
    suite.until("it is over", |suite| suite.events.iter().any(ended));
    assert_eq!(suite.sut.state(), State::Left);
    assert_eq!(suite.sut.local().status, Faulty);
    suite.take(Sent::is_ping)
}

#[test]
fn self_eviction_changes_state_to_faulty_and_pings_members() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        let pings = evicted(&mut suite);
        assert_eq!(pings.len(), (4 * n).div_ceil(10), "40 % of {n}");
        let receivers: BTreeSet<_> = pings.iter().map(|ping| &ping.to).collect();
        assert_eq!(receivers.len(), pings.len());
        for ping in &pings {
            let [change] = ping.changes() else { panic!("exactly one change: {ping:?}") };
            assert_eq!(change.member, *suite.sut.local());
            assert_eq!(change.source.as_ref().unwrap().address, real());
        }
        suite.finish();
    }
}

/// ringpop-go: as many as the change is sent, at most.
#[test]
fn no_more_pings_than_the_change_is_sent() {
    let mut suite = Suite::prepare(90);
    assert_eq!(evicted(&mut suite).len(), 30);
    suite.finish();
}

/// ringpop-go, `InvokedTwice_AfterCompleted`.
#[test]
fn a_second_self_eviction_is_refused() {
    let mut suite = Suite::prepare(2);
    evicted(&mut suite);
    assert!(suite.command(Node::evict_self).is_err());
    assert!(suite.take(Sent::is_ping).is_empty());
    suite.finish();
}

/// Nobody to tell is no reason to wait.
#[test]
fn self_eviction_completes_when_all_others_are_gone() {
    let mut suite = Suite::with_status(2, Faulty);
    suite.tell(1, 0, Faulty, super::fakes::INCARNATION);
    assert!(evicted(&mut suite).is_empty());
    suite.finish();
}
