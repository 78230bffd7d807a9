//! `ping-req-tests.js`

use std::time::Duration;

use swim_core::Status::{Alive, Faulty, Suspect};

use super::fakes::{INCARNATION, fake, member, said, sizes};
use super::suite::{Sent, Suite};

#[test]
fn ping_req_real_node_with_a_disabled_target() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        suite.stop_answering_pings();
        let seq = suite.ping_req(0, 1, Vec::new());
        let (reached, _) = suite.ping_req_answer(seq);
        assert!(!reached);
        // A helper suspects nobody.
        suite.assert_counts(&[(Alive, n + 1)]);
        suite.finish();
    }
}

#[test]
fn ping_req_real_node_with_enabled_target() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        let seq = suite.ping_req(0, 1, Vec::new());
        let (reached, _) = suite.ping_req_answer(seq);
        assert!(reached);
        suite.assert_counts(&[(Alive, n + 1)]);
        suite.finish();
    }
}

/// A cluster with fewer than three others to ask has fewer ping-reqs.
#[test]
fn become_suspect_through_disabling_ping_response() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        suite.fakes[1].up = false;
        suite.next(Sent::is_ping_req);
        let ping_reqs = 1 + suite.take(Sent::is_ping_req).len();
        assert_eq!(ping_reqs, 3.min(n - 1));
        suite.run_for(Duration::from_millis(100));
        assert_eq!(suite.status(1), Some(Suspect));
        suite.assert_counts(&[(Alive, n), (Suspect, 1)]);
        suite.finish();
    }
}

#[test]
fn five_second_suspect_to_faulty_window() {
    for n in sizes(2) {
        let mut suite = Suite::with_status(n, Suspect);
        let took = suite.until("faulty", |suite| suite.status(1) == Some(Faulty));
        assert_eq!(took, Duration::from_secs(5));
        suite.finish();
    }
}

#[test]
fn prepare_node_with_status_alive() {
    for n in sizes(2) {
        let suite = Suite::with_status(n, Alive);
        suite.assert_counts(&[(Alive, n + 1)]);
        suite.finish();
    }
}

#[test]
fn prepare_node_with_status_suspect() {
    for n in sizes(2) {
        let suite = Suite::with_status(n, Suspect);
        suite.assert_counts(&[(Alive, n), (Suspect, 1)]);
        suite.finish();
    }
}

#[test]
fn prepare_node_with_status_faulty() {
    for n in sizes(2) {
        let suite = Suite::with_status(n, Faulty);
        suite.assert_counts(&[(Alive, n), (Faulty, 1)]);
        suite.finish();
    }
}

#[test]
fn change_nodes_status_to_suspect_piggybacked_on_a_ping_req() {
    for n in sizes(3) {
        let mut suite = Suite::prepare(n);
        let change = said(0, member(fake(2), Suspect, INCARNATION));
        let seq = suite.ping_req(0, 1, vec![change]);
        let (reached, _) = suite.ping_req_answer(seq);
        assert!(reached);
        assert_eq!(suite.status(2), Some(Suspect));
        suite.assert_counts(&[(Alive, n), (Suspect, 1)]);
        suite.finish();
    }
}
