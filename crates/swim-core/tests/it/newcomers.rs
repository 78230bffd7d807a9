//! Members on a stranger's word (chaos report F7): one request that names a
//! thousand members must not take the keys of those that serve.

use std::time::Duration;

use crate::support::{Cluster, address, change, message, ms, secs};
use swim_core::{Address, Body, Change, Config, Labels, Member, Status};

const N: usize = 5;

fn fake(i: usize) -> Address {
    Address::new(&format!("10.{}.{}.{}:9", 100 + i / 62_500, i / 250 % 250, 1 + i % 250)).unwrap()
}

fn alive(address: Address) -> Change {
    let member = Member::new(address, Status::Alive, 1_700_000_000_000, Labels::default());
    Change { member, source: None }
}

fn config() -> Config {
    Config::builder().verify_claims(true).build().unwrap()
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::joined(config(), N);
    cluster.run_for(secs(10));
    cluster.forget_traffic();
    cluster
}

/// Whether every owner on every ring is a process that runs.
fn owners_run(cluster: &Cluster, n: usize) -> bool {
    (0..n).all(|i| {
        let mut ring: Vec<_> = cluster.node(i).on_ring().map(|member| &member.address).collect();
        ring.sort_unstable();
        (0..n).map(address).collect::<Vec<_>>().iter().eq(ring)
    })
}

fn tell(cluster: &mut Cluster, to: usize, from: &Address, seq: u64, changes: Vec<Change>) {
    cluster.inject(to, message(from, 1, seq, Body::Ping { checksum: 0, changes }));
}

/// Requests that went to invented addresses.
fn dials(cluster: &Cluster) -> usize {
    let invented = |to: &Address| !(0..100).any(|i| *to == address(i));
    cluster.sent().iter().filter(|(_, t)| !t.message.is_reply() && invented(&t.to)).count()
}

/// The budget of dials over a time: a burst, then 20 a second.
fn budget(seconds: usize) -> usize {
    32 + 20 * seconds
}

#[test]
fn one_message_with_a_thousand_members_adds_none() {
    for sender in [fake(0), address(3)] {
        let mut cluster = cluster();
        tell(&mut cluster, 0, &sender, 900, (0..1000).map(fake).map(alive).collect());
        for _ in 0..100 {
            assert!(owners_run(&cluster, N));
            cluster.run_for(ms(200));
        }
        assert!((0..N).all(|i| cluster.node(i).len() == N));
        assert!(dials(&cluster) <= budget(20), "{}", dials(&cluster));
        assert_eq!(cluster.node(0).health_score(), 0, "the fakes slow nobody down");
        assert!(cluster.agree(N));
    }
}

/// The same by the other requests that carry members.
#[test]
fn invented_members_in_ping_reqs_and_syncs_are_not_added_either() {
    let mut cluster = cluster();
    let changes: Vec<Change> = (0..1000).map(fake).map(alive).collect();
    let ask = Body::PingReq { target: address(1), checksum: 0, changes: changes.clone() };
    cluster.inject(0, message(&fake(0), 1, 900, ask));
    let step =
        swim_core::SyncStep::Exchange { buckets: 1, differing: vec![0], cursor: None, changes };
    cluster.inject(0, message(&fake(1), 1, 901, Body::Sync(step)));
    cluster.run_for(secs(20));
    assert!(owners_run(&cluster, N) && cluster.agree(N));
    assert!((0..N).all(|i| cluster.node(i).len() == N));
}

/// Nor by way of being known as gone first.
#[test]
fn invented_members_that_were_gone_do_not_come_back() {
    let mut cluster = cluster();
    for (seq, status, incarnation) in
        [(900, Status::Faulty, 5), (901, Status::Alive, 6), (902, Status::Suspect, 7)]
    {
        let say = |i: usize| {
            let member = Member::new(fake(i), status, incarnation, Labels::default());
            Change { member, source: None }
        };
        tell(&mut cluster, 0, &fake(0), seq, (0..50).map(say).collect());
        cluster.run_for(secs(5));
        assert!(owners_run(&cluster, N));
    }
    assert_eq!(cluster.status(0, 50), None);
    let gone = |i| cluster.node(0).member(&fake(i)).map(|member| member.status);
    assert!((0..50).all(|i| gone(i) == Some(Status::Faulty)));
}

#[test]
fn members_that_crashed_are_not_revived_by_a_stranger_and_return_as_ever() {
    let mut cluster = cluster();
    cluster.crash(4);
    cluster.until("gone", secs(60), |c| (0..4).all(|i| c.status(i, 4) == Some(Status::Faulty)));
    let incarnation = cluster.member(0, 4).unwrap().incarnation;
    for i in 0..4 {
        tell(&mut cluster, i, &address(4), 900, vec![change(4, Status::Alive, incarnation + 1)]);
        assert_eq!(cluster.status(i, 4), Some(Status::Faulty));
    }
    cluster.run_for(secs(5));
    assert!((0..4).all(|i| cluster.status(i, 4) == Some(Status::Faulty)));
    cluster.start(4, 0..4);
    cluster.until("back", secs(2), |c| c.agree(N));
}

