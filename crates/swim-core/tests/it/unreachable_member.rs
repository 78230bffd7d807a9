//! A member that dials the others and that nobody can dial: a wrong port, a
//! translated address, an address that changed (hashicorp/consul#1465,
//! moby/moby#26167).

use std::time::Duration;

use crate::support::{Cluster, address, change, message, ms, secs};
use swim_core::{Body, Config, Event, Message, Status};

const N: usize = 8;
/// The member that cannot be dialled.
const LOST: usize = 7;

/// From now on no request of the given members reaches the lost one; answers to
/// its own requests do.
fn cannot_dial(cluster: &mut Cluster, callers: impl Fn(usize) -> bool + 'static) {
    let callers: Vec<_> = (0..N).filter(|i| callers(*i)).map(address).collect();
    cluster.drop_if(move |from, to, message| {
        *to == address(LOST) && !message.is_reply() && callers.contains(from)
    });
}

fn is_on_ring(cluster: &Cluster, observer: usize) -> bool {
    cluster.node(observer).on_ring().any(|member| member.address == address(LOST))
}

fn off_every_ring(cluster: &Cluster) -> bool {
    (0..N).all(|i| !is_on_ring(cluster, i))
}

fn one_view(cluster: &Cluster) -> bool {
    (1..N).all(|i| cluster.node(i).checksum() == cluster.node(0).checksum())
}

fn unreachable_events(cluster: &Cluster) -> usize {
    let told = |event: &&Event| matches!(event, Event::Unreachable { address: named } if *named == address(LOST));
    cluster.events(LOST).filter(told).count()
}

/// Suspicion needs a probe (at most two periods and the timeouts, 2.4 s) and
/// then 4 s with three confirmations, which a cluster of eight gives within
/// another pass of probes; a little for spreading.
const OFF_WITHIN: Duration = secs(10);

fn stays_off_and_comes_back(cluster: &mut Cluster) {
    cluster.until("off every ring", OFF_WITHIN, off_every_ring);
    cluster.until("one view", secs(5), one_view);
    assert_eq!(unreachable_events(cluster), 1);
    assert_eq!(cluster.node(LOST).stats().unreachable, 1);
    let changes: Vec<usize> = (0..N).map(|i| cluster.history(i, LOST).len()).collect();
    cluster.forget_traffic();
    for _ in 0..600 {
        cluster.run_for(secs(1));
        assert!(off_every_ring(cluster), "it came back by itself");
    }
    let later: Vec<usize> = (0..N).map(|i| cluster.history(i, LOST).len()).collect();
    assert_eq!(changes, later, "its status flaps");
    assert!(one_view(cluster));
    // It costs the others one dial in 5 s that it asks for, and at most one a second of
    // healing, the bound for a whole cluster: 120 and 600 in these ten minutes.
    let dials =
        cluster.sent().iter().filter(|(_, t)| t.to == address(LOST) && !t.message.is_reply());
    let dials = dials.count();
    assert!(dials < 720, "the others dial it {dials} times");
    cluster.heal();
    cluster.until("back", secs(10), |c| c.agree(N));
    assert!((0..N).all(|i| is_on_ring(cluster, i)));
    assert!(cluster.events(LOST).any(|event| matches!(event, Event::ReachableAgain { .. })));
}

#[test]
fn a_member_with_a_wrong_port_leaves_every_ring_and_returns_when_it_is_mended() {
    let mut cluster = Cluster::joined(Config::lan(), N - 1);
    cannot_dial(&mut cluster, |_| true);
    cluster.start(LOST, 0..N);
    stays_off_and_comes_back(&mut cluster);
}

/// Where newcomers have to be reached, nobody ever adds it or suspects it: it finds
/// out by itself.
#[test]
fn a_member_that_was_never_reached_finds_out_by_itself() {
    let config = Config::builder().verify_claims(true).build().unwrap();
    let mut cluster = Cluster::joined(config, N - 1);
    cannot_dial(&mut cluster, |_| true);
    cluster.start(LOST, 0..N);
    stays_off_and_comes_back(&mut cluster);
}

/// There is nobody left who could reach it, or own its keys instead (seed
/// 2000233 of the simulator).
#[test]
fn a_member_that_nobody_dials_comes_back_when_it_is_left_alone() {
    let mut cluster = Cluster::joined(Config::lan(), N);
    cluster.run_for(secs(30));
    cannot_dial(&mut cluster, |_| true);
    cluster.until("off every ring", secs(60), off_every_ring);
    (0..LOST).for_each(|other| cluster.crash(other));
    cluster.until("alive", secs(120), |c| c.status(LOST, LOST) == Some(Status::Alive));
}

#[test]
fn a_member_whose_address_changes_at_run_time_leaves_every_ring() {
    let mut cluster = Cluster::joined(Config::lan(), N);
    cluster.run_for(secs(30));
    cannot_dial(&mut cluster, |_| true);
    stays_off_and_comes_back(&mut cluster);
}

/// The rule is not one of timing: the presets with longer timeouts keep it.
#[test]
fn a_member_that_nobody_dials_leaves_the_ring_with_the_rules_of_ringpop() {
    let mut cluster = Cluster::joined(Config::ringpop(), N);
    cluster.run_for(secs(30));
    cannot_dial(&mut cluster, |_| true);
    cluster.until("off every ring", secs(25), off_every_ring);
    for _ in 0..300 {
        cluster.run_for(secs(1));
        assert!(off_every_ring(&cluster), "it came back by itself");
    }
    cluster.heal();
    cluster.until("back", secs(20), |c| (0..N).all(|i| is_on_ring(c, i)));
}

