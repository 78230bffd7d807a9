//! The protocol as stories on a jumping clock.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on panics")]

mod support;

use std::time::Duration;

use support::{Cluster, address, change, message, ms, secs};
use swim_core::limits::{JOIN_PEERS_MAX, PUBLIC_LABELS_MAX};
use swim_core::{
    Body, Cause, Config, Event, JoinFailure, Labels, Refusal, Rejection, State, Status,
};

fn lan() -> Config {
    Config::lan()
}

// --- Joining ---

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
    assert!(cluster.sent.is_empty(), "there is nobody to talk to");
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
    let asked: Vec<_> = cluster.sent.iter().map(|(_, t)| t.to.clone()).collect();
    assert_eq!(asked, [address(1)], "the new peer, and not the old one out of turn");
    cluster.until("both", secs(1), |c| c.agree(2));
}

#[test]
fn a_failed_join_names_each_peer_and_what_the_transport_said() {
    let mut cluster = Cluster::new(lan());
    cluster.start(0, [1, 2]);
    let asked: Vec<_> = cluster.sent.iter().map(|(_, t)| (t.to.clone(), t.message.seq)).collect();
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
        c.sent.iter().filter(|(_, t)| is_join(&t.message.body)).count()
    };
    cluster.forget_traffic();
    cluster.start(40, [0]);
    cluster.until("joined", secs(5), |c| c.node(40).state() == State::Ready);
    assert!(joins(&cluster) > 2, "several pages");
    assert_eq!(cluster.node(40).len(), 41);
    for (_, transmit) in &cluster.sent {
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

// --- Failure detection ---

#[test]
fn a_crashed_member_becomes_suspect_then_faulty_everywhere() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.crash(4);
    cluster.until("suspect", secs(5), |c| c.status(0, 4) == Some(Status::Suspect));
    cluster.until("faulty everywhere", secs(10), |c| c.all_say(4, Status::Faulty));
    for observer in 0..4 {
        let history = cluster.history(observer, 4);
        assert_eq!(
            history[history.len() - 2..],
            [Some(Status::Suspect), Some(Status::Faulty)],
            "as {observer} saw it"
        );
    }
}

#[test]
fn an_undelivered_ping_is_followed_up_without_waiting() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.forget_traffic();
    let own_ping = |c: &Cluster| {
        let is_own = |t: &swim_core::Transmit| {
            t.message.from == address(0) && matches!(t.message.body, Body::Ping { .. })
        };
        c.sent.iter().map(|(_, t)| t).find(|t| is_own(t)).cloned()
    };
    cluster.until("a ping", secs(1), |c| own_ping(c).is_some());
    let ping = own_ping(&cluster).unwrap();
    cluster.forget_traffic();
    cluster.command(0, |node, now| {
        node.handle_undelivered(now, ping.message.seq);
    });
    let helper = &cluster.sent[0].1;
    assert!(matches!(&helper.message.body, Body::PingReq { target, .. } if *target == ping.to));
}

#[test]
fn helpers_keep_a_member_alive_whose_link_to_one_other_is_broken() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.cut(&[0], &[1]);
    cluster.run_for(secs(60));
    assert!(cluster.agree(5));
    assert_eq!(cluster.node(0).stats().probes_failed, 0);
    assert!(cluster.node(0).stats().ping_reqs_sent > 0);
}

#[test]
fn a_helper_does_not_suspect_the_target() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.crash(1);
    let body = Body::PingReq { target: address(1), checksum: 0, changes: vec![] };
    // Only the asked ping is looked at: no probe of its own reaches its end.
    cluster.inject(0, message(&address(2), 1, 500, body));
    cluster.run_for(ms(510));
    let replies = cluster.replies(0, &address(2), 500);
    assert!(matches!(&replies[..], [Body::PingReqAck { reached: false, .. }]), "{replies:?}");
    assert_eq!(cluster.status(0, 1), Some(Status::Alive));
}

