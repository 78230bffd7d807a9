//! Flap damping: members that fail and come back again and again leave the
//! ring for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Cluster, address, change, message, ms, secs};
use swim_core::{
    Address, Body, Change, Config, Damping, DampingEnd, Event, Instant, Labels, Member, Source,
    Status, VOTES_LABEL,
};

const N: usize = 12;

/// Scores that fade within minutes, so that the tests see their end.
const DAMPING: Damping = Damping { half_life: Duration::from_secs(120), ..Damping::DEFAULT };

fn config() -> Config {
    Config::builder().damping(Some(DAMPING)).build().unwrap()
}

fn running(cluster: &Cluster) -> impl Iterator<Item = usize> + '_ {
    (0..20).filter(|i| cluster.is_running(*i))
}

/// Whether all running members damp exactly these members.
fn all_damp(cluster: &Cluster, damped: &[usize]) -> bool {
    let damped: Vec<Address> = damped.iter().map(|i| address(*i)).collect();
    running(cluster).all(|i| cluster.node(i).damped().eq(&damped))
}

/// The ring of each running member, as sorted addresses.
fn rings(cluster: &Cluster) -> Vec<Vec<Address>> {
    let ring = |i| {
        let mut ring: Vec<_> = cluster.node(i).on_ring().map(|m| m.address.clone()).collect();
        ring.sort();
        ring
    };
    running(cluster).map(ring).collect()
}

/// A member fails and comes back.
fn flap(cluster: &mut Cluster, i: usize, n: usize) {
    cluster.crash(i);
    cluster.until("faulty", secs(60), |c| c.all_say(i, Status::Faulty));
    cluster.start(i, 0..n);
    cluster.until("back", secs(30), |c| c.agree(n));
}

/// Lets a member flap until everybody damps it.
fn damp(cluster: &mut Cluster, i: usize, n: usize) {
    for _ in 0..4 {
        flap(cluster, i, n);
    }
    cluster.until("damped everywhere", secs(30), |c| all_damp(c, &[i]));
}

/// What each member knows of damping, in order: who, and whether it began.
fn story(cluster: &Cluster, i: usize) -> Vec<(Address, Option<DampingEnd>)> {
    let line = |event: &Event| match event {
        Event::Damped { address, .. } => Some((address.clone(), None)),
        Event::Undamped { address, why } => Some((address.clone(), Some(*why))),
        _ => None,
    };
    cluster.events(i).filter_map(line).collect()
}

#[test]
fn a_member_that_flaps_leaves_every_ring_and_returns_after_a_while() {
    let mut cluster = Cluster::joined(config(), N);
    for _ in 0..3 {
        flap(&mut cluster, 11, N);
    }
    cluster.run_for(secs(5));
    assert!(all_damp(&cluster, &[]), "three failures are not enough");
    flap(&mut cluster, 11, N);
    cluster.until("damped everywhere", secs(30), |c| all_damp(c, &[11]));
    let damped_at = cluster.now();
    // All rings are the same, its own included, and it is not on them.
    cluster.until("one view", secs(30), |c| c.agree(N));
    let mut rings = rings(&cluster);
    rings.dedup();
    assert_eq!(rings.len(), 1, "{rings:?}");
    assert_eq!(rings[0].len(), N - 1);
    assert!(!rings[0].contains(&address(11)));
    // Everybody was told who, and by whose votes.
    for i in 0..N {
        let voters = cluster.events(i).find_map(|event| match event {
            Event::Damped { address: who, voters } if *who == address(11) => Some(voters),
            _ => None,
        });
        assert!(voters.unwrap().len() >= DAMPING.quorum, "as {i} saw it");
    }
    cluster.until("returned", secs(3600), |c| all_damp(c, &[]));
    assert!(cluster.now() - damped_at > secs(60), "it takes a while");
    cluster.until("one view", secs(30), |c| c.agree(N));
    assert!(self::rings(&cluster).iter().all(|ring| ring.len() == N));
    for i in 0..11 {
        let expected = [(address(11), None), (address(11), Some(DampingEnd::VotesEnded))];
        assert_eq!(story(&cluster, i), expected, "as {i} saw it");
        assert_eq!(cluster.node(i).stats().damped, 1);
        assert_eq!(cluster.node(i).stats().undamped, 1);
    }
    // No vote is left anywhere, so that nothing is carried along for ever.
    cluster.run_for(secs(600));
    for i in 0..N {
        assert!(cluster.node(i).members().all(|m| m.labels.get(VOTES_LABEL).is_none()));
        let stats = cluster.node(i).stats();
        assert_eq!(stats.damp_votes_cast, stats.damp_votes_withdrawn);
    }
}

