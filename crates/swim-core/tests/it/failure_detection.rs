//! Probes, suspicions and refutations.

use swim_core::{Body, Event, Status};

use crate::support::{Cluster, address, change, lan, message, ms, secs};

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

/// Their suspicions end as much later as they hear of it.
#[test]
fn a_suspicion_is_told_to_others_before_the_next_period() {
    for seed in 0..20 {
        let mut cluster = Cluster::joined(lan(), 5);
        cluster.run_for(ms(170 * seed));
        cluster.crash(4);
        let suspects =
            |c: &Cluster| (0..4).filter(|at| c.status(*at, 4) == Some(Status::Suspect)).count();
        cluster.until("suspect", secs(5), |c| suspects(c) > 0);
        cluster.run_for(ms(30));
        assert_eq!(suspects(&cluster), 4, "after {} ms", 170 * seed);
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
        c.sent().iter().map(|(_, t)| t).find(|t| is_own(t)).cloned()
    };
    cluster.until("a ping", secs(1), |c| own_ping(c).is_some());
    let ping = own_ping(&cluster).unwrap();
    cluster.forget_traffic();
    cluster.command(0, |node, now| {
        node.handle_undelivered(now, ping.message.seq);
    });
    let helper = &cluster.sent()[0].1;
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
    cluster.set_loss(50);
    cluster.run_for(secs(120));
    for observer in 0..20 {
        for subject in 0..20 {
            assert!(
                !cluster.history(observer, subject).contains(&Some(Status::Faulty)),
                "{observer} took {subject} for faulty"
            );
        }
    }
    cluster.set_loss(0);
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