#[test]
fn a_suspect_that_lives_refutes_with_a_higher_incarnation() {
    let mut cluster = Cluster::joined(lan(), 3);
    let before = cluster.node(1).local().incarnation;
    let suspect = vec![change(1, Status::Suspect, before)];
    let body = Body::Ping { checksum: 0, changes: suspect };
    cluster.inject(0, message(&address(9), 1, 1, body));
    assert_eq!(cluster.status(0, 1), Some(Status::Suspect));
    cluster.until("refuted", secs(3), |c| c.agree(3));
    assert!(cluster.node(1).local().incarnation > before);
    assert_eq!(cluster.node(1).stats().refuted, 1);
    assert!(cluster.events(1).any(|e| matches!(e, Event::Refuted { .. })));
}

/// ringpop-go takes the wall clock alone and cannot refute here
/// (ringpop-go#163).
#[test]
fn a_member_whose_clock_is_behind_can_refute() {
    let mut cluster = Cluster::joined(lan(), 3);
    let future = cluster.node(1).local().incarnation + 1_000_000_000;
    let body = Body::Ping { checksum: 0, changes: vec![change(1, Status::Faulty, future)] };
    cluster.inject(0, message(&address(9), 1, 1, body));
    cluster.until("refuted", secs(5), |c| c.node(1).local().incarnation == future + 1);
    cluster.until("one view", secs(5), |c| c.agree(3));
}

/// ringpop-go keeps the timer of the older incarnation, which then fires in
/// vain.
#[test]
fn a_newer_suspicion_gets_its_own_deadline() {
    let mut cluster = Cluster::joined(lan(), 2);
    let known = cluster.member(0, 1).unwrap().incarnation;
    cluster.cut(&[0], &[1]);
    let tell = |cluster: &mut Cluster, seq, change| {
        let body = Body::Ping { checksum: 0, changes: vec![change] };
        cluster.inject(0, message(&address(9), 1, seq, body));
    };
    tell(&mut cluster, 1, change(1, Status::Suspect, known));
    cluster.run_for(secs(3));
    tell(&mut cluster, 2, change(1, Status::Suspect, known + 5));
    cluster.run_for(ms(3900));
    assert_eq!(cluster.status(0, 1), Some(Status::Suspect), "the former deadline is void");
    cluster.run_for(ms(200));
    assert_eq!(cluster.status(0, 1), Some(Status::Faulty));
}

#[test]
fn when_no_helper_answers_the_first_probe_tells_nothing() {
    let mut cluster = Cluster::joined(lan(), 6);
    cluster.cut(&[0], &[1, 2, 3, 4, 5]);
    let inconclusive =
        |e: &Event| matches!(e, Event::ProbeFailed { conclusive: false, helpers: 3, .. });
    cluster.run_for(ms(2200));
    assert!(cluster.events(0).any(inconclusive));
    assert!((1..6).all(|i| cluster.status(0, i) == Some(Status::Alive)));
    // But a member that is alone finds out in the end. It takes long, because
    // nobody confirms and it mistrusts itself.
    cluster.until("alone", secs(300), |c| (1..6).all(|i| c.status(0, i) == Some(Status::Faulty)));
}

#[test]
fn two_members_need_no_helper() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.crash(1);
    cluster.until("faulty", secs(6), |c| c.status(0, 1) == Some(Status::Faulty));
}

#[test]
fn loss_alone_makes_nobody_faulty() {
    let mut cluster = Cluster::joined(lan(), 20);
    cluster.loss = 50;
    cluster.run_for(secs(120));
    for observer in 0..20 {
        for subject in 0..20 {
            assert!(
                !cluster.history(observer, subject).contains(&Some(Status::Faulty)),
                "{observer} took {subject} for faulty"
            );
        }
    }
    cluster.loss = 0;
    cluster.until("all agree again", secs(30), |c| c.agree(20));
}

#[test]
fn a_partition_splits_the_views() {
    let mut cluster = Cluster::joined(lan(), 6);
    cluster.cut(&[0, 1, 2], &[3, 4, 5]);
    cluster.until("both sides see three", secs(30), |c| {
        (0..6).all(|i| {
            let other_side = if i < 3 { 3..6 } else { 0..3 };
            other_side.into_iter().all(|j| c.status(i, j) == Some(Status::Faulty))
        })
    });
}