#[test]
fn a_damped_member_is_a_member_and_is_probed() {
    let mut cluster = Cluster::joined(config(), N);
    damp(&mut cluster, 11, N);
    cluster.forget_traffic();
    cluster.run_for(secs(10));
    assert!(cluster.all_say(11, Status::Alive));
    let pings =
        cluster.sent().iter().filter(|(_, t)| t.to == address(11) && is_ping(&t.message.body));
    assert!(pings.count() > 20, "it is probed like others");
    // And its failure is noticed.
    cluster.crash(11);
    cluster.until("faulty", secs(60), |c| c.all_say(11, Status::Faulty));
    assert!(all_damp(&cluster, &[11]), "its place is kept for its return");
}

fn is_ping(body: &Body) -> bool {
    matches!(body, Body::Ping { .. })
}

#[test]
fn a_restart_does_not_end_the_damping() {
    let mut cluster = Cluster::joined(config(), N);
    damp(&mut cluster, 11, N);
    cluster.crash(11);
    // Quicker than anybody notices.
    cluster.start(11, 0..N);
    cluster.until("back", secs(30), |c| c.agree(N));
    assert!(all_damp(&cluster, &[11]), "the new process knows it of itself, too");
    cluster.until("returned", secs(3600), |c| all_damp(c, &[]));
}

#[test]
fn a_voter_that_is_gone_does_not_vote() {
    let mut cluster = Cluster::joined(config(), N);
    damp(&mut cluster, 11, N);
    let votes = |c: &Cluster, i| c.member(11, i).unwrap().labels.get(VOTES_LABEL).is_some();
    let voters: Vec<usize> = (0..11).filter(|i| votes(&cluster, *i)).collect();
    let gone = voters.len() - (DAMPING.quorum - 1);
    for i in &voters[..gone] {
        cluster.command(*i, |node, now| node.leave(now)).unwrap();
    }
    cluster.until("too few votes", secs(30), |c| all_damp(c, &[]));
}

#[test]
fn about_as_many_vote_as_must() {
    let n = 40;
    let mut cluster = Cluster::joined(config(), n);
    for _ in 0..4 {
        flap(&mut cluster, 11, n);
    }
    cluster.until("damped", secs(60), |c| (0..n).all(|i| c.node(i).is_damped(&address(11))));
    cluster.run_for(secs(20));
    let votes: u64 = (0..n).map(|i| cluster.node(i).stats().damp_votes_cast).sum();
    assert!((3..15).contains(&votes), "{votes} of 40 have voted");
}

#[test]
fn at_most_a_tenth_is_damped_and_all_choose_the_same() {
    let mut cluster = Cluster::joined(config(), N);
    for _ in 0..4 {
        for i in [10, 11] {
            cluster.crash(i);
        }
        cluster
            .until("faulty", secs(60), |c| [10, 11].iter().all(|i| c.all_say(*i, Status::Faulty)));
        for i in [10, 11] {
            cluster.start(i, 0..N);
        }
        cluster.until("back", secs(30), |c| c.agree(N));
    }
    cluster.until("one of two", secs(60), |c| all_damp(c, &[10]));
    cluster.run_for(secs(30));
    assert!(all_damp(&cluster, &[10]), "one of twelve, the first by address");
    // When the first has returned, the other takes its place if it must.
    cluster.until("none", secs(3600), |c| all_damp(c, &[]));
}

#[test]
fn fewer_than_ten_members_damp_nobody() {
    let mut cluster = Cluster::joined(config(), 9);
    for _ in 0..6 {
        flap(&mut cluster, 8, 9);
    }
    cluster.run_for(secs(10));
    assert!(all_damp(&cluster, &[]));
    let score = cluster.node(0).flap_score(&address(8));
    assert!(score >= DAMPING.suppress_limit, "{score}: it is the size that protects it");
}

