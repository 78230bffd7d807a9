//! Lifeguard (Dadgar, Phillips, Currey): one test for each claim that is made.

use std::time::Duration;

use crate::support::{Cluster, address, change, lan, message, ms, secs};
use swim_core::{Body, Change, Config, Event, Path, Source, Status, Transmit};

/// A suspicion of `subject` on the account of `source`.
fn suspicion(cluster: &Cluster, subject: usize, source: usize) -> Change {
    let incarnation = cluster.member(0, subject).unwrap().incarnation;
    let source = Source { address: address(source), incarnation: 1 };
    Change { source: Some(source), ..change(subject, Status::Suspect, incarnation) }
}

fn tell(cluster: &mut Cluster, to: usize, seq: u64, change: Change) {
    let body = Body::Ping { checksum: 0, changes: vec![change] };
    cluster.inject(to, message(&address(99), 1, seq, body));
}

/// How long member 0 keeps a suspicion that `confirmations` others confirm.
fn time_to_faulty(confirmations: usize) -> Duration {
    let mut cluster = Cluster::joined(lan(), 10);
    cluster.crash(9);
    cluster.cut(&[0], &[1, 2, 3, 4, 5, 6, 7, 8]);
    cluster.command(0, swim_core::Node::pause);
    let start = cluster.now();
    for source in 1..=confirmations + 1 {
        let change = suspicion(&cluster, 9, source);
        tell(&mut cluster, 0, source as u64, change);
    }
    cluster.until("faulty", secs(60), |c| c.status(0, 9) == Some(Status::Faulty));
    cluster.now() - start
}

/// Section IV.B: "the timeout starts high and decays logarithmically with
/// independent confirmations" (10 members: 4 s to 24 s, 3 confirmations).
#[test]
fn confirmations_shorten_a_suspicion() {
    let times: Vec<f64> =
        (0..=3).map(|c| (time_to_faulty(c).as_secs_f64() * 10.0).round() / 10.0).collect();
    assert_eq!(times, [24.0, 14.0, 8.2, 4.0]);
}