// --- Forgetting ---

#[test]
fn a_faulty_member_becomes_a_tombstone_and_is_forgotten() {
    let config = Config::builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 4);
    cluster.crash(3);
    cluster.until("faulty", secs(15), |c| c.all_say(3, Status::Faulty));
    cluster.until("tombstone", secs(15), |c| c.all_say(3, Status::Tombstone));
    let checksum = cluster.node(0).checksum();
    cluster.until("forgotten", secs(15), |c| (0..3).all(|i| c.status(i, 3).is_none()));
    assert_eq!(cluster.node(0).checksum(), checksum, "tombstones do not count");
    assert!((0..3).all(|i| cluster.node(i).stats().evicted == 1));
    cluster.run_for(secs(60));
    assert!((0..3).all(|i| cluster.status(i, 3).is_none()), "nobody brings it back");
}

#[test]
fn a_tombstone_of_an_unknown_member_is_ignored() {
    let mut cluster = Cluster::joined(lan(), 2);
    let body = Body::Ping { checksum: 0, changes: vec![change(9, Status::Tombstone, 5)] };
    cluster.inject(0, message(&address(8), 1, 1, body));
    assert_eq!(cluster.status(0, 9), None);
}

// --- Coming back ---

#[test]
fn a_restarted_process_at_the_same_address_is_alive_again() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.crash(2);
    cluster.until("faulty", secs(15), |c| c.all_say(2, Status::Faulty));
    cluster.start(2, 0..5);
    cluster.until("back", secs(3), |c| c.agree(5));
}

#[test]
fn a_process_that_restarts_with_a_lower_clock_is_alive_again() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.crash(2);
    cluster.until("faulty", secs(15), |c| c.all_say(2, Status::Faulty));
    cluster.unix_ms -= 3_600_000;
    cluster.start(2, 0..5);
    cluster.until("back", secs(3), |c| c.agree(5));
}

// --- Leaving ---

#[test]
fn a_member_that_leaves_is_gone_at_once_and_never_suspect() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.command(4, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(1), |c| c.node(4).state() == State::Left);
    // Each of those that were told has asked it once, which takes a round trip.
    cluster.until("all know", ms(10), |c| c.all_say(4, Status::Leave));
    let complete = Event::LeaveComplete { acknowledged: 4, told: 4 };
    assert!(cluster.events(4).any(|e| *e == complete));
    cluster.crash(4);
    cluster.run_for(secs(30));
    assert!(cluster.all_say(4, Status::Leave));
    for observer in 0..4 {
        assert!(!cluster.history(observer, 4).contains(&Some(Status::Suspect)));
    }
}

#[test]
fn a_member_that_left_refutes_as_one_that_left() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.command(2, |node, now| node.leave(now)).unwrap();
    cluster.run_for(secs(1));
    let incarnation = cluster.node(2).local().incarnation;
    let body = Body::Ping { checksum: 0, changes: vec![change(2, Status::Alive, incarnation + 1)] };
    cluster.inject(2, message(&address(0), 1, 1, body));
    assert_eq!(cluster.node(2).local().status, Status::Leave);
    assert!(cluster.node(2).local().incarnation > incarnation + 1);
}

#[test]
fn a_member_may_leave_and_join_again() {
    let mut cluster = Cluster::joined(lan(), 4);
    cluster.command(3, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(1), |c| c.node(3).state() == State::Left);
    cluster.command(3, |node, now| node.join(now, vec![address(0)])).unwrap();
    cluster.until("back", secs(3), |c| c.agree(4));
}

#[test]
fn a_member_that_left_and_stays_away_is_forgotten() {
    let config = Config::builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 3);
    cluster.command(2, |node, now| node.leave(now)).unwrap();
    cluster.run_for(secs(1));
    cluster.crash(2);
    cluster.until("forgotten", secs(30), |c| (0..2).all(|i| c.status(i, 2).is_none()));
}