/// A broken member that takes another for dead, and says so again and again,
/// and votes for whatever it can.
#[test]
fn one_member_alone_damps_nobody() {
    let mut cluster = Cluster::joined(config(), N);
    let liar = address(0);
    for round in 0..30 {
        let known = cluster.member(1, 11).unwrap().incarnation;
        let incarnation = cluster.node(0).local().incarnation;
        let source = Some(Source { address: liar.clone(), incarnation });
        for status in [Status::Suspect, Status::Faulty] {
            let lie = Change { source: source.clone(), ..change(11, status, known) };
            for to in 1..11 {
                let body = Body::Ping { checksum: 0, changes: vec![lie.clone()] };
                cluster.inject(to, message(&liar, incarnation, 1_000_000 + round, body));
            }
        }
        cluster.until("refuted", secs(30), |c| c.agree(N));
    }
    assert!((1..N).all(|i| cluster.node(i).flap_score(&address(11)) == 0), "nobody else saw it");

    let everybody: Vec<String> = (1..N).map(|i| address(i).to_string()).collect();
    let votes = Labels::new([(VOTES_LABEL, everybody.join(" "))]).unwrap();
    let incarnation = cluster.node(0).local().incarnation + 1;
    let member = Member::new(liar.clone(), Status::Alive, incarnation, votes);
    cluster.crash(0);
    let body = Body::Ping { checksum: 0, changes: vec![Change { member, source: None }] };
    cluster.inject(1, message(&liar, incarnation, 1, body));
    let has_votes =
        |c: &Cluster, i| c.member(i, 0).is_some_and(|liar| liar.labels.get(VOTES_LABEL).is_some());
    cluster.until("all know its votes", secs(5), |c| (1..N).all(|i| has_votes(c, i)));
    assert!(all_damp(&cluster, &[]));
}

/// Votes that somebody says others have cast end when these hear of it.
#[test]
fn forged_votes_are_refuted() {
    let mut cluster = Cluster::joined(config(), N);
    let votes = Labels::new([(VOTES_LABEL, address(11).to_string())]).unwrap();
    let forged = |c: &Cluster, i: usize| {
        let incarnation = c.node(i).local().incarnation + 1;
        let member = Member::new(address(i), Status::Alive, incarnation, votes.clone());
        Change { member, source: None }
    };
    let changes = (0..5).map(|i| forged(&cluster, i)).collect();
    cluster.inject(7, message(&address(99), 1, 1, Body::Ping { checksum: 0, changes }));
    assert!(cluster.node(7).is_damped(&address(11)));
    cluster.until("over", secs(5), |c| all_damp(c, &[]) && c.agree(N));
}

/// Equal checksums, equal rings: at every moment, through loss and failures.
#[test]
fn members_with_one_checksum_damp_the_same() {
    // One failure is enough, and the vote ends after some.
    let damping = Damping { penalty: 5000, half_life: secs(30), ..DAMPING };
    let config = Config::builder().damping(Some(damping)).build().unwrap();
    let mut cluster = Cluster::joined(config, N);
    cluster.set_loss(30);
    let mut damped = 0;
    for round in 0..12 {
        let flapper = 9 + round % 3;
        if cluster.is_running(flapper) {
            cluster.crash(flapper);
        }
        for _ in 0..200 {
            cluster.run_for(ms(100));
            let mut views: BTreeMap<u64, Vec<Address>> = BTreeMap::new();
            for i in running(&cluster) {
                let node = cluster.node(i);
                let mine: Vec<Address> = node.damped().cloned().collect();
                damped += usize::from(i == 0 && !mine.is_empty());
                assert_eq!(*views.entry(node.checksum()).or_insert(mine.clone()), mine);
            }
        }
        cluster.start(flapper, 0..N);
    }
    assert!(damped > 100, "there was something to agree on: {damped}");
    cluster.set_loss(0);
    cluster.until("one view", secs(120), |c| c.agree(N));
    cluster.until("all return", secs(7200), |c| all_damp(c, &[]));
}

#[test]
fn without_damping_nothing_happens() {
    let mut cluster = Cluster::joined(Config::lan(), N);
    for _ in 0..6 {
        flap(&mut cluster, 11, N);
    }
    for i in 0..N {
        assert_eq!(cluster.node(i).flap_score(&address(11)), 0);
        assert!(story(&cluster, i).is_empty());
    }
    assert_eq!(Config::ringpop().damping(), None);
}