#[test]
fn the_same_member_confirms_once_and_the_suspect_never() {
    let mut cluster = Cluster::joined(lan(), 10);
    cluster.cut(&[0], &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    cluster.command(0, swim_core::Node::pause);
    let sources = [1, 1, 1, 9, 2, 1, 2];
    for (seq, source) in (1..).zip(sources) {
        let change = suspicion(&cluster, 9, source);
        tell(&mut cluster, 0, seq, change);
    }
    assert_eq!(cluster.node(0).stats().suspicions_confirmed, 1);
}

#[test]
fn a_confirmation_is_spread_in_turn() {
    let mut cluster = Cluster::joined(lan(), 10);
    cluster.run_for(secs(60));
    cluster.cut(&[0], &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    cluster.command(0, swim_core::Node::pause);
    let first = suspicion(&cluster, 9, 1);
    let second = suspicion(&cluster, 9, 2);
    tell(&mut cluster, 0, 1, first);
    // Worn out by many answers, the first one is spread no more.
    for seq in 100..200 {
        let body = Body::Ping { checksum: 0, changes: vec![] };
        cluster.inject(0, message(&address(99), 1, seq, body));
    }
    assert_eq!(cluster.node(0).pending_changes(), 0);
    tell(&mut cluster, 0, 2, second);
    assert_eq!(cluster.node(0).pending_changes(), 1);
}

/// Section IV.A: failed probes raise the score, the score stretches period and
/// timeout, successful probes lower it.
#[test]
fn a_member_that_reaches_nobody_slows_down_and_recovers() {
    let mut cluster = Cluster::joined(lan(), 6);
    cluster.cut(&[0], &[1, 2, 3, 4, 5]);
    cluster.run_for(secs(10));
    assert_eq!(cluster.node(0).health_score(), 7);
    assert_eq!(cluster.node(1).health_score(), 0);
    cluster.forget_traffic();
    cluster.run_for(secs(8));
    let pings = own_pings(&cluster, 0);
    assert!(pings <= 8, "{pings} pings in 8 s, 40 were it well");
    cluster.heal();
    cluster.until("well again", secs(60), |c| c.node(0).health_score() == 0);
}

fn own_pings(cluster: &Cluster, i: usize) -> usize {
    let own =
        |t: &Transmit| t.message.from == address(i) && matches!(t.message.body, Body::Ping { .. });
    cluster.sent().iter().filter(|(_, t)| own(t)).count()
}

/// Section IV.A: "refuting a suspicion about oneself" raises the score.
#[test]
fn having_to_refute_is_a_sign_of_slowness() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.command(1, swim_core::Node::pause);
    let incarnation = cluster.node(1).local().incarnation;
    let change = change(1, Status::Suspect, incarnation);
    tell(&mut cluster, 1, 1, change);
    assert_eq!(cluster.node(1).health_score(), 1);
}

/// Section IV.A: a helper answers after 80 % of the timeout that the target was
/// not reached so far, and forwards a late answer all the same.
#[test]
fn a_helper_says_early_that_it_has_no_answer_and_forwards_a_late_one() {
    let config = lan().to_builder().late_acks(true).build().unwrap();
    let mut cluster = Cluster::joined(config, 3);
    cluster.command(0, swim_core::Node::pause);
    // Answers of 1 to 0 take 450 ms: after the nack, before the timeout.
    cluster.cut_one_way(&[1], &[0]);
    let body = Body::PingReq { target: address(1), checksum: 0, changes: vec![] };
    cluster.inject(0, message(&address(2), 1, 500, body));
    cluster.run_for(ms(399));
    assert_eq!(cluster.replies(0, &address(2), 500), []);
    cluster.run_for(ms(2));
    let replies = cluster.replies(0, &address(2), 500);
    assert!(matches!(&replies[..], [Body::PingReqAck { reached: false, pending: true, .. }]));
    let is_ping =
        |m: &swim_core::Message| m.from == address(0) && matches!(m.body, Body::Ping { .. });
    let (_, ping) = cluster.sent().iter().rfind(|(_, t)| is_ping(&t.message)).cloned().unwrap();
    let is_ack = |m: &swim_core::Message| m.from == address(1) && m.seq == ping.message.seq;
    let (_, ack) = cluster.sent().iter().rfind(|(_, t)| is_ack(&t.message)).cloned().unwrap();
    cluster.inject(0, ack.message);
    let replies = cluster.replies(0, &address(2), 500);
    assert!(matches!(&replies[1..], [Body::PingReqAck { reached: true, pending: false, .. }]));
    assert_eq!(cluster.node(0).stats().nacks_sent, 1);
}

/// On a transport where a request has one answer, the one after 80 % is it.
#[test]
fn without_late_answers_a_helper_answers_once_and_early() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.command(0, swim_core::Node::pause);
    cluster.cut_one_way(&[1], &[0]);
    let body = Body::PingReq { target: address(1), checksum: 0, changes: vec![] };
    cluster.inject(0, message(&address(2), 1, 500, body));
    cluster.run_for(ms(401));
    let replies = cluster.replies(0, &address(2), 500);
    assert!(matches!(&replies[..], [Body::PingReqAck { reached: false, pending: false, .. }]));
    cluster.run_for(secs(1));
    assert_eq!(cluster.replies(0, &address(2), 500).len(), 1);
}

/// Nacks tell that the helpers are well and the target is not.
#[test]
fn a_probe_with_nacks_is_conclusive_and_costs_less_trust() {
    let config = lan().to_builder().late_acks(true).build().unwrap();
    let mut cluster = Cluster::joined(config, 5);
    // The final answers of helpers are lost, the nacks arrive.
    cluster.drop_if(|_, _, m| {
        matches!(m.body, Body::PingReqAck { pending: false, reached: false, .. })
    });
    cluster.crash(4);
    cluster.until("suspect", secs(5), |c| c.status(0, 4) == Some(Status::Suspect));
    let conclusive = |e: &Event| matches!(e, Event::ProbeFailed { conclusive: true, .. });
    assert!((0..4).any(|i| cluster.events(i).any(conclusive)));
    assert!((0..4).all(|i| cluster.node(i).stats().probes_inconclusive == 0));
}