#[test]
fn commands_out_of_order_are_refused() {
    let mut cluster = Cluster::joined(lan(), 2);
    assert!(cluster.command(0, |node, now| node.join(now, vec![])).is_err());
    cluster.command(0, |node, now| node.leave(now)).unwrap();
    assert!(cluster.command(0, |node, now| node.leave(now)).is_err());
    cluster.start_as(7, "app", Labels::default());
    assert!(cluster.command(7, |node, now| node.leave(now)).is_err());
}

// --- Full sync ---

#[test]
fn views_that_differ_without_gossip_are_synced_in_both_directions() {
    let config = lan().to_builder().sync_period(secs(86_400)).build().unwrap();
    let mut cluster = Cluster::joined(config, 8);
    cluster.run_for(secs(30));
    // Two members learn something that is not spread.
    for (observer, subject) in [(0, 20), (1, 21)] {
        let ack = Body::JoinAck {
            checksum: 0,
            changes: vec![change(subject, Status::Faulty, 1)],
            next: None,
        };
        learn_unspread(&mut cluster, observer, ack);
    }
    assert_ne!(cluster.node(0).checksum(), cluster.node(1).checksum());
    cluster.until("all know both", secs(20), |c| {
        (0..8).all(|i| c.status(i, 20).is_some() && c.status(i, 21).is_some())
    });
    cluster.until("quiet", secs(20), |c| (0..8).all(|i| c.node(i).pending_changes() == 0));
    assert!((0..8).map(|i| cluster.node(i).stats().syncs_completed).sum::<u64>() > 0);
    let started = |c: &Cluster| (0..8).map(|i| c.node(i).stats().syncs_started).sum::<u64>();
    let before = started(&cluster);
    cluster.run_for(secs(60));
    assert_eq!(started(&cluster), before, "no sync without a difference");
}

/// Lets a member leave and join a peer that answers with `ack`: a join list is
/// applied and not spread.
fn learn_unspread(cluster: &mut Cluster, observer: usize, ack: Body) {
    let liar = address(99);
    cluster.command(observer, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(1), |c| c.node(observer).state() == State::Left);
    cluster.command(observer, |node, now| node.join(now, vec![address(99)])).unwrap();
    let (_, join) = cluster
        .sent
        .iter()
        .rfind(|(_, t)| t.to == liar && matches!(t.message.body, Body::Join { .. }))
        .cloned()
        .unwrap();
    cluster.inject(observer, message(&liar, 1, join.message.seq, ack));
    assert_eq!(cluster.node(observer).state(), State::Ready);
}

#[test]
fn a_sync_moves_only_the_buckets_that_differ() {
    let mut cluster = Cluster::joined(lan(), 30);
    cluster.run_for(secs(60));
    let before: u64 = (0..30).map(|i| cluster.node(i).stats().changes_received).sum();
    let digests = vec![1, 0, 0, 0];
    let sync = Body::Sync(swim_core::SyncStep::Compare { digests });
    cluster.inject(0, message(&address(50), 1, 9, sync));
    let Body::SyncAck { differing, .. } = &cluster.replies(0, &address(50), 9)[0] else { panic!() };
    assert_eq!(*differing, [0, 1, 2, 3]);
    let after: u64 = (0..30).map(|i| cluster.node(i).stats().changes_received).sum();
    assert_eq!(before, after, "comparing applies nothing");
}

#[test]
fn a_long_sync_runs_page_by_page() {
    let config = Config::builder().message_bytes_max(512).build().unwrap();
    let mut cluster = Cluster::joined(config, 3);
    cluster.run_for(secs(20));
    let changes = (100..160).map(|i| change(i, Status::Faulty, 1)).collect();
    let ack = Body::JoinAck { checksum: 0, changes, next: None };
    learn_unspread(&mut cluster, 0, ack);
    cluster.forget_traffic();
    cluster.until("all know all", secs(20), |c| (0..3).all(|i| c.node(i).len() == 63));
    for (_, transmit) in &cluster.sent {
        if let Body::SyncAck { changes, .. } = &transmit.message.body {
            let bytes: usize = changes.iter().map(swim_core::Change::encoded_len).sum();
            assert!(bytes <= 512, "{bytes}");
        }
    }
}