#[test]
fn leaving_and_joining_again_is_no_failure() {
    let mut cluster = Cluster::joined(config(), N);
    for _ in 0..10 {
        cluster.command(11, |node, now| node.leave(now)).unwrap();
        cluster.until("left", secs(10), |c| c.all_say(11, Status::Leave));
        cluster.crash(11);
        cluster.start(11, 0..N);
        cluster.until("back", secs(10), |c| c.agree(N));
    }
    assert!((0..11).all(|i| cluster.node(i).flap_score(&address(11)) == 0));
}

/// However often a member fails, it is damped for `duration_max` and the time in
/// which votes are cast. After that it takes as many failures as at first.
#[test]
fn the_longest_damping_is_bounded() {
    let duration_max = secs(100);
    let damping = Damping { duration_max, ..DAMPING };
    let config = Config::builder().damping(Some(damping)).build().unwrap();
    let mut cluster = Cluster::joined(config, N);
    damp(&mut cluster, 11, N);
    for _ in 0..40 {
        cluster.crash(11);
        cluster.run_for(secs(8));
        cluster.start(11, 0..N);
        cluster.run_for(secs(4));
    }
    let times: Vec<Instant> =
        cluster.times(0, |event| matches!(event, Event::Damped { .. } | Event::Undamped { .. }));
    assert!(times.len() >= 4, "damped, not damped, damped, not damped: {times:?}");
    let lasted: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for damped in lasted.iter().step_by(2) {
        assert!(*damped < duration_max + secs(10), "{lasted:?}");
    }
    for free in lasted.iter().skip(1).step_by(2) {
        assert!(*free > secs(3 * 12), "four failures, not one: {lasted:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused =
        |damping| Config::builder().damping(Some(damping)).build().unwrap_err().to_string();
    let error = refused(Damping { quorum: 1, ..DAMPING });
    assert_eq!(error, "damping.quorum is 1, it must be between 2 and 16");
    let error = refused(Damping { suppress_limit: 2500, ..DAMPING });
    assert_eq!(error, "damping.suppress_limit is 2500, it must be between 2501 and 10000");
    let error = refused(Damping { penalty: 0, ..DAMPING });
    assert_eq!(error, "damping.penalty is 0, it must be between 1 and 10000");
    let error = refused(Damping { half_life: Duration::ZERO, ..DAMPING });
    assert_eq!(error, "damping.half_life is 0ns, it must be at least 1s");
    let error = refused(Damping { score_max: u32::MAX, ..DAMPING });
    assert_eq!(error, "damping.score_max is 4294967295, it must be between 2 and 1000000");
}

/// Suspects a member on behalf of others, one after the other, and lets it refute
/// each time.
fn suspect_in_turn(cluster: &mut Cluster, subject: usize, accusers: &[usize]) {
    for (seq, accuser) in (10_000..).zip(accusers) {
        let known = cluster.node(subject).local().clone();
        let source = Source { address: address(*accuser), incarnation: 1 };
        let (status, incarnation) = (Status::Suspect, known.incarnation);
        let member = Member::new(address(subject), status, incarnation, known.labels);
        let suspect = Change { member, source: Some(source) };
        let body = Body::Ping { checksum: 0, changes: vec![suspect] };
        cluster.inject(*accuser, message(&address(0), 1, seq, body));
        cluster.run_for(secs(3));
        assert_eq!(cluster.status(*accuser, subject), Some(Status::Alive), "it refutes");
    }
}

/// A member that comes and goes faster than a suspicion lasts is never faulty
/// (cockroach#5730).
#[test]
fn suspicions_of_many_that_are_refuted_each_time_are_failures() {
    let mut cluster = Cluster::joined(config(), N);
    let accusers: Vec<usize> = (1..10).cycle().take(18).collect();
    suspect_in_turn(&mut cluster, 11, &accusers);
    cluster.until("damped everywhere", secs(30), |c| all_damp(c, &[11]));
    assert!(!cluster.history(1, 11).contains(&Some(Status::Faulty)));
}

#[test]
fn suspicions_of_two_that_are_refuted_each_time_are_not() {
    let mut cluster = Cluster::joined(config(), N);
    let accusers: Vec<usize> = [1, 2].into_iter().cycle().take(18).collect();
    suspect_in_turn(&mut cluster, 11, &accusers);
    cluster.run_for(secs(30));
    assert!(all_damp(&cluster, &[]));
}
