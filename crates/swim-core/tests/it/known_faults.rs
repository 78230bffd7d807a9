//! The classic faults of gossip systems, each as a story that ends well here.

use std::time::Duration;

use crate::support::{Cluster, address, change, lan, message, secs};
use swim_core::limits::INCARNATION_AHEAD_MAX;
use swim_core::{
    Body, Config, Damping, Event, IDENTITY_LABEL, Init, Instant, Labels, Node, Refusal, Rejection,
    Status, Transmit,
};

fn tell(cluster: &mut Cluster, to: usize, seq: u64, changes: Vec<swim_core::Change>) {
    let body = Body::Ping { checksum: 0, changes };
    cluster.inject(to, message(&address(99), 1, seq, body));
}

fn faulty_anywhere(cluster: &Cluster, n: usize) -> Vec<(usize, usize)> {
    let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    pairs.filter(|(i, j)| cluster.history(*i, *j).contains(&Some(Status::Faulty))).collect()
}

/// CASSANDRA-8113, Scylla #5164: an incarnation from the future must neither
/// lock a member out nor be impossible to contradict.
#[test]
fn an_incarnation_from_the_far_future_can_be_refuted() {
    let mut cluster = Cluster::joined(lan(), 4);
    let now = cluster.wall_ms();
    let last = now + INCARNATION_AHEAD_MAX;
    for (seq, status) in [(1, Status::Faulty), (2, Status::Alive)] {
        for beyond in [last + 1, u64::MAX] {
            tell(&mut cluster, 0, seq, vec![change(2, status, beyond)]);
        }
    }
    assert_eq!(cluster.status(0, 2), Some(Status::Alive));
    assert_eq!(cluster.node(0).stats().rejected_clock, 4);
    tell(&mut cluster, 0, 3, vec![change(2, Status::Faulty, last)]);
    cluster.until("refuted", secs(10), |c| c.node(2).local().incarnation == last + 1);
    cluster.until("one view", secs(10), |c| c.agree(4));
    // It still has the last word about itself.
    let labels = Labels::new([("a", "b")]).unwrap();
    cluster.command(2, |node, now| node.set_labels(now, &labels)).unwrap();
    let knows = |c: &Cluster, i| c.member(i, 2).unwrap().labels == labels;
    cluster.until("all know", secs(60), |c| (0..4).all(|i| knows(c, i)));
    cluster.command(2, |node, now| node.leave(now)).unwrap();
    cluster.until("left", secs(60), |c| c.all_say(2, Status::Leave));
}

/// A member whose clock stands in another century joins nobody, and each side
/// says that it is for the clock.
#[test]
fn a_clock_in_another_century_is_named_on_both_sides() {
    const CENTURIES_MS: u64 = 200 * 366 * 24 * 60 * 60 * 1000;
    let failure = |c: &Cluster| {
        let failures = c.events(2).filter_map(|event| match event {
            Event::JoinRetrying { failure, .. } => Some(failure.to_string()),
            _ => None,
        });
        failures.last()
    };
    let ahead_of_others = |i: usize, c: &Cluster| {
        c.events(i).any(|event| {
            matches!(event, Event::Rejected { reason: Rejection::ClockAhead { ahead_ms }, .. }
                if ahead_ms.abs_diff(CENTURIES_MS) < 60_000)
        })
    };
    // The one that joins is ahead: the others refuse it.
    let mut cluster = Cluster::joined(lan(), 2);
    cluster.run_for(secs(1));
    cluster.unix_ms += CENTURIES_MS;
    cluster.start(2, [0, 1]);
    cluster.run_for(secs(5));
    let text = failure(&cluster).expect("it tries again");
    assert!(text.contains("clock is more than 139 years ahead"), "{text}");
    assert!(ahead_of_others(0, &cluster) && ahead_of_others(1, &cluster));
    assert_eq!(cluster.node(0).len(), 2);
    // All others are ahead: it cannot take their answers.
    let mut cluster = Cluster::new(lan());
    cluster.unix_ms += CENTURIES_MS;
    (0..2).for_each(|i| cluster.start(i, 0..2));
    cluster.until("all agree", secs(5), |c| c.agree(2));
    cluster.unix_ms -= CENTURIES_MS;
    cluster.start(2, [0, 1]);
    cluster.run_for(secs(5));
    let text = failure(&cluster).expect("it tries again");
    assert!(text.starts_with("the clock of 10.0.0."), "{text}");
    assert!(ahead_of_others(2, &cluster));
    assert!(cluster.node(2).stats().rejected_clock > 0);
}

