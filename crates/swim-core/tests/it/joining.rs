//! Joining members.

use std::time::Duration;

use swim_core::{Body, Config, Event, JoinFailure, Labels, Refusal, State, Status};

use crate::support::{Cluster, address, change, lan, message, ms, secs};

/// The news of a member that joined are worn out after 15 sends, in 1.6 s; whom
/// they have missed syncs with the next ping.
#[test]
fn members_that_start_together_agree_within_three_seconds() {
    for n in [2, 3, 5, 10, 30] {
        let mut cluster = Cluster::new(lan());
        (0..n).for_each(|i| cluster.start(i, 0..n));
        let took = cluster.until("one checksum", secs(3), |c| c.agree(n));
        assert!(took > Duration::ZERO);
    }
}

#[test]
fn a_member_without_peers_is_a_cluster_of_its_own_and_says_so() {
    let mut cluster = Cluster::new(lan());
    cluster.start(0, [0]);
    let event = cluster.events(0).next().unwrap().clone();
    let Event::JoinComplete { joined, members, .. } = event else { panic!("{event:?}") };
    assert!(joined.is_empty());
    assert_eq!(members, 1);
    cluster.run_for(secs(60));
    assert!(cluster.sent().is_empty(), "there is nobody to talk to");
}

/// ringpop-go#65, ringpop-node#217.
#[test]
fn a_join_request_does_not_add_the_joiner() {
    let mut cluster = Cluster::joined(lan(), 3);
    let ghost = address(9);
    cluster.inject(0, message(&ghost, 1, 77, Body::Join { cursor: None, nonce: 0 }));
    cluster.run_for(secs(1));
    assert_eq!(cluster.status(0, 9), None);
    let replies = cluster.replies(0, &ghost, 77);
    let [Body::JoinAck { changes, next: None, .. }] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(changes.len(), 3);
}

#[test]
fn a_member_that_has_not_joined_answers_joins_and_refuses_the_rest() {
    let mut cluster = Cluster::new(lan());
    cluster.start_as(0, "app", Labels::default());
    cluster.inject(0, message(&address(1), 1, 1, Body::Join { cursor: None, nonce: 0 }));
    assert!(matches!(cluster.replies(0, &address(1), 1)[..], [Body::JoinAck { .. }]));
    cluster.inject(0, message(&address(1), 1, 2, Body::Ping { checksum: 0, changes: vec![] }));
    let replies = cluster.replies(0, &address(1), 2);
    assert_eq!(replies, [Body::Refused { reason: Refusal::NotReady }]);
    assert_eq!(cluster.node(0).stats().rejected_not_ready, 1);
}

#[test]
fn the_join_list_is_not_spread_only_the_joiner_is() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.run_for(secs(30));
    assert!((0..5).all(|i| cluster.node(i).pending_changes() == 0));
    cluster.start(5, 0..5);
    cluster.until("joined", secs(5), |c| c.node(5).state() == State::Ready);
    assert_eq!(cluster.node(5).pending_changes(), 1);
}

#[test]
fn a_join_goes_on_until_a_peer_appears() {
    let mut cluster = Cluster::new(lan());
    cluster.start(0, [0, 1]);
    cluster.run_for(secs(20));
    assert_eq!(cluster.node(0).state(), State::Joining);
    let retries = cluster
        .events(0)
        .filter(|e| {
            let failure = JoinFailure::Timeout { peer: address(1) };
            matches!(e, Event::JoinRetrying { failure: f, .. } if *f == failure)
        })
        .count();
    assert!(retries >= 4, "{retries} retries");
    cluster.start(1, [0, 1]);
    cluster.until("both", secs(10), |c| c.agree(2));
}

/// A restarted process whose clock is behind: the others remember its address as faulty
/// at a higher incarnation. Their lists come too late for the join requests, but are
/// applied. A joining member refuses the pings of others, so that none can reach it: it
/// refutes at once instead of taking itself for unreachable (seed 4001404 of the
/// simulator).
#[test]
fn a_member_declared_faulty_while_it_joins_refutes() {
    let mut cluster = Cluster::joined(lan(), 4);
    cluster.run_for(secs(10));
    cluster.crash(3);
    cluster.until("faulty", secs(60), |c| c.all_say(3, Status::Faulty));
    let known = cluster.member(0, 3).unwrap().incarnation;
    cluster.unix_ms -= 3_600_000;
    // An answer takes 1.2 s, and `join_timeout` is 1 s.
    cluster.set_latency(ms(600));
    cluster.start(3, 0..3);
    cluster.until("late lists", secs(30), |c| c.node(3).stats().late_answers > 0);
    assert_eq!(cluster.node(3).state(), State::Joining);
    assert_eq!(cluster.node(3).local().status, Status::Alive);
    assert!(cluster.node(3).local().incarnation > known);
    assert_eq!(cluster.node(3).stats().refuted, 1);
    cluster.set_latency(ms(1));
    cluster.until("back", secs(60), |c| c.agree(4));
    assert!(!cluster.events(3).any(|event| matches!(event, Event::Unreachable { .. })));
}