/// For a minute, 500 invented members a second, each named by a ping of its own.
#[test]
fn a_storm_of_a_minute_keeps_real_members_on_the_ring_and_lets_new_ones_in() {
    let mut cluster = cluster();
    let mut next = 0;
    let mut real = N;
    for second in 0..60 {
        for _ in 0..10 {
            for _ in 0..50 {
                let from = fake(next);
                tell(&mut cluster, next % N, &from, 1_000 + next as u64, vec![alive(from.clone())]);
                next += 1;
            }
            cluster.run_for(ms(100));
            cluster.forget_traffic();
            let ring = |i| {
                cluster
                    .node(i)
                    .on_ring()
                    .filter(|member| (0..real).all(|j| address(j) != member.address))
            };
            assert!((0..real).all(|i| ring(i).count() == 0), "a fake is on the ring");
            assert!((0..N).all(|i| cluster.node(i).on_ring().count() >= N));
        }
        // One that starts each 20 s is a member everywhere before the next one does.
        if second % 20 == 0 {
            assert!(cluster.agree(real), "at {second} s");
            cluster.start(real, 0..real);
            real += 1;
        }
    }
    assert!(cluster.agree(real));
}

/// 500 processes a second that ask for the list and ping with themselves, each
/// from another address at which nobody answers; a real one among them gets in.
#[test]
fn a_storm_of_joins_adds_nobody_but_those_that_are_reached() {
    let mut cluster = cluster();
    let mut next = 0;
    for tick in 0..100 {
        for _ in 0..50 {
            let from = fake(next);
            let seq = 1_000 + next as u64;
            cluster.inject(next % N, message(&from, 1, seq, Body::Join { cursor: None, nonce: 0 }));
            tell(&mut cluster, next % N, &from, seq + 1_000_000, vec![alive(from.clone())]);
            next += 1;
        }
        cluster.run_for(ms(100));
        if tick == 30 {
            cluster.start(N, 0..N);
        }
        if tick <= 30 {
            assert!(owners_run(&cluster, N), "at tick {tick}");
        }
        let others = |i| cluster.node(i).on_ring().count() - usize::from(tick > 30);
        assert!((0..N).all(|i| others(i) <= N), "an invented member is on the ring");
    }
    // Pings of newcomers, and syncs with those that find the table full.
    assert!(dials(&cluster) <= 2 * N * budget(10), "{}", dials(&cluster));
    cluster.until("the real one is in", secs(20), |c| c.agree(N + 1));
}

#[test]
fn pings_of_thirty_thousand_strangers_cost_a_bounded_number_of_dials() {
    let mut cluster = cluster();
    let timers = cluster.node(0).pending_timers();
    for i in 0..30_000 {
        let ping = Body::Ping { checksum: 1, changes: vec![] };
        cluster.inject(0, message(&fake(i), 5, 1_000 + i as u64, ping));
        if i % 3_000 == 0 {
            cluster.run_for(secs(1));
            // Each is answered; that is all the memory of the test.
            let made = dials(&cluster);
            cluster.forget_replies();
            assert!(made <= budget(1 + i / 3_000), "{made} after {i}");
        }
    }
    cluster.run_for(secs(5));
    assert!(cluster.node(0).pending_timers() <= timers + 8, "nothing is left of them");
    assert_eq!(cluster.node(0).len(), N);
    cluster.start(N, 0..N);
    cluster.until("a member joins as ever", secs(5), |c| c.agree(N + 1));
}

/// Legitimate newcomers are as fast as they were: one round trip more.
#[test]
fn a_member_that_joins_is_on_every_ring_within_two_seconds() {
    for n in [1, 2, 5, 20] {
        let mut cluster = Cluster::joined(config(), n);
        cluster.run_for(secs(10));
        cluster.start(n, 0..n);
        cluster.until("all know it", secs(2), |c| c.agree(n + 1));
    }
}

#[test]
fn members_that_join_at_once_are_all_added() {
    let mut cluster = cluster();
    (N..N + 60).for_each(|i| cluster.start(i, 0..N));
    cluster.until("all know them", secs(10), |c| c.agree(N + 60));
}

fn joins(cluster: &Cluster) -> usize {
    let is_join = |body: &Body| matches!(body, Body::Join { .. });
    cluster.sent().iter().filter(|(_, sent)| is_join(&sent.message.body)).count()
}

/// Most of them join while the hosts know few of the others, and look again at what the hosts
/// know. They do so while newcomers are many, and some seconds at most.
#[test]
fn members_that_start_together_look_again_at_the_lists_of_their_hosts() {
    let n = 120;
    let mut cluster = Cluster::new(config());
    (0..n).for_each(|i| cluster.start(i, 0..3));
    cluster.until("all know them", Duration::from_millis(2500), |c| c.agree(n));
    cluster.run_for(secs(8));
    cluster.forget_traffic();
    cluster.start(n, 0..3);
    cluster.run_for(secs(10));
    assert!(cluster.agree(n + 1));
    assert!(joins(&cluster) <= 3, "one newcomer is no reason: {}", joins(&cluster));
}