/// A driver whose clock jumps back: the machine keeps the latest time it saw.
#[test]
fn time_that_goes_backwards_does_no_harm() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.run_for(secs(10));
    let incarnation = cluster.node(0).local().incarnation;
    let due = cluster.node(0).poll_timeout();
    cluster.command(0, |node, _| node.handle_timeout(Instant::ZERO));
    assert_eq!(cluster.node(0).poll_timeout(), due);
    let labels = Labels::new([("a", "b")]).unwrap();
    cluster.command(0, |node, _| node.set_labels(Instant::ZERO, &labels)).unwrap();
    assert!(cluster.node(0).local().incarnation > incarnation);
    cluster.run_for(secs(10));
    cluster.until("agree", secs(5), |c| c.agree(3));
}

/// memberlist drops the newer "dead" without recording it, and a delayed
/// "alive" then wins.
#[test]
fn a_stale_alive_does_not_resurrect() {
    let mut cluster = Cluster::joined(lan(), 3);
    let changes = [
        change(9, Status::Alive, 1),
        change(9, Status::Faulty, 1),
        change(9, Status::Faulty, 10),
        change(9, Status::Alive, 2),
    ];
    tell(&mut cluster, 0, 1, changes.to_vec());
    let known = cluster.member(0, 9).unwrap();
    assert_eq!((known.status, known.incarnation), (Status::Faulty, 10));
}

/// A member that slept through a failure, its tombstone and its end comes back
/// with the old story.
#[test]
fn a_removed_member_is_not_revived_by_one_that_was_paused() {
    let config = lan().to_builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 6);
    let incarnation = cluster.member(0, 5).unwrap().incarnation;
    cluster.crash(5);
    cluster.until("forgotten", secs(120), |c| (0..5).all(|i| c.status(i, 5).is_none()));
    for i in 0..5 {
        tell(&mut cluster, i, 1, vec![change(5, Status::Alive, incarnation)]);
        tell(&mut cluster, i, 2, vec![change(5, Status::Faulty, incarnation)]);
        assert_eq!(cluster.status(i, 5), None);
    }
    assert!((0..5).all(|i| cluster.node(i).stats().changes_about_removed == 2));
    // A process that starts there anew is welcome.
    cluster.start(5, 0..6);
    cluster.until("back", secs(10), |c| c.agree(6));
}

/// The memory of the forgotten must not lock out a process whose clock went
/// back: it is told, and contradicts.
#[test]
fn a_process_that_returns_with_a_lower_clock_after_its_removal_is_alive_again() {
    let config = lan().to_builder().faulty_timeout(secs(10)).tombstone_timeout(secs(5));
    let mut cluster = Cluster::joined(config.build().unwrap(), 5);
    cluster.crash(4);
    cluster.until("forgotten", secs(120), |c| (0..4).all(|i| c.status(i, 4).is_none()));
    cluster.unix_ms -= 3_600_000;
    cluster.start(4, 0..5);
    cluster.until("back", secs(10), |c| c.agree(5));
    assert_eq!(cluster.node(4).stats().refuted, 1);
}