#[test]
fn a_member_that_half_of_the_others_can_dial_stays() {
    let mut cluster = Cluster::joined(Config::lan(), N);
    cluster.run_for(secs(10));
    cannot_dial(&mut cluster, |i| i % 2 == 0);
    cluster.run_for(secs(600));
    for observer in 0..N {
        assert!(!cluster.history(observer, LOST).contains(&Some(Status::Faulty)));
    }
    assert_eq!(unreachable_events(&cluster), 0);
}

#[test]
fn two_members_of_whom_one_cannot_be_dialled_agree_that_it_is_gone() {
    let mut cluster = Cluster::joined(Config::lan(), 2);
    cluster.run_for(secs(10));
    cluster.drop_if(|_, to, message| *to == address(1) && !message.is_reply());
    cluster.until("gone", secs(40), |c| {
        c.status(0, 1) == Some(Status::Faulty) && c.status(1, 1) == Some(Status::Faulty)
    });
    cluster.run_for(secs(300));
    assert_eq!(cluster.status(0, 1), Some(Status::Faulty));
    cluster.heal();
    cluster.until("back", secs(10), |c| c.agree(2));
}

/// A suspicion that another member brings is direct contact by itself.
#[test]
fn a_suspicion_in_a_request_is_refuted_at_once() {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    cluster.run_for(secs(10));
    cluster.drop_if(|_, _, _| true);
    cluster.run_for(secs(3));
    let incarnation = cluster.node(1).local().incarnation;
    let changes = vec![change(1, Status::Suspect, incarnation)];
    cluster.inject(1, message(&address(0), 1, 1, Body::Ping { checksum: 0, changes }));
    assert!(cluster.node(1).local().incarnation > incarnation);
}

/// Loss is no reason to doubt oneself.
#[test]
fn members_on_a_bad_network_never_take_themselves_for_unreachable() {
    let mut cluster = Cluster::joined(Config::lan(), N);
    cluster.set_loss(300);
    cluster.run_for(secs(300));
    for i in 0..N {
        assert!(!cluster.events(i).any(|event| matches!(event, Event::Unreachable { .. })));
    }
    cluster.set_loss(0);
    cluster.until("one view", secs(60), |c| c.agree(N));
}

/// A helper that answers late counts what it says as told: it is taken like any late
/// answer, once.
#[test]
fn a_late_answer_to_a_request_to_be_dialled_is_taken_once() {
    let mut cluster = Cluster::joined(Config::lan(), N);
    cluster.run_for(secs(10));
    cluster.forget_traffic();
    // Others do not reach it, and the answers of helpers are lost.
    cluster.drop_if(|_, to, message| {
        let of_helper = matches!(message.body, Body::PingReqAck { .. });
        *to == address(LOST) && (!message.is_reply() || of_helper)
    });
    let asked = |c: &Cluster| {
        let wanted = |message: &Message| match &message.body {
            Body::PingReq { target, .. } => message.from == *target && *target == address(LOST),
            _ => false,
        };
        c.sent()
            .iter()
            .find(|(_, t)| wanted(&t.message))
            .map(|(_, t)| (t.to.clone(), t.message.seq))
    };
    cluster.until("asks to be dialled", secs(10), |c| asked(c).is_some());
    let (helper, seq) = asked(&cluster).unwrap();
    // Longer than `ping_req_timeout`.
    cluster.run_for(ms(1600));
    let before = *cluster.node(LOST).stats();
    for late in 1..=2 {
        let changes = vec![change(50, Status::Faulty, 7)];
        let target = address(LOST);
        let body = Body::PingReqAck { target, reached: false, pending: false, changes };
        cluster.inject(LOST, message(&helper, 1, seq, body));
        let now = cluster.node(LOST).stats();
        assert_eq!(now.late_answers, before.late_answers + 1);
        assert_eq!(now.rejected_replies, before.rejected_replies + late - 1);
        assert_eq!(cluster.status(LOST, 50), Some(Status::Faulty));
    }
}

/// It has left for good: nobody has to reach it.
#[test]
fn a_member_that_nobody_reaches_can_leave() {
    let mut cluster = Cluster::joined(Config::lan(), N);
    cannot_dial(&mut cluster, |_| true);
    cluster.until("off every ring", OFF_WITHIN + secs(10), off_every_ring);
    cluster.command(LOST, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(20), |c| c.all_say(LOST, Status::Leave));
    cluster.heal();
    cluster.run_for(secs(60));
    assert!(cluster.all_say(LOST, Status::Leave));
}

/// A process that is no member yet asks a member to dial it back.
#[test]
fn a_stranger_is_dialled_back_at_its_own_address_only() {
    let mut cluster = Cluster::joined(Config::lan(), 3);
    let ask = |cluster: &mut Cluster, seq, target: usize| {
        let body = Body::PingReq { target: address(target), checksum: 0, changes: vec![] };
        cluster.inject(0, message(&address(50), 1, seq, body));
    };
    cluster.forget_traffic();
    ask(&mut cluster, 1, 51);
    let dialled = |cluster: &Cluster, i: usize| {
        cluster.sent().iter().filter(|(_, t)| t.to == address(i) && !t.message.is_reply()).count()
    };
    assert_eq!(dialled(&cluster, 51), 0, "nobody else is dialled on its word");
    ask(&mut cluster, 2, 50);
    assert_eq!(dialled(&cluster, 50), 1);
    for seq in 3..1000 {
        ask(&mut cluster, seq, 50);
    }
    assert!(dialled(&cluster, 50) <= 32);
    assert!(cluster.node(0).stats().stranger_dials_omitted > 900);
}
