//! Which messages prove that somebody lives, and what late answers are worth.

use crate::support::{Cluster, address, change, lan, message, ms, secs};
use swim_core::{Body, Event, Message, Refusal, Status, Transmit};

/// All orders of five members.
fn orders() -> Vec<Vec<usize>> {
    fn extend(order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if order.len() == 5 {
            all.push(order.clone());
            return;
        }
        for next in (0..5).filter(|i| !order.contains(i)).collect::<Vec<_>>() {
            order.push(next);
            extend(order, all);
            order.pop();
        }
    }
    let mut all = Vec::new();
    extend(&mut Vec::new(), &mut all);
    all
}

fn suspicions(cluster: &Cluster, members: usize) -> usize {
    let suspect = |event: &Event| matches!(event, Event::MemberChanged { after: Some(m), .. } if m.status == Status::Suspect);
    (0..members).map(|i| cluster.events(i).filter(|event| suspect(event)).count()).sum()
}

/// Members that start together learn of each other before all have joined: the
/// pings that are refused then prove that those who refuse live.
#[test]
fn members_that_start_together_do_not_suspect_each_other() {
    for (gap, order) in [0, 1, 7, 40]
        .into_iter()
        .flat_map(|gap| orders().into_iter().map(move |order| (gap, order)))
    {
        let mut cluster = Cluster::new(lan());
        for i in &order {
            cluster.start(*i, 0..5);
            cluster.run_for(ms(gap));
        }
        cluster.until("all agree", secs(30), |c| c.agree(5));
        cluster.run_for(secs(5));
        let refuted: u64 = (0..5).map(|i| cluster.node(i).stats().refuted).sum();
        assert_eq!((suspicions(&cluster, 5), refuted), (0, 0), "{gap} ms, {order:?}");
    }
}

/// A process that took the place of a member and has not joined yet answers for
/// it, directly and to helpers; nothing is suspected meanwhile.
#[test]
fn a_refusal_ends_a_probe_as_alive() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.crash(4);
    cluster.start_as(4, "app", swim_core::Labels::default());
    // The direct way between 0 and 4 is cut: helpers are refused for 0.
    cluster.cut(&[0], &[4]);
    cluster.run_for(secs(20));
    assert!((0..4).all(|i| cluster.status(i, 4) == Some(Status::Alive)));
    assert_eq!(suspicions(&cluster, 4), 0);
    assert!((0..4).all(|i| cluster.node(i).health_score() == 0));
}

/// Any refusal but that of a process that is not the member.
#[test]
fn what_another_application_answers_proves_nothing() {
    for (reason, lives) in [
        (Refusal::NotReady, true),
        (Refusal::Busy, true),
        (Refusal::Invalid, true),
        (Refusal::AppMismatch, false),
    ] {
        let mut cluster = Cluster::joined(lan(), 5);
        cluster.translate(move |from, _, message| {
            let refuses = *from == address(4) && matches!(message.body, Body::Ack { .. });
            let body = if refuses { Body::Refused { reason } } else { message.body.clone() };
            Some(Message { body, ..message.clone() })
        });
        // Its own pings would refute; what is asked is whether it answers.
        cluster.command(4, swim_core::Node::pause);
        cluster.run_for(secs(5));
        assert_eq!(suspicions(&cluster, 4) == 0, lives, "{reason:?}");
    }
}

/// A helper that refuses lives as well: this member is not cut off, so that the
/// silence of the target is the target's.
#[test]
fn helpers_that_refuse_do_not_make_a_probe_inconclusive() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.translate(|_, _, message| {
        let busy = matches!(message.body, Body::PingReqAck { .. });
        let refused = Body::Refused { reason: Refusal::Busy };
        let body = if busy { refused } else { message.body.clone() };
        Some(Message { body, ..message.clone() })
    });
    cluster.crash(4);
    cluster.until("suspect", secs(8), |c| c.all_say(4, Status::Suspect));
    assert!((0..4).all(|i| cluster.node(i).stats().probes_inconclusive == 0));
}

/// The member answers something else while its answer to the ping is lost.
#[test]
fn an_answer_to_any_request_proves_life() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.run_for(secs(30));
    // Helpers there are none: without the answer to a sync it is suspected.
    cluster.drop_if(|from, _, m| *from == address(1) && matches!(m.body, Body::Ack { .. }));
    let pinged = |c: &Cluster| {
        let ping = |t: &Transmit| t.to == address(1) && matches!(t.message.body, Body::Ping { .. });
        c.sent().iter().any(|(_, t)| ping(t))
    };
    cluster.command(1, swim_core::Node::pause);
    cluster.forget_traffic();
    cluster.until("a ping", secs(1), pinged);
    let body = Body::Ping { checksum: 1, changes: vec![] };
    cluster.inject(0, message(&address(1), 1, 900, body));
    cluster.run_for(ms(400));
    assert!(cluster.node(0).stats().syncs_completed > 0, "its ping differs, 0 asks for a sync");
    cluster.run_for(ms(101));
    assert_eq!(cluster.status(0, 1), Some(Status::Alive));
}

/// Loses all answers to member 0 until it has given up its requests, and gives
/// the first request of a kind that it sent.
fn unanswered(kind: fn(&Body) -> bool) -> (Cluster, Transmit) {
    let mut cluster = Cluster::joined(lan(), 4);
    cluster.run_for(secs(30));
    cluster.drop_if(|_, to, message| *to == address(0) && message.is_reply());
    cluster.forget_traffic();
    let sent = |c: &Cluster| {
        let wanted = |t: &Transmit| t.message.from == address(0) && kind(&t.message.body);
        c.sent().iter().map(|(_, t)| t).find(|t| wanted(t)).cloned()
    };
    cluster.until("a request", secs(5), |c| sent(c).is_some());
    let request = sent(&cluster).unwrap();
    cluster.run_for(ms(2600));
    (cluster, request)
}