/// Two members that differ in whether they have forgotten somebody would sync
/// for ever: the one that forgot tells the other to.
#[test]
fn a_member_that_still_lists_a_removed_one_gets_its_tombstone() {
    let config = lan().to_builder().tombstone_timeout(secs(5)).build().unwrap();
    let mut cluster = Cluster::joined(config, 4);
    cluster.crash(3);
    cluster.until("faulty", secs(60), |c| c.all_say(3, Status::Faulty));
    let incarnation = cluster.member(0, 3).unwrap().incarnation;
    cluster.command(0, |node, now| node.reap(now, &address(3))).unwrap();
    cluster.until("forgotten", secs(60), |c| (0..3).all(|i| c.status(i, 3).is_none()));
    // A newcomer gets an old list from somebody who left.
    cluster.start(4, [50]);
    let (_, join) = cluster.sent().iter().rfind(|(_, t)| t.to == address(50)).cloned().unwrap();
    let mut changes: Vec<_> = (0..3)
        .map(|i| change(i, Status::Alive, cluster.member(0, i).unwrap().incarnation))
        .collect();
    changes.push(change(3, Status::Faulty, incarnation));
    let list = Body::JoinAck { checksum: 0, changes, next: None };
    cluster.inject(4, message(&address(50), 1, join.message.seq, list));
    cluster.until("one view", secs(30), |c| c.agree(4));
    let syncs = |c: &Cluster| [0, 1, 2, 4].map(|i| c.node(i).stats().syncs_started);
    let before = syncs(&cluster);
    cluster.run_for(secs(60));
    assert_eq!(syncs(&cluster), before, "no sync without a difference");
    assert_eq!(cluster.status(4, 3), None);
}

/// A member that all others have forgotten is pinged by no helper. A member that takes it for alive
/// hears that it is gone; without that its probes would stay inconclusive for ever, as those of
/// Ringpop may.
#[test]
fn a_member_that_probes_a_removed_one_gets_its_tombstone() {
    let config = Config::ringpop().to_builder().tombstone_timeout(secs(5)).build().unwrap();
    let mut cluster = Cluster::joined(config, 5);
    cluster.crash(4);
    cluster.until("faulty", secs(60), |c| c.all_say(4, Status::Faulty));
    let incarnation = cluster.member(0, 4).unwrap().incarnation;
    cluster.command(0, |node, now| node.reap(now, &address(4))).unwrap();
    cluster.until("forgotten", secs(60), |c| (0..4).all(|i| c.status(i, 4).is_none()));
    // A newcomer gets an old list from somebody who left.
    cluster.start(5, [50]);
    let (_, join) = cluster.sent().iter().rfind(|(_, t)| t.to == address(50)).cloned().unwrap();
    let mut changes: Vec<_> = (0..4)
        .map(|i| change(i, Status::Alive, cluster.member(0, i).unwrap().incarnation))
        .collect();
    changes.push(change(4, Status::Alive, incarnation));
    let list = Body::JoinAck { checksum: 0, changes, next: None };
    cluster.inject(5, message(&address(50), 1, join.message.seq, list));
    cluster.until("one view", secs(120), |c| c.agree(5));
    assert_eq!(cluster.status(5, 4), Some(Status::Tombstone));
}

/// A process that slept for an hour does not make its next period as long.
#[test]
fn a_long_sleep_does_not_stretch_the_adaptive_period() {
    let mut cluster = Cluster::joined(Config::ringpop(), 3);
    for _ in 0..30 {
        cluster.freeze(0);
        cluster.run_for(secs(600));
        cluster.thaw(0);
    }
    cluster.forget_traffic();
    cluster.run_for(secs(60));
    let own_ping =
        |t: &Transmit| t.message.from == address(0) && matches!(t.message.body, Body::Ping { .. });
    let pings = cluster.sent().iter().filter(|(_, t)| own_ping(t)).count();
    assert!(pings >= 4, "at least one in twice the longest probe, {pings} in 60 s");
}