/// Nobody else names it, and its silence is no proof: the host that was joined knows better.
#[test]
fn a_newcomer_that_one_member_alone_reaches_is_on_the_list_of_a_host() {
    let mut cluster = Cluster::new(config());
    cluster.cut(&[1], &[2]);
    (0..3).for_each(|i| cluster.start(i, [0]));
    cluster.until("all know it", secs(6), |c| c.agree(3));
}

/// A member that hears of a newcomer by a request only and cannot reach it learns of it
/// from the answers of the others.
#[test]
fn a_newcomer_behind_a_broken_link_is_added_on_the_word_of_members() {
    let mut cluster = cluster();
    cluster.cut(&[0], &[N]);
    cluster.start(N, 1..N);
    cluster.until("all know it", Duration::from_secs(10), |c| c.agree(N + 1));
}

/// A member that lies: whatever it sends but member lists to those who join names a
/// thousand members that do not exist.
fn lies(cluster: &mut Cluster, liar: usize) {
    cluster.translate(move |from, _, sent| {
        let mut sent = sent.clone();
        let fakes = (0..1000).map(fake).map(alive);
        match &mut sent.body {
            Body::Ping { changes, .. }
            | Body::Ack { changes, .. }
            | Body::PingReq { changes, .. }
            | Body::PingReqAck { changes, .. }
            | Body::SyncAck { changes, .. }
            | Body::Sync(swim_core::SyncStep::Exchange { changes, .. })
                if *from == address(liar) =>
            {
                changes.extend(fakes);
            }
            _ => {}
        }
        Some(sent)
    });
}

/// A process that was admitted, because it answers, and then invents members.
#[test]
fn invented_members_in_the_answers_of_a_member_never_get_on_a_ring() {
    for n in [2, 3, N] {
        let mut cluster = Cluster::joined(config(), n);
        cluster.run_for(secs(5));
        lies(&mut cluster, n - 1);
        cluster.forget_traffic();
        for tick in 0..300 {
            cluster.run_for(ms(200));
            assert!(owners_run(&cluster, n), "{n} members, tick {tick}");
            let others = |i: usize| cluster.node(i).len();
            assert!((0..n).all(|i| others(i) == n), "fakes are held apart");
            assert!(
                (0..n - 1).all(|i| cluster.node(i).health_score() == 0),
                "nobody is slowed down"
            );
        }
        // Each that a member names is pinged once in 10 s by each member.
        assert!(dials(&cluster) <= n * (budget(60) + 6_000), "{}", dials(&cluster));
    }
}

/// Those that a liar names leave room for real ones, which have its word besides their own.
#[test]
fn a_member_that_joins_beside_a_liar_is_on_every_ring_within_two_seconds() {
    let mut cluster = cluster();
    lies(&mut cluster, N - 1);
    cluster.run_for(secs(30));
    cluster.start(N, 0..N - 1);
    cluster
        .until("all know it", secs(2), |c| (0..=N).all(|i| c.status(i, N) == Some(Status::Alive)));
    assert!((0..=N).all(|i| cluster.node(i).on_ring().count() == N + 1));
}

/// As many as join at once where one of the members lies.
#[test]
fn members_that_join_at_once_beside_a_liar_are_all_added() {
    let mut cluster = cluster();
    lies(&mut cluster, N - 1);
    cluster.run_for(secs(10));
    (N..N + 30).for_each(|i| cluster.start(i, 0..N - 1));
    let all = |c: &Cluster| (0..N + 30).all(|i| c.node(i).on_ring().count() == N + 30);
    cluster.until("all know them", secs(10), all);
}

/// A process that lives may join; what it says of others is no evidence.
#[test]
fn a_stranger_that_answers_is_added_alone() {
    let mut cluster = cluster();
    tell(&mut cluster, 0, &address(50), 900, vec![alive(address(50))]);
    let (_, ping) =
        cluster.sent().iter().find(|(_, t)| t.to == address(50) && !t.message.is_reply()).unwrap();
    let seq = ping.message.seq;
    let changes = (0..100).map(fake).map(alive).collect();
    cluster.inject(
        0,
        message(&address(50), 1_700_000_000_000, seq, Body::Ack { checksum: 0, changes }),
    );
    assert_eq!(cluster.status(0, 50), Some(Status::Alive));
    assert_eq!(cluster.node(0).len(), N + 1);
}

/// Ringpop believes every sender, and so does its preset.
#[test]
fn with_the_rules_of_ringpop_every_sender_is_believed() {
    let mut cluster = Cluster::joined(Config::ringpop(), 3);
    tell(&mut cluster, 0, &address(9), 900, vec![change(9, Status::Alive, 1_700_000_000_000)]);
    assert_eq!(cluster.status(0, 9), Some(Status::Alive));
}