#[test]
fn full_syncs_are_bounded() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.run_for(secs(20));
    for i in 0..20 {
        let body = Body::Ping { checksum: 12345, changes: vec![] };
        cluster.inject(0, message(&address(30 + i), 1, 1, body));
    }
    assert_eq!(cluster.node(0).stats().syncs_started, 5);
    assert_eq!(cluster.node(0).stats().syncs_omitted, 15);
}

// --- What must not happen ---

#[test]
fn members_of_another_application_are_refused_in_every_message() {
    let mut cluster = Cluster::joined(lan(), 2);
    let foreign = address(9);
    let bodies = [
        Body::Ping { checksum: 0, changes: vec![change(5, Status::Alive, 1)] },
        Body::PingReq { target: address(1), checksum: 0, changes: vec![] },
        Body::Join { cursor: None, nonce: 0 },
        Body::Sync(swim_core::SyncStep::Compare { digests: vec![0] }),
    ];
    for (seq, body) in (1..).zip(bodies) {
        let mut message = message(&foreign, 1, seq, body);
        message.app = "other".into();
        cluster.inject(0, message);
        let replies = cluster.replies(0, &foreign, seq);
        assert_eq!(replies, [Body::Refused { reason: Refusal::AppMismatch }]);
    }
    assert_eq!(cluster.node(0).stats().rejected_app, 4);
    assert_eq!(cluster.status(0, 5), None);
    let theirs = Rejection::AppMismatch { theirs: "other".into() };
    assert!(
        cluster
            .events(0)
            .any(|e| { matches!(e, Event::Rejected { reason, .. } if *reason == theirs) })
    );
}

#[test]
fn joining_another_application_fails_at_once_and_says_why() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.start_as(5, "other", Labels::default());
    cluster.command(5, |node, now| node.join(now, vec![address(0), address(1)])).unwrap();
    cluster.until("failed", secs(1), |c| c.node(5).state() == State::Idle);
    let refused = |e: &Event| {
        let Event::JoinFailed { failure: JoinFailure::OtherApp { theirs, .. }, .. } = e else {
            return false;
        };
        **theirs == *"app"
    };
    assert!(cluster.events(5).any(refused));
}

#[test]
fn messages_out_of_bounds_are_refused_and_change_nothing() {
    let mut cluster = Cluster::joined(lan(), 2);
    let checksum = cluster.node(0).checksum();
    let far = 2 * swim_core::limits::INCARNATION_AHEAD_MAX;
    let many = vec![change(5, Status::Alive, 1); swim_core::limits::CHANGES_PER_MESSAGE_MAX + 1];
    let ping = |changes| Body::Ping { checksum, changes };
    cluster.inject(0, message(&address(9), 1, 1, ping(vec![change(5, Status::Alive, far)])));
    cluster.inject(0, message(&address(9), 1, 2, ping(many)));
    cluster.inject(0, message(&address(9), far, 3, ping(vec![])));
    cluster.inject(0, message(&address(0), 1, 4, ping(vec![])));
    cluster.inject(0, message(&address(9), 1, 5, Body::Ack { checksum, changes: vec![] }));
    let unknown = Body::PingReq { target: address(77), checksum, changes: vec![] };
    cluster.inject(0, message(&address(9), 1, 6, unknown));
    for digests in [vec![], vec![0; 3], vec![0; 256]] {
        let sync = Body::Sync(swim_core::SyncStep::Compare { digests });
        cluster.inject(0, message(&address(9), 1, 7, sync));
    }
    let stats = cluster.node(0).stats();
    assert_eq!((stats.rejected_invalid, stats.rejected_self, stats.rejected_replies), (5, 1, 1));
    assert_eq!(stats.rejected_clock, 2);
    assert_eq!(cluster.node(0).checksum(), checksum);
}