/// Kubernetes gives the address of a dead pod to a new one, of the same
/// application or of another.
#[test]
fn an_address_may_get_a_new_process() {
    let mut cluster = Cluster::joined(lan(), 4);
    cluster.crash(3);
    // Quicker than anybody notices.
    let labels = Labels::new([("version", "2")]).unwrap();
    cluster.start_as(3, "app", labels.clone());
    cluster.command(3, |node, now| node.join(now, vec![address(0)])).unwrap();
    cluster.until("agree", secs(10), |c| c.agree(4));
    assert!((0..4).all(|i| cluster.member(i, 3).unwrap().labels == labels));

    cluster.crash(3);
    cluster.start_as(3, "other", Labels::default());
    cluster.until("faulty", secs(60), |c| (0..3).all(|i| c.status(i, 3) == Some(Status::Faulty)));
    assert_eq!(cluster.node(3).len(), 1, "it learned nothing of the others");
}

/// Two clusters that were given each other's addresses stay apart.
#[test]
fn two_applications_on_one_list_do_not_mix() {
    let mut cluster = Cluster::new(lan());
    for i in 0..6 {
        cluster.start_as(i, if i < 3 { "one" } else { "two" }, Labels::default());
    }
    for i in 0..6 {
        let everybody = (0..6).map(address).collect();
        cluster.command(i, |node, now| node.join(now, everybody)).unwrap();
    }
    cluster.run_for(secs(30));
    for i in 0..6 {
        let own = if i < 3 { 0..3 } else { 3..6 };
        assert!((0..6).all(|j| cluster.status(i, j).is_some() == own.contains(&j)), "member {i}");
    }
    let refused =
        |t: &Transmit| matches!(t.message.body, Body::Refused { reason: Refusal::AppMismatch });
    assert!(cluster.sent().iter().any(|(_, t)| refused(t)));
}

/// memberlist #311: all members restart at once, with clocks that went back.
#[test]
fn a_mass_restart_converges() {
    let mut cluster = Cluster::joined(lan(), 12);
    for i in 0..12 {
        cluster.crash(i);
    }
    cluster.run_for(secs(1));
    cluster.unix_ms -= 10_000_000;
    (0..12).for_each(|i| cluster.start(i, 0..12));
    cluster.until("agree", secs(10), |c| c.agree(12));

    // And a part of it, while the others remember.
    (6..12).for_each(|i| cluster.crash(i));
    cluster.run_for(secs(1));
    cluster.unix_ms -= 10_000_000;
    (6..12).for_each(|i| cluster.start(i, 0..12));
    cluster.until("agree", secs(20), |c| c.agree(12));
}

/// Scylla PR #5801: messages to the former process reach the new one.
#[test]
fn messages_from_before_a_restart_do_no_harm() {
    let mut cluster = Cluster::joined(lan(), 4);
    cluster.run_for(secs(5));
    let to_three = |(_, t): &(Instant, Transmit)| t.to == address(3);
    let old: Vec<Transmit> =
        cluster.sent().iter().filter(|x| to_three(x)).map(|(_, t)| t.clone()).collect();
    cluster.crash(3);
    cluster.run_for(secs(20));
    cluster.start(3, 0..4);
    cluster.until("agree", secs(10), |c| c.agree(4));
    let incarnation = cluster.node(3).local().incarnation;
    // Twice and in the wrong order.
    for transmit in old.iter().rev().chain(&old) {
        cluster.inject(3, transmit.message.clone());
    }
    assert_eq!(cluster.node(3).local().incarnation, incarnation, "nothing to refute");
    cluster.run_for(secs(10));
    assert!(cluster.agree(4));
    assert!(cluster.node(3).stats().rejected_replies > 0);
}