/// Discovery is read after a pause; a peer that it lists for the first time
/// does not wait for the end of the next one.
#[test]
fn a_peer_that_is_listed_while_a_join_pauses_is_asked_at_once() {
    let mut cluster = Cluster::new(lan());
    cluster.start(1, [1]);
    cluster.start(0, [2]);
    let retries =
        |c: &Cluster| c.events(0).filter(|e| matches!(e, Event::JoinRetrying { .. })).count();
    cluster.until("long pauses", secs(100), |c| retries(c) == 6);
    cluster.forget_traffic();
    cluster.command(0, |node, now| node.join(now, vec![address(1), address(2)])).unwrap();
    let asked: Vec<_> = cluster.sent().iter().map(|(_, t)| t.to.clone()).collect();
    assert_eq!(asked, [address(1)], "the new peer, and not the old one out of turn");
    cluster.until("both", secs(1), |c| c.agree(2));
}

#[test]
fn a_failed_join_names_each_peer_and_what_the_transport_said() {
    let mut cluster = Cluster::new(lan());
    cluster.start(0, [1, 2]);
    let asked: Vec<_> = cluster.sent().iter().map(|(_, t)| (t.to.clone(), t.message.seq)).collect();
    assert_eq!(asked.len(), 2);
    let long = "\u{e9}".repeat(4096);
    for (peer, seq) in &asked {
        let cause = if *peer == address(1) { "wrong certificate" } else { &long };
        cluster.command(0, |node, now| node.handle_undelivered_because(now, *seq, cause));
    }
    let failures = cluster.events(0).find_map(|event| match event {
        Event::JoinRetrying { failures, .. } => Some(failures.clone()),
        _ => None,
    });
    let failures = failures.expect("the round is over");
    let of = |peer| failures.iter().find(|f| *f.peer() == address(peer)).unwrap().to_string();
    assert_eq!(of(1), format!("{} could not be reached: wrong certificate", address(1)));
    assert!(of(2).len() < 600 && of(2).ends_with('\u{e9}'), "a long text is cut: {}", of(2));
}

#[test]
fn a_join_that_takes_too_long_fails_and_may_be_repeated() {
    let mut cluster = Cluster::new(lan());
    cluster.start(0, [1]);
    cluster.run_for(secs(121));
    assert_eq!(cluster.node(0).state(), State::Idle);
    let failed =
        |e: &Event| matches!(e, Event::JoinFailed { failure: JoinFailure::Timeout { .. }, .. });
    assert!(cluster.events(0).any(failed));
    cluster.start(1, [1]);
    cluster.command(0, |node, now| node.join(now, vec![address(1)])).unwrap();
    cluster.until("both", secs(10), |c| c.agree(2));
}

#[test]
fn dead_peers_do_not_keep_a_member_from_joining() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.start(2, [0, 1, 7, 8, 9]);
    cluster.until("three agree", secs(5), |c| c.agree(3));
}

#[test]
fn new_peers_may_be_given_while_joining() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.start(5, [9]);
    cluster.run_for(secs(3));
    cluster.command(5, |node, now| node.join(now, vec![address(0)])).unwrap();
    cluster.until("three agree", secs(10), |c| c.agree(3));
}

#[test]
fn a_large_list_is_joined_page_by_page() {
    let config = Config::builder().message_bytes_max(512).build().unwrap();
    let mut cluster = Cluster::joined(config, 40);
    let joins = |c: &Cluster| {
        let is_join = |body: &Body| matches!(body, Body::Join { .. });
        c.sent().iter().filter(|(_, t)| is_join(&t.message.body)).count()
    };
    cluster.forget_traffic();
    cluster.start(40, [0]);
    cluster.until("joined", secs(5), |c| c.node(40).state() == State::Ready);
    assert!(joins(&cluster) > 2, "several pages");
    assert_eq!(cluster.node(40).len(), 41);
    for (_, transmit) in cluster.sent() {
        if let Body::JoinAck { changes, .. } = &transmit.message.body {
            let bytes: usize = changes.iter().map(swim_core::Change::encoded_len).sum();
            assert!(bytes <= 512, "{bytes}");
        }
    }
}

/// However large messages may be, they hold no more changes than receivers
/// take.
#[test]
fn a_page_holds_no_more_changes_than_are_accepted() {
    let config = Config::builder().message_bytes_max(16 << 20).build().unwrap();
    let mut cluster = Cluster::joined(config, 2);
    for (seq, first) in (1..).zip((0..6000).step_by(3000)) {
        let changes = (first..first + 3000).map(|i| change(1000 + i, Status::Faulty, 1)).collect();
        cluster.inject(0, message(&address(9), 1, seq, Body::Ping { checksum: 0, changes }));
    }
    cluster.start(2, [0]);
    cluster.until("all know all", secs(20), |c| (0..3).all(|i| c.node(i).len() == 6003));
    assert!((0..3).all(|i| cluster.node(i).stats().rejected_invalid == 0));
}