/// Section IV.C, the buddy system: each ping of a suspect tells it so, even when the change is no
/// longer gossiped.
#[test]
fn a_suspect_hears_of_it_with_every_ping() {
    let mut cluster = Cluster::joined(lan(), 6);
    cluster.run_for(secs(30));
    // Its refutations are lost, so that it stays suspect.
    cluster.cut_one_way(&[5], &[0, 1, 2, 3, 4]);
    cluster.until("suspect", secs(10), |c| c.all_say(5, Status::Suspect));
    cluster.forget_traffic();
    cluster.run_for(secs(2));
    let to_suspect: Vec<&Transmit> =
        cluster.sent().iter().map(|(_, t)| t).filter(|t| t.to == address(5)).collect();
    let mut pings = 0;
    for transmit in to_suspect {
        let Body::Ping { changes, .. } = &transmit.message.body else { continue };
        let sender = (0..5).find(|i| transmit.message.from == address(*i)).unwrap();
        if cluster.history(sender, 5).last() == Some(&Some(Status::Suspect)) {
            pings += 1;
            assert!(
                changes.iter().any(|c| {
                    c.member.address == address(5) && c.member.status == Status::Suspect
                })
            );
        }
    }
    assert!(pings > 3, "{pings}");
}

/// As memberlist's TCP ping: a path that does not share the faults of the
/// first keeps a member alive.
#[test]
fn a_second_path_keeps_a_member_alive() {
    let config = lan().to_builder().second_path(true).build().unwrap();
    let mut cluster = Cluster::joined(config, 4);
    cluster.first_path_down(3);
    cluster.run_for(secs(60));
    for observer in 0..3 {
        assert!(!cluster.history(observer, 3).contains(&Some(Status::Suspect)));
        assert!(cluster.node(observer).stats().probes_second_path > 0);
    }
    assert!(cluster.sent().iter().any(|(_, t)| t.path == Path::Second));
}

/// A member that wants two accusers, and has been told by one for 90 s that
/// member 5 is suspect.
fn accused_by_one() -> Cluster {
    let config = lan().to_builder().faulty_accusers_min(2).build().unwrap();
    let mut cluster = Cluster::joined(config, 6);
    cluster.command(0, swim_core::Node::pause);
    cluster.cut(&[0], &[1, 2, 3, 4, 5]);
    let one = suspicion(&cluster, 5, 1);
    tell(&mut cluster, 0, 1, one);
    cluster.run_for(secs(90));
    assert_eq!(cluster.status(0, 5), Some(Status::Suspect));
    cluster
}

/// A minimum number of accusers: a member that one alone cannot reach stays
/// suspect, for four times the longest suspicion of 24 s; the others may not
/// know it at all (seed 2000699 of the simulator).
#[test]
fn one_accuser_waits_long_when_two_are_wanted() {
    let mut cluster = accused_by_one();
    let two = suspicion(&cluster, 5, 2);
    tell(&mut cluster, 0, 2, two);
    cluster.run_for(secs(30));
    assert_eq!(cluster.status(0, 5), Some(Status::Faulty));
}

#[test]
fn one_accuser_does_not_wait_for_ever() {
    let mut cluster = accused_by_one();
    cluster.until("faulty", secs(36), |c| c.status(0, 5) == Some(Status::Faulty));
}

/// Members that died together do not confirm each other's death: they are not
/// waited for (seed 1000194 of the simulator).
#[test]
fn members_that_die_together_are_faulty_although_two_accusers_are_wanted() {
    for (members, dead) in [(3, 2), (5, 4), (6, 4)] {
        let config = lan().to_builder().faulty_accusers_min(2).build().unwrap();
        let mut cluster = Cluster::joined(config, members);
        (members - dead..members).for_each(|member| cluster.crash(member));
        cluster.until("faulty", secs(60), |c| {
            (members - dead..members).all(|member| c.status(0, member) == Some(Status::Faulty))
        });
    }
}

/// `Config::ringpop` is without any of this.
#[test]
fn ringpop_has_fixed_timings() {
    let mut cluster = Cluster::joined(Config::ringpop(), 5);
    cluster.crash(4);
    cluster.until("suspect", secs(10), |c| c.status(0, 4) == Some(Status::Suspect));
    let suspected = cluster.now();
    cluster.until("faulty", secs(6), |c| c.status(0, 4) == Some(Status::Faulty));
    assert!(cluster.now() - suspected <= secs(5));
    assert!((0..4).all(|i| cluster.node(i).health_score() == 0));
}