/// Rapid's experiments: a member that receives and cannot send. It must go,
/// and stay gone: views that change for ever are worse than a wrong one.
#[test]
fn a_member_that_cannot_send_goes_and_does_not_flap() {
    let mut cluster = Cluster::joined(lan(), 8);
    cluster.cut_one_way(&[7], &[0, 1, 2, 3, 4, 5, 6]);
    cluster.until("gone", secs(60), |c| (0..7).all(|i| c.status(i, 7) == Some(Status::Faulty)));
    cluster.run_for(secs(300));
    for i in 0..7 {
        let history = cluster.history(i, 7);
        let lost = history.iter().filter(|s| **s == Some(Status::Faulty)).count();
        assert_eq!(lost, 1, "{history:?}");
        let others: Vec<usize> = (0..7).filter(|j| *j != i).collect();
        assert!(others.iter().all(|j| cluster.status(i, *j) == Some(Status::Alive)));
    }
}

/// A member that cannot receive hears no answer to its pings: it must not take
/// all others for faulty and make them believe it.
#[test]
fn a_member_that_cannot_receive_does_not_accuse_the_others_for_long() {
    let mut cluster = Cluster::joined(lan(), 8);
    cluster.cut_one_way(&[0, 1, 2, 3, 4, 5, 6], &[7]);
    cluster.run_for(secs(120));
    for i in 0..7 {
        for j in 0..7 {
            let history = cluster.history(i, j);
            assert!(!history.contains(&Some(Status::Faulty)), "{i} of {j}: {history:?}");
        }
    }
}

/// Lifeguard's case: a process that gets no CPU for a while. The others may
/// lose it; it must not make anybody lose another.
#[test]
fn a_pause_costs_nobody_but_the_paused() {
    for pause in [1, 5, 20] {
        let mut cluster = Cluster::joined(lan(), 10);
        for _ in 0..5 {
            cluster.freeze(9);
            cluster.run_for(secs(pause));
            cluster.thaw(9);
            cluster.run_for(secs(2));
        }
        let wrong: Vec<_> =
            faulty_anywhere(&cluster, 10).into_iter().filter(|(_, j)| *j != 9).collect();
        assert_eq!(wrong, [], "pauses of {pause} s");
        cluster.until("agree", secs(60), |c| c.agree(10));
    }
}

/// Guessing the number of a request must not let a peer answer for others.
#[test]
fn a_reply_counts_only_from_the_member_that_was_asked() {
    let mut cluster = Cluster::joined(lan(), 3);
    cluster.forget_traffic();
    let own_ping = |c: &Cluster| {
        let own = |t: &&Transmit| {
            t.message.from == address(0) && matches!(t.message.body, Body::Ping { .. })
        };
        c.sent().iter().map(|(_, t)| t).find(own).cloned()
    };
    cluster.until("a ping", secs(1), |c| own_ping(c).is_some());
    let ping = own_ping(&cluster).unwrap();
    cluster.forget_traffic();
    let stranger = address(99);
    let refused = Body::Refused { reason: Refusal::NotReady };
    cluster.inject(0, message(&stranger, 1, ping.message.seq, refused));
    let lie = Body::Ack { checksum: 0, changes: vec![change(50, Status::Alive, 1)] };
    cluster.inject(0, message(&stranger, 1, ping.message.seq, lie));
    assert_eq!(cluster.sent().len(), 0, "no helper is asked");
    assert_eq!(cluster.status(0, 50), None);
    assert_eq!(cluster.node(0).stats().rejected_replies, 2);
}

/// hyperbahn#32: a storm of full syncs after a change that all learn at once.
#[test]
fn a_burst_of_changes_does_not_end_in_a_storm_of_syncs() {
    let mut cluster = Cluster::joined(lan(), 20);
    cluster.run_for(secs(60));
    cluster.forget_traffic();
    let changes: Vec<_> = (30..130).map(|i| change(i, Status::Faulty, 1)).collect();
    tell(&mut cluster, 0, 1, changes);
    cluster.until("all know all", secs(20), |c| (0..20).all(|i| c.node(i).len() == 120));
    cluster.run_for(secs(60));
    let syncs = cluster.sent().iter().filter(|(_, t)| matches!(t.message.body, Body::Sync(_)));
    // Each member starts one in 30 s as a backstop; the burst adds few.
    let syncs = syncs.count();
    assert!(syncs < 20 * 6, "{syncs}");
}