#[test]
fn the_member_list_is_bounded() {
    let config = Config::builder().members_max(5).build().unwrap();
    let mut cluster = Cluster::joined(config, 3);
    let changes = (10..20).map(|i| change(i, Status::Faulty, 1)).collect();
    cluster.inject(0, message(&address(9), 1, 1, Body::Ping { checksum: 0, changes }));
    assert_eq!(cluster.node(0).len(), 5);
    assert_eq!(cluster.node(0).stats().rejected_members_full, 8);
}

/// Temporal's fork of ringpop-go: invalid labels neither erase known ones nor
/// hide a failure.
#[test]
fn labels_beyond_the_limits_are_dropped_and_the_status_counts() {
    let mut cluster = Cluster::joined(lan(), 3);
    let good = Labels::new([("zone", "a")]).unwrap();
    cluster.command(1, |node, now| node.set_labels(now, &good)).unwrap();
    cluster.until("seen", secs(3), |c| c.member(0, 1).unwrap().labels == good);
    let mut bad = change(1, Status::Suspect, cluster.member(0, 1).unwrap().incarnation);
    bad.member.labels =
        Labels::new((0..=PUBLIC_LABELS_MAX).map(|i| (format!("k{i}"), "v"))).unwrap();
    let body = Body::Ping { checksum: 0, changes: vec![bad] };
    cluster.inject(0, message(&address(9), 1, 1, body));
    let known = cluster.member(0, 1).unwrap();
    assert_eq!((known.status, &known.labels), (Status::Suspect, &good));
    assert_eq!(cluster.node(0).stats().rejected_labels, 1);
}

#[test]
fn a_ping_from_a_faulty_member_does_not_make_it_alive() {
    let mut cluster = Cluster::joined(lan(), 3);
    let incarnation = cluster.member(0, 1).unwrap().incarnation;
    let body = Body::Ping { checksum: 0, changes: vec![change(1, Status::Faulty, incarnation)] };
    cluster.cut(&[0], &[1, 2]);
    cluster.inject(0, message(&address(9), 1, 1, body));
    cluster.run_for(ms(600));
    let ping = Body::Ping { checksum: 0, changes: vec![] };
    cluster.inject(0, message(&address(1), incarnation, 2, ping));
    assert_eq!(cluster.status(0, 1), Some(Status::Faulty));
}

// --- Details that users see ---

#[test]
fn labels_spread_and_equal_labels_change_nothing() {
    let mut cluster = Cluster::joined(lan(), 4);
    let labels = Labels::new([("weight", "3")]).unwrap();
    cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    let incarnation = cluster.node(0).local().incarnation;
    cluster.until("seen", secs(3), |c| (1..4).all(|i| c.member(i, 0).unwrap().labels == labels));
    cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    assert_eq!(cluster.node(0).local().incarnation, incarnation);
    let reserved = Labels::new([("__identity", "x")]).unwrap();
    assert!(cluster.command(0, |node, now| node.set_labels(now, &reserved)).is_err());
}

/// What a member was and is, who says so, why, and who passed it on.
#[test]
fn every_transition_is_an_event_that_says_who_and_why() {
    type Step = (Option<Status>, Option<Status>, Option<swim_core::Address>, Cause);
    let config = Config::builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 4);
    cluster.crash(3);
    cluster.until("forgotten", secs(120), |c| (0..3).all(|i| c.status(i, 3).is_none()));
    let step = |event: &Event| match event.clone() {
        Event::MemberChanged { before, after, source, cause } => {
            let about = before.as_ref().or(after.as_ref())?.address == address(3);
            let [before, after] = [before, after].map(|member| Some(member?.status));
            about.then_some((before, after, source, cause))
        }
        _ => None,
    };
    let mut own_probes = 0;
    for i in 0..3 {
        let steps: Vec<Step> = cluster.events(i).filter_map(step).collect();
        assert_eq!(steps[0].0, None, "{steps:?}");
        assert_eq!(steps.last().unwrap().1, None, "{steps:?}");
        assert!(steps.windows(2).all(|pair| pair[0].1 == pair[1].0), "no gap: {steps:?}");
        let order = [Status::Suspect, Status::Faulty, Status::Tombstone].map(Some);
        let after: Vec<_> = steps.iter().map(|step| step.1).collect();
        assert_eq!(after[after.len() - 4..after.len() - 1], order);
        for (_, after, source, cause) in steps.iter().skip(1) {
            let source = source.clone().expect("somebody says so");
            match cause {
                Cause::Probe => assert_eq!((source, *after), (address(i), order[0])),
                Cause::Timeout => assert_eq!(source, address(i)),
                Cause::Gossip { from } | Cause::Sync { from } => {
                    assert!(*from != address(i) && source != address(i));
                }
                other => panic!("{other:?}"),
            }
            own_probes += usize::from(*cause == Cause::Probe);
        }
    }
    assert!(own_probes > 0, "somebody was the first");

    let labels = Labels::new([("a", "b")]).unwrap();
    cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    let last = cluster.events(0).last().unwrap().clone();
    let Event::MemberChanged { source, cause, .. } = last else { panic!("{last:?}") };
    assert_eq!((source, cause), (Some(address(0)), Cause::Command));
}