fn answer(cluster: &mut Cluster, request: &Transmit, body: Body) {
    cluster.inject(0, message(&request.to, 1, request.message.seq, body));
}

/// Its sender counts what it says as told, so that it would be missing here.
#[test]
fn the_changes_of_a_late_ack_are_taken_once() {
    let (mut cluster, ping) = unanswered(|body| matches!(body, Body::Ping { .. }));
    let ack = |i| Body::Ack { checksum: 0, changes: vec![change(i, Status::Faulty, 7)] };
    answer(&mut cluster, &ping, ack(50));
    assert_eq!(cluster.status(0, 50), Some(Status::Faulty));
    answer(&mut cluster, &ping, ack(51));
    assert_eq!(cluster.status(0, 51), None);
    let stats = cluster.node(0).stats();
    assert_eq!((stats.late_answers, stats.rejected_replies), (1, 1));
}

#[test]
fn the_changes_of_a_late_helper_are_taken_and_of_its_last_answer_too() {
    let (mut cluster, ask) = unanswered(|body| matches!(body, Body::PingReq { .. }));
    let Body::PingReq { target, .. } = ask.message.body.clone() else { unreachable!() };
    for (i, pending) in [(50, true), (51, false), (52, false)] {
        let changes = vec![change(i, Status::Faulty, 7)];
        let body = Body::PingReqAck { target: target.clone(), reached: !pending, pending, changes };
        answer(&mut cluster, &ask, body);
    }
    let known = |i| cluster.status(0, i).is_some();
    assert_eq!((known(50), known(51), known(52)), (true, true, false));
}

/// Three helpers are asked, and the first good answer ends the probe: those of
/// the other two come to nobody who waits.
#[test]
fn what_the_other_helpers_say_is_taken_after_the_first_has_answered() {
    let mut cluster = Cluster::joined(lan(), 5);
    cluster.run_for(secs(30));
    cluster.cut(&[0], &[4]);
    cluster.run_for(secs(10));
    let stats = cluster.node(0).stats();
    assert!(stats.late_answers > 0);
    assert_eq!((stats.rejected_replies, stats.probes_failed), (0, 0));
}

#[test]
fn a_late_page_of_a_sync_is_taken() {
    let mut cluster = Cluster::joined(lan(), 4);
    cluster.run_for(secs(30));
    cluster.drop_if(|_, _, message| matches!(message.body, Body::SyncAck { .. }));
    cluster.forget_traffic();
    let body = Body::Ping { checksum: 1, changes: vec![] };
    cluster.inject(0, message(&address(1), 1, 900, body));
    let sync = |t: &&Transmit| matches!(t.message.body, Body::Sync(_));
    let sync = cluster.sent().iter().map(|(_, t)| t).find(sync).cloned().expect("views differ");
    cluster.until("given up", secs(30), |c| c.node(0).stats().syncs_failed > 0);
    let changes = vec![change(50, Status::Faulty, 7)];
    let page = Body::SyncAck { checksum: 0, differing: vec![0], changes, next: None };
    answer(&mut cluster, &sync, page);
    assert_eq!(cluster.status(0, 50), Some(Status::Faulty));
}

/// Two seeds are asked and one is enough: what the slower one knows counts, too.
#[test]
fn a_late_page_of_a_join_is_taken() {
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.drop_if(|from, _, m| *from == address(1) && matches!(m.body, Body::JoinAck { .. }));
    cluster.forget_traffic();
    cluster.start(2, [0, 1]);
    let ready = |c: &Cluster| c.node(2).state() == swim_core::State::Ready;
    cluster.until("joined", secs(30), ready);
    let ask = |t: &&Transmit| t.to == address(1) && matches!(t.message.body, Body::Join { .. });
    let ask = cluster.sent().iter().map(|(_, t)| t).find(ask).cloned().expect("both are asked");
    let changes = vec![change(50, Status::Faulty, 7)];
    let page = Body::JoinAck { checksum: 0, changes, next: None };
    cluster.inject(2, message(&address(1), 1, ask.message.seq, page));
    assert_eq!(cluster.status(2, 50), Some(Status::Faulty));
}

/// A list of the other side of a partition is compared before it is merged.
#[test]
fn a_late_answer_of_a_member_that_is_gone_is_not_taken() {
    let (mut cluster, ping) = unanswered(|body| matches!(body, Body::Ping { .. }));
    let peer = (1..4).find(|i| address(*i) == ping.to).unwrap();
    let incarnation = cluster.member(0, peer).unwrap().incarnation;
    // Every sender is believed, so that the peer is gone at once.
    let config = lan().to_builder().verify_claims(false).build().unwrap();
    cluster.command(0, |node, now| node.reconfigure(now, config)).unwrap();
    let gone = vec![change(peer, Status::Faulty, incarnation)];
    cluster.inject(0, message(&address(99), 1, 1, Body::Ping { checksum: 0, changes: gone }));
    assert_eq!(cluster.status(0, peer), Some(Status::Faulty));
    let ack = Body::Ack { checksum: 0, changes: vec![change(50, Status::Faulty, 7)] };
    answer(&mut cluster, &ping, ack);
    assert_eq!(cluster.status(0, 50), None);
}