/// memberlist #299: a steady stream of news must not keep one of them waiting.
#[test]
fn fresh_changes_are_not_starved_by_others() {
    let config = lan().to_builder().message_bytes_max(512).build().unwrap();
    let mut cluster = Cluster::joined(config, 6);
    let old: Vec<_> = (100..200).map(|i| change(i, Status::Faulty, 1)).collect();
    tell(&mut cluster, 0, 1, old);
    tell(&mut cluster, 0, 2, vec![change(250, Status::Faulty, 1)]);
    let took =
        cluster.until("all know it", secs(10), |c| (0..6).all(|i| c.status(i, 250).is_some()));
    assert!(took < Duration::from_secs(3), "the newest goes first: {took:?}");
    cluster.until("and the rest", secs(60), |c| (0..6).all(|i| c.node(i).len() == 107));
}

/// foca #25: two members that take each other for dead must not shout at each
/// other.
#[test]
fn two_members_that_take_each_other_for_dead_keep_quiet() {
    let never = lan().to_builder().heal_probability_base(0).build().unwrap();
    let mut cluster = Cluster::joined(never, 2);
    cluster.cut(&[0], &[1]);
    cluster.until("apart", secs(60), |c| {
        c.status(0, 1) == Some(Status::Faulty) && c.status(1, 0) == Some(Status::Faulty)
    });
    cluster.run_for(secs(60));
    cluster.heal();
    cluster.forget_traffic();
    cluster.run_for(secs(60));
    assert_eq!(cluster.sent().len(), 0);
}

/// A new process at a known address may have another identity: it is placed
/// anew, and the former identity is nowhere any more.
#[test]
fn an_address_may_get_another_identity() {
    let mut cluster = Cluster::joined(lan(), 5);
    for identity in ["one", "two", "one"] {
        cluster.crash(4);
        let labels = Labels::new([(IDENTITY_LABEL, identity)]).unwrap();
        let init = Init {
            app: "app".into(),
            address: address(4),
            identity: Some(identity.into()),
            labels: Labels::default(),
            seed: 7,
            now: cluster.now(),
            unix_ms: cluster.wall_ms(),
        };
        cluster.insert(4, Node::new(lan(), init).unwrap());
        cluster.command(4, |node, now| node.join(now, vec![address(0)])).unwrap();
        let knows = |c: &Cluster, i| c.member(i, 4).is_some_and(|m| m.labels == labels);
        cluster.until("all know", secs(30), |c| (0..5).all(|i| knows(c, i)) && c.agree(5));
        assert!((0..5).all(|i| cluster.member(i, 4).unwrap().identity() == identity));
    }
}

/// consul#2430: two processes that run at one address contradict each other for
/// ever. They cannot be told apart, but must not flood the cluster, and nobody
/// else must suffer.
#[test]
fn two_processes_at_one_address_do_not_flood_the_others() {
    let mut cluster = Cluster::joined(lan(), 8);
    cluster.run_for(secs(30));
    cluster.forget_traffic();
    cluster.run_for(secs(60));
    let usual = cluster.sent().len();
    cluster.start_twin(50, 7, 0..7);
    cluster.run_for(secs(10));
    cluster.forget_traffic();
    let events = cluster.events(0).count();
    cluster.run_for(secs(60));
    assert!(cluster.sent().len() < 2 * usual, "{} messages for {usual}", cluster.sent().len());
    let events = cluster.events(0).count() - events;
    assert!(events < 60 * 5, "{events} events in a minute");
    for i in 0..7 {
        for j in (0..7).filter(|j| *j != i) {
            let history = cluster.history(i, j);
            assert!(!history.contains(&Some(Status::Suspect)), "{i} of {j}: {history:?}");
        }
    }
    // When one of them ends, the other has the last word.
    cluster.crash_twin(7);
    cluster.until("one view", secs(60), |c| c.agree(8));
    assert!((0..7).all(|i| cluster.member(i, 7).unwrap().identity() == address(7).as_str()));
}

