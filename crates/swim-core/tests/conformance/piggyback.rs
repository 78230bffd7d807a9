//! `piggyback-tests.js`

use swim_core::Status::{Alive, Suspect};
use swim_core::{Address, Change};

use crate::fakes::{INCARNATION, fake, member, said, sizes};
use crate::suite::{Sent, Suite};

/// Fake 0's statement that fake 1 is suspect.
fn suspicion() -> Change {
    said(0, member(fake(1), Suspect, INCARNATION))
}

fn drained(n: usize) -> Suite {
    let mut suite = Suite::prepare(n);
    suite.drain();
    suite
}

/// A change does not go back to its source, on requests neither.
fn not_to_its_source(to: &Address) -> bool {
    *to != fake(0)
}

#[test]
fn ringpop_sends_piggyback_info_in_ping_request() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.ping(0, vec![suspicion()]);
        let ping = suite.next_ping(|ping| not_to_its_source(&ping.to));
        assert_eq!(ping.changes(), [suspicion()]);
        suite.finish();
    }
}

#[test]
fn ringpop_updates_its_dissimination_list_on_pingreq() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.ping_req(0, 1, vec![suspicion()]);
        let ping = suite.next_ping(|ping| not_to_its_source(&ping.to));
        assert_eq!(ping.changes(), [suspicion()]);
        suite.finish();
    }
}

#[test]
fn ringpop_sends_piggyback_info_in_ping_req_response() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.ping(0, vec![suspicion()]);
        let seq = suite.ping_req(1, 2, Vec::new());
        assert_eq!(suite.ping_req_answer(seq), (true, vec![suspicion()]));
        suite.finish();
    }
}

#[test]
fn ringpop_piggybacking_decays() {
    // With 30 it takes longer than the suspicion until the suspect is pinged.
    for n in sizes(3).filter(|n| *n < 30) {
        let mut suite = drained(n);
        suite.ping(0, vec![suspicion()]);
        assert_eq!(suite.sut.pending_changes(), 1);
        // Before the suspect becomes faulty, which is another change.
        for _ in 0..30 {
            suite.ping(2, Vec::new());
        }
        suite.drain();
        // Without Lifeguard's buddy system not even the suspect hears more.
        assert_eq!(suite.status(1), Some(Suspect));
        let ping = suite.next_ping(|ping| ping.to == fake(1));
        assert!(ping.changes().is_empty());
        suite.finish();
    }
}

#[test]
fn ringpop_piggybacking_should_ignore_updates_when_it_already_knows_about() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.tell(0, 1, Alive, INCARNATION);
        let ping = suite.next_ping(|ping| not_to_its_source(&ping.to));
        assert!(ping.changes().is_empty());
        suite.finish();
    }
}

#[test]
fn ringpop_sends_piggyback_info_in_ping_response() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.ping(0, vec![suspicion()]);
        assert_eq!(suite.ping(2, Vec::new()), [suspicion()]);
        suite.finish();
    }
}

#[test]
fn ringpop_sends_piggyback_info_in_ping_req_request() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.stop_answering_pings();
        suite.ping(0, vec![suspicion()]);
        let ping_req = suite.next(|sent: &Sent| sent.is_ping_req() && not_to_its_source(&sent.to));
        assert_eq!(ping_req.changes(), [suspicion()]);
        suite.finish();
    }
}
