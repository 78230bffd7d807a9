//! `piggyback-tests.js`

use swim_core::Change;
use swim_core::Status::{Alive, Suspect};

use super::fakes::{INCARNATION, fake, member, said, sizes};
use super::suite::{Sent, Suite};

/// Fake 0's change that fake 1 is suspect.
fn suspicion() -> Change {
    said(0, member(fake(1), Suspect, INCARNATION))
}

fn drained(n: usize) -> Suite {
    let mut suite = Suite::prepare(n);
    suite.drain();
    suite
}

/// The next ping to each of the fakes.
fn next_ping_to_each(suite: &mut Suite, n: usize) -> Vec<Sent> {
    (0..n).map(|i| suite.next_ping(|ping| ping.to == fake(i))).collect()
}

#[test]
fn ringpop_sends_piggyback_info_in_ping_request() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.ping(0, vec![suspicion()]);
        let ping = suite.next_ping(|_| true);
        assert_eq!(ping.changes(), [suspicion()]);
        suite.finish();
    }
}

/// Ringpop leaves a change out of answers to its source, but not out of
/// requests: who waits for the next ping of a member must not depend on whom it
/// goes to.
#[test]
fn requests_repeat_a_change_to_its_source_and_answers_do_not() {
    let mut suite = drained(3);
    suite.ping(0, vec![suspicion()]);
    for ping in next_ping_to_each(&mut suite, 3) {
        assert_eq!(ping.changes(), [suspicion()], "to {}", ping.to);
    }
    assert!(suite.ping(0, Vec::new()).is_empty());
    suite.stop_answering_pings();
    let ping_req = suite.next(|sent| sent.is_ping_req() && sent.to == fake(0));
    assert!(ping_req.changes().contains(&suspicion()));
}

#[test]
fn ringpop_updates_its_dissimination_list_on_pingreq() {
    for n in sizes(3) {
        let mut suite = drained(n);
        suite.ping_req(0, 1, vec![suspicion()]);
        let ping = suite.next_ping(|_| true);
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
        let ping = suite.next_ping(|_| true);
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
        let ping_req = suite.next(Sent::is_ping_req);
        assert_eq!(ping_req.changes(), [suspicion()]);
        suite.finish();
    }
}
