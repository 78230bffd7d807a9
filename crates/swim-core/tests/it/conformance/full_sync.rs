//! `bidir-full-sync-tests.js`, and the rest of what Ringpop says about full
//! syncs.

use std::time::Duration;

use swim_core::Status::{Alive, Faulty};
use swim_core::{Body, Event};

use super::fakes::{INCARNATION, fake, member, nobody, sizes};
use super::suite::{Sent, Suite, checksum_of};

#[test]
fn bidirectional_full_sync_test() {
    for n in sizes(5) {
        let mut suite = Suite::prepare(n);
        suite.drain();
        let gone: Vec<_> = (n - 3..n).map(|i| member(fake(i), Faulty, INCARNATION)).collect();
        suite.list_all(&gone);
        let theirs = suite.fakes[0].list.iter().cloned().chain([suite.sut.local().clone()]);
        let checksum = checksum_of(theirs);
        let answer = suite.ping_with_checksum(0, checksum, Vec::new());
        assert_eq!(answer.len(), n + 1, "the whole list");
        // Ringpop names the sender of a list as the source of everything in it.
        assert!(answer.iter().all(|change| change.source.is_none()));
        let joins = suite.take(Sent::is_join);
        assert_eq!(joins.iter().map(|join| &join.to).collect::<Vec<_>>(), [&fake(0)]);
        suite.run_for(Duration::from_millis(10));
        suite.assert_counts(&[(Alive, n + 1 - 3), (Faulty, 3)]);
        assert_eq!(suite.sut.checksum(), checksum);
        // Unlike at a join, what came is spread.
        assert_eq!(suite.sut.pending_changes(), 3);
        let ended = Event::SyncEnded { peer: fake(0), applied: 3, complete: true };
        assert!(suite.events.contains(&ended));
        suite.finish();
    }
}

#[test]
fn bidirectional_full_sync_throttling_test() {
    for n in sizes(3) {
        let mut suite = Suite::prepare(n);
        suite.drain();
        suite.hold_joins();
        let pings = 6.max(2 * n);
        for i in 0..pings {
            suite.ping_with_checksum(i % n, 1, Vec::new());
        }
        assert_eq!(suite.take(Sent::is_join).len(), 5);
        assert_eq!(suite.sut.stats().syncs_omitted, pings as u64 - 5);
        suite.run_for(Duration::from_millis(500));
        assert_eq!(suite.release_joins(), 5);
        suite.run_for(Duration::from_millis(10));
        assert_eq!(suite.sut.stats().syncs_completed, 5);
        suite.assert_counts(&[(Alive, n + 1)]);
        suite.ping_with_checksum(0, 1, Vec::new());
        assert_eq!(suite.take(Sent::is_join).len(), 1, "there is room again");
        suite.run_for(Duration::from_secs(2));
        suite.finish();
    }
}

/// ringpop-go, `TestRedundantFullSync`, `TestReverseFullSyncJoinFailure`.
#[test]
fn a_reverse_full_sync_may_bring_nothing_or_fail() {
    let mut suite = Suite::prepare(3);
    suite.drain();
    suite.ping_with_checksum(0, 1, Vec::new());
    suite.run_for(Duration::from_millis(10));
    let redundant = Event::SyncEnded { peer: fake(0), applied: 0, complete: true };
    assert!(suite.events.contains(&redundant));
    suite.fakes[1].up = false;
    suite.ping_with_checksum(1, 1, Vec::new());
    suite.run_for(Duration::from_millis(10));
    suite.fakes[2].holds_joins = true;
    suite.ping_with_checksum(2, 1, Vec::new());
    suite.run_for(Duration::from_millis(1010));
    for i in [1, 2] {
        let failed = Event::SyncEnded { peer: fake(i), applied: 0, complete: false };
        assert!(suite.events.contains(&failed), "with {i}");
    }
    assert_eq!(suite.take(Sent::is_join).len(), 3);
    suite.finish();
}

/// ringpop-go asks for the other list in the handler of pings only.
#[test]
fn the_answer_to_a_ping_req_may_be_a_full_sync_but_without_the_reverse() {
    for n in sizes(2) {
        let mut suite = Suite::prepare(n);
        suite.drain();
        let body = Body::PingReq { target: fake(1), checksum: 1, changes: Vec::new() };
        let seq = suite.request(&fake(0), body);
        let (reached, changes) = suite.ping_req_answer(seq);
        assert!(reached);
        assert_eq!(changes.len(), n + 1);
        assert!(suite.take(Sent::is_join).is_empty());
        suite.finish();
    }
}

/// ringpop-go, `IssueChangesAsReceiver`: changes are filtered before the
/// checksums are compared, and compared after what came was applied.
#[test]
fn changes_that_all_come_from_the_pinger_do_not_prevent_a_full_sync() {
    let mut suite = Suite::prepare(3);
    suite.drain();
    suite.tell(0, 1, Faulty, INCARNATION);
    assert!(suite.take(Sent::is_join).is_empty(), "the checksums agree after the change");
    assert!(suite.ping(0, Vec::new()).is_empty(), "they agree");
    assert_eq!(suite.ping_with_checksum(0, 1, Vec::new()).len(), 4, "they differ");
    assert_eq!(suite.take(Sent::is_join).len(), 1);
    assert_eq!(suite.ping_with_checksum(2, 1, Vec::new()).len(), 1, "there is something to say");
    assert!(suite.take(Sent::is_join).is_empty());
    suite.finish();
}

/// The list in an answer is bounded like any message; what does not fit comes
/// with later answers.
#[test]
fn a_list_that_is_too_long_is_sent_in_parts() {
    let mut suite = Suite::prepare(1);
    suite.drain();
    let many: Vec<_> = (0..3000)
        .map(|i| member(format!("10.1.{}.{}:80", i / 250, i % 250).parse().unwrap(), Faulty, 1))
        .collect();
    suite.list_all(&many);
    suite.ping_with_checksum(0, 1, Vec::new());
    suite.run_for(Duration::from_millis(10));
    assert_eq!(suite.take(Sent::is_join).len(), 1);
    assert_eq!(suite.sut.len(), 3002);
    suite.command(swim_core::Node::pause);
    // Spread it all, so that there is nothing left to say but the list.
    while suite.sut.pending_changes() > 0 {
        let unknown = suite.request(&nobody(), Body::Ping { checksum: 0, changes: Vec::new() });
        assert!(suite.answer(unknown).is_some());
    }
    let bytes_max = suite.sut.config().message_bytes_max();
    let mut seen = std::collections::BTreeSet::new();
    let mut answers = 0;
    while seen.len() < 3002 {
        answers += 1;
        assert!(answers < 200, "{} of 3002 after {answers} answers", seen.len());
        let seq = suite.request(&nobody(), Body::Ping { checksum: 0, changes: Vec::new() });
        let Some(Body::Ack { changes, .. }) = suite.answer(seq) else { panic!() };
        let bytes: usize = changes.iter().map(swim_core::Change::encoded_len).sum();
        assert!(bytes <= bytes_max, "{bytes}");
        seen.extend(changes.iter().map(|change| change.member.address.clone()));
    }
}