/// Rapid, figure 9: a member that receives nothing for 20 seconds, everything
/// for the next 20, and so on. The ring must not change each time.
#[test]
fn a_link_that_comes_and_goes_does_not_change_the_ring_for_ever() {
    let damping = Damping::default();
    let config = lan().to_builder().damping(Some(damping)).build().unwrap();
    let mut cluster = Cluster::joined(config, 12);
    let others: Vec<usize> = (0..11).collect();
    for _ in 0..45 {
        cluster.cut_one_way(&others, &[11]);
        cluster.run_for(secs(20));
        cluster.heal();
        cluster.run_for(secs(20));
    }
    for i in 0..11 {
        // It fails 45 times in half an hour. After a few of them it is off the ring
        // for good: each failure prolongs that, up to an hour.
        let damped = cluster.times(i, |event| matches!(event, Event::Damped { .. }));
        assert_eq!(damped.len(), 1, "as {i} saw it");
        let changes = damped[0] - Instant::ZERO;
        assert!(changes < secs(6 * 40), "as {i} saw it, only after {changes:?}");
        assert!(cluster.node(i).is_damped(&address(11)));
        let wrong = (0..11).filter(|j| cluster.history(i, *j).contains(&Some(Status::Faulty)));
        assert_eq!(wrong.count(), 0, "nobody else suffers");
    }
}

/// Rapid, figure 10: a member that loses four of five of the messages it sends.
/// Whatever becomes of it, nobody else is lost.
#[test]
fn a_member_that_loses_most_of_what_it_sends_harms_nobody_else() {
    let mut cluster = Cluster::joined(lan(), 10);
    let mut random = 1_u64;
    cluster.drop_if(move |from, _, _| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *from == address(9) && !(random >> 33).is_multiple_of(5)
    });
    cluster.run_for(secs(300));
    let wrong: Vec<_> =
        faulty_anywhere(&cluster, 10).into_iter().filter(|(i, j)| *i != 9 && *j != 9).collect();
    assert_eq!(wrong, []);
    cluster.heal();
    cluster.command(9, |node, now| node.heal(now, (0..9).map(address).collect())).unwrap();
    cluster.until("one view", secs(300), |c| c.agree(10));
}

/// serf GH-432: packets that were damaged on their way must not do lasting harm.
#[cfg(feature = "wire")]
#[test]
fn damaged_packets_do_no_lasting_harm() {
    use swim_core::wire::{decode, encode};

    let mut cluster = Cluster::joined(lan(), 6);
    let mut random = 1_u64;
    cluster.translate(move |_, _, message| {
        let mut bytes = encode(message);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let draw = (random >> 33) as usize;
        if draw.is_multiple_of(20) {
            let i = (draw / 20) % bytes.len();
            bytes[i] ^= 1 << (draw / 7 % 8);
        }
        Some(decode(&bytes).ok()?.message)
    });
    for round in 0..20 {
        let labels = Labels::new([("round", round.to_string())]).unwrap();
        cluster.command(round % 6, |node, now| node.set_labels(now, &labels)).unwrap();
        cluster.run_for(secs(10));
    }
    cluster.translate(|_, _, message| Some(message.clone()));
    let alive = |c: &Cluster| {
        (0..6).all(|i| (0..6).all(|j| c.status(i, j) == Some(Status::Alive)))
            && (1..6).all(|i| c.node(i).checksum() == c.node(0).checksum())
    };
    cluster.until("all see all", secs(120), alive);
}