/// What is left out, given up or tried again leaves a trace in the counters.
#[test]
fn what_is_dropped_or_retried_is_counted() {
    let mut cluster = Cluster::new(lan());
    cluster.start_as(0, "app", Labels::default());
    let peers = (1..=JOIN_PEERS_MAX + 3)
        .map(|i| swim_core::Address::new(&format!("nobody:{i}")).unwrap())
        .collect();
    cluster.command(0, |node, now| node.join(now, peers)).unwrap();
    assert_eq!(cluster.node(0).stats().peers_dropped, 3);

    let mut cluster = Cluster::new(lan());
    cluster.start(0, [1]);
    cluster.run_for(secs(10));
    let retrying =
        cluster.events(0).filter(|e| matches!(e, Event::JoinRetrying { .. })).count() as u64;
    assert!(retrying > 0);
    assert_eq!(cluster.node(0).stats().joins_retried, retrying);

    let mut cluster = Cluster::joined(lan(), 2);
    cluster.run_for(secs(30));
    cluster.drop_if(|_, _, message| matches!(message.body, Body::SyncAck { .. }));
    let incarnation = cluster.node(1).local().incarnation;
    let ping = Body::Ping { checksum: 1, changes: vec![] };
    cluster.inject(0, message(&address(1), incarnation, 1, ping));
    cluster.run_for(secs(5));
    let stats = cluster.node(0).stats();
    assert_eq!((stats.syncs_started, stats.syncs_completed, stats.syncs_failed), (1, 0, 1));
}

#[test]
fn probes_are_fair() {
    let mut cluster = Cluster::joined(lan(), 8);
    cluster.run_for(secs(10));
    cluster.forget_traffic();
    cluster.run_for(secs(14));
    let mut counts = [0usize; 8];
    for (_, transmit) in &cluster.sent {
        if transmit.message.from == address(0) && matches!(transmit.message.body, Body::Ping { .. })
        {
            let i = (0..8).find(|i| transmit.to == address(*i)).unwrap();
            counts[i] += 1;
        }
    }
    assert_eq!(counts[0], 0);
    assert_eq!(counts.iter().sum::<usize>(), 70, "one ping each 200 ms");
    assert!(counts[1..].iter().all(|count| (9..=11).contains(count)), "{counts:?}");
}

#[test]
fn an_idle_cluster_sends_nothing_but_pings_and_acks_without_changes() {
    let config = lan().to_builder().sync_period(secs(86_400)).build().unwrap();
    let mut cluster = Cluster::joined(config, 10);
    cluster.run_for(secs(60));
    cluster.forget_traffic();
    cluster.run_for(secs(10));
    for (_, transmit) in &cluster.sent {
        match &transmit.message.body {
            Body::Ping { changes, .. } | Body::Ack { changes, .. } => assert!(changes.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(cluster.sent.len(), 10 * 10 * 5 * 2);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let trace = || {
        let mut cluster = Cluster::joined(lan(), 6);
        cluster.loss = 100;
        cluster.crash(5);
        cluster.run_for(secs(20));
        cluster.sent
    };
    assert!(trace() == trace());
}
