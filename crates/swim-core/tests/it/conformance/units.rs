//! Unit tests of ringpop-go that say more than the suite, as stories: one real
//! member among fakes.

use std::time::Duration;

use swim_core::Status::{Alive, Faulty, Leave, Suspect};
use swim_core::{
    Address, Body, Event, Init, Instant, JoinFailure, Labels, Node, Output, Refusal, Source, State,
};

use super::fakes::{APP, Helper, INCARNATION, REAL_INCARNATION, config, fake, member, real, said};
use super::suite::{Sent, Suite};

// --- memberlist_test.go ---

#[test]
fn local_faulty_override_and_local_suspect_override() {
    for status in [Suspect, Faulty] {
        for heard in [REAL_INCARNATION - 1, REAL_INCARNATION, REAL_INCARNATION + 1] {
            let mut suite = Suite::prepare(2);
            suite.ping(0, vec![said(0, member(real(), status, heard))]);
            let local = suite.sut.local();
            assert_eq!(local.status, Alive);
            let refuted = heard >= REAL_INCARNATION;
            assert_eq!(local.incarnation > REAL_INCARNATION, refuted, "{status} {heard}");
            assert!(local.incarnation > heard);
            suite.finish();
        }
    }
}

#[test]
fn updates_are_propagated_about_members_of_any_status() {
    let statuses = [(10, Alive), (11, Faulty), (12, Suspect), (13, Leave)];
    let mut suite = Suite::prepare(3);
    suite.drain();
    let changes: Vec<_> =
        statuses.iter().map(|(i, status)| said(0, member(fake(*i), *status, 1))).collect();
    suite.ping(0, changes.clone());
    let ping = suite.next_ping(|ping| ping.to != fake(0));
    assert_eq!(ping.changes().len(), 4);
    assert!(changes.iter().all(|change| ping.changes().contains(change)));
    suite.assert_counts(&[(Alive, 5), (Faulty, 1), (Suspect, 1), (Leave, 1)]);
    suite.finish();
}

// --- disseminator_test.go ---

/// `BumpPiggybackAsReceiver`, `DisseminationCounterAfterBootstrap`: 15 times
/// with up to 9 others, 30 times with 10.
#[test]
fn answers_count_as_sent_at_once() {
    for (n, sends) in [(1, 15), (9, 15), (10, 30)] {
        let mut suite = Suite::prepare(n);
        suite.command(Node::pause);
        for _ in 0..30 {
            suite.ping(0, Vec::new());
        }
        assert_eq!(suite.sut.pending_changes(), 0);
        suite.tell(0, 50, Faulty, 1);
        let elsewhere = fake(60);
        let told = |suite: &mut Suite| {
            let checksum = suite.sut.checksum();
            let seq = suite.request(&elsewhere, Body::Ping { checksum, changes: Vec::new() });
            matches!(suite.answer(seq), Some(Body::Ack { changes, .. }) if !changes.is_empty())
        };
        let times = std::iter::repeat_with(|| told(&mut suite)).take(40).filter(|told| *told);
        assert_eq!(times.count(), sends, "with {n} others");
        suite.finish();
    }
}

/// `BumpPiggybackAsSender`.
#[test]
fn requests_count_as_sent_when_they_are_answered() {
    let mut suite = Suite::prepare(4);
    suite.drain();
    // A probe that nobody answers: one ping, three ping-reqs, no conclusion.
    suite.stop_answering_pings();
    suite.fakes.iter_mut().for_each(|fake| fake.helper = Helper::Silent);
    suite.forget_probes();
    let labels = Labels::new([("zone", "a")]).unwrap();
    suite.command(|sut, now| sut.set_labels(now, &labels)).unwrap();
    let failed = |event: &Event| matches!(event, Event::ProbeFailed { conclusive: false, .. });
    suite.until("an inconclusive probe", |suite| suite.events.iter().any(failed));
    suite.fakes.iter_mut().for_each(|fake| fake.answers_pings = true);
    suite.until("all is spread", |suite| suite.sut.pending_changes() == 0);
    let own = |sent: &Sent| sent.changes().iter().any(|c| c.member.labels == labels);
    let sent = suite.take(own);
    assert_eq!(sent.iter().filter(|sent| sent.is_ping_req()).count(), 3);
    assert_eq!(sent.len(), 1 + 3 + 15);
}

/// `FilterChangesFromSender`: source and its incarnation must match.
#[test]
fn changes_from_the_sender_are_filtered_by_address_and_incarnation() {
    let mut suite = Suite::prepare(3);
    suite.drain();
    suite.tell(0, 1, Suspect, INCARNATION);
    let mut answer = |from: usize, incarnation| {
        let body = Body::Ping { checksum: suite.sut.checksum(), changes: Vec::new() };
        let seq = suite.request_as(APP, &fake(from), incarnation, body);
        match suite.answer(seq) {
            Some(Body::Ack { changes, .. }) => changes.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer(0, INCARNATION), 0, "its own change");
    assert_eq!(answer(0, INCARNATION + 1), 1, "a later self, which may not know it");
    assert_eq!(answer(2, INCARNATION), 1, "another member");
}

// --- state_transitions_test.go ---

#[test]
fn starting_suspect_timer_twice_keeps_the_first() {
    let mut suite = Suite::with_status(2, Suspect);
    suite.run_for(Duration::from_secs(3));
    suite.tell(0, 1, Suspect, INCARNATION);
    let took = suite.until("faulty", |suite| suite.status(1) == Some(Faulty));
    assert_eq!(took, Duration::from_secs(2));
    suite.finish();
}

#[test]
fn a_refutation_cancels_the_timer() {
    let mut suite = Suite::with_status(2, Suspect);
    suite.run_for(Duration::from_secs(3));
    suite.tell(1, 1, Alive, INCARNATION + 1);
    suite.run_for(Duration::from_secs(30));
    assert_eq!(suite.status(1), Some(Alive));
    suite.finish();
}

// --- ping_request_test.go ---

/// `IndirectPing1` to `7`: what the helpers say, and what the asker makes of
/// it. Fewer helpers than configured that all stay silent still count against
/// the target, as in ringpop-go.
#[test]
fn indirect_ping_1_to_7() {
    use Helper::{Misses, Reaches, Silent};
    let cases: [(&[Helper], bool); 9] = [
        (&[Reaches, Reaches, Reaches], false),
        (&[Reaches, Misses, Misses], false),
        (&[Reaches, Silent, Silent], false),
        (&[Reaches, Silent], false),
        (&[Misses, Misses, Misses], true),
        (&[Misses, Silent, Silent], true),
        (&[Silent, Silent, Silent], false),
        (&[Silent, Silent], true),
        (&[], true),
    ];
    for (helpers, suspected) in cases {
        let mut suite = Suite::prepare(helpers.len() + 1);
        suite.fakes[0].answers_pings = false;
        for (fake, helper) in suite.fakes[1..].iter_mut().zip(helpers) {
            fake.helper = *helper;
        }
        suite.next_ping(|ping| ping.to == fake(0));
        suite.run_for(Duration::from_millis(6510));
        let suspect = |event: &Event| {
            matches!(event, Event::MemberChanged { after: Some(member), .. }
                if member.address == fake(0) && member.status == Suspect)
        };
        assert_eq!(suite.events.iter().any(suspect), suspected, "{helpers:?}");
        suite.finish();
    }
}

/// `PingBeforeReady`, and a target that refuses is one that does not answer.
#[test]
fn a_ping_before_the_join_is_refused() {
    let mut node = node(real());
    node.join(Instant::ZERO, vec![fake(0)]).unwrap();
    assert_eq!(node.state(), State::Joining);
    let Some(Output::Transmit(_)) = node.poll_output() else { panic!("a join") };
    node.handle_message(
        Instant::ZERO,
        swim_core::Message {
            app: APP.into(),
            from: fake(0),
            from_incarnation: 1,
            seq: 7,
            body: Body::Ping { checksum: 0, changes: vec![said(0, member(fake(1), Alive, 1))] },
        },
    );
    assert_eq!(refusal(&mut node), Some(Refusal::NotReady));
    assert_eq!(node.len(), 1);
}

// --- join_test.go, join_delayer_test.go, node_bootstrap_test.go ---

fn node(address: Address) -> Node {
    let init = Init {
        app: APP.into(),
        address,
        identity: None,
        labels: Labels::default(),
        seed: 3,
        now: Instant::ZERO,
        unix_ms: REAL_INCARNATION,
    };
    Node::new(config(), init).unwrap()
}

fn refusal(node: &mut Node) -> Option<Refusal> {
    std::iter::from_fn(|| node.poll_output()).find_map(|output| match output {
        Output::Transmit(transmit) => match transmit.message.body {
            Body::Refused { reason } => Some(reason),
            _ => None,
        },
        Output::Event(_) => None,
    })
}

#[test]
fn select_group_prioritizes_other_hosts_and_excludes_itself() {
    let mut node = node(real());
    let near = (0..20).map(fake);
    let far = (0..6).map(|i| format!("10.0.0.{i}:80").parse().unwrap());
    node.join(Instant::ZERO, near.chain(far).chain([real()]).collect()).unwrap();
    let asked: Vec<Address> = std::iter::from_fn(|| node.poll_output())
        .filter_map(|output| match output {
            Output::Transmit(transmit) => Some(transmit.to),
            Output::Event(_) => None,
        })
        .collect();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|peer| peer.host() != real().host()), "{asked:?}");
}

#[test]
fn join_different_app_and_join_self_are_refused() {
    let mut suite = Suite::prepare(2);
    let join = Body::Join { cursor: None, nonce: 0 };
    let seq = suite.request_as("different-app", &fake(0), 1, join.clone());
    assert_eq!(suite.answer(seq), Some(&Body::Refused { reason: Refusal::AppMismatch }));
    let seq = suite.request_as(APP, &real(), 1, join);
    assert_eq!(suite.answer(seq), Some(&Body::Refused { reason: Refusal::SelfAddress }));
    suite.assert_counts(&[(Alive, 3)]);
}

/// `DelayWithRandomness`, `MaxDelayReached`, `BootstrapJoinsTimeOut`: the pause
/// is drawn between the former bound and the present one, and at the largest
/// there is nothing to draw.
#[test]
fn pauses_between_join_rounds_are_drawn_between_growing_bounds() {
    let builder = config().to_builder().join_duration_max(Duration::from_secs(600));
    let init = Init {
        app: APP.into(),
        address: real(),
        identity: None,
        labels: Labels::default(),
        seed: 3,
        now: Instant::ZERO,
        unix_ms: REAL_INCARNATION,
    };
    let mut node = Node::new(builder.build().unwrap(), init).unwrap();
    node.join(Instant::ZERO, vec![fake(0)]).unwrap();
    let mut bound = (Duration::ZERO, Duration::from_millis(100));
    let mut at_the_largest = 0;
    while let Some(due) = node.poll_timeout() {
        node.handle_timeout(due);
        while let Some(output) = node.poll_output() {
            match output {
                Output::Event(Event::JoinRetrying { delay, .. }) => {
                    assert!(bound.0 <= delay && delay <= bound.1, "{delay:?} in {bound:?}");
                    at_the_largest += u32::from(delay == Duration::from_secs(60));
                    bound = (bound.1, (2 * bound.1).min(Duration::from_secs(60)));
                }
                Output::Event(Event::JoinFailed { duration, failure, .. }) => {
                    assert_eq!(duration, Duration::from_secs(600));
                    assert_eq!(failure, JoinFailure::Timeout { peer: fake(0) });
                }
                _ => {}
            }
        }
    }
    assert_eq!(node.state(), State::Idle);
    assert!(at_the_largest > 3, "{at_the_largest} pauses of 60 s");
}

/// `BootstrapDestroy`.
#[test]
fn a_join_may_be_given_up() {
    let mut node = node(real());
    node.join(Instant::ZERO, vec![fake(0)]).unwrap();
    node.cancel_join(Instant::ZERO + Duration::from_millis(10));
    assert_eq!((node.state(), node.poll_timeout()), (State::Idle, None));
}

// --- self_evict_test.go ---

/// `NegativeRatio`: no pings when none are wanted.
#[test]
fn a_self_eviction_without_pings_is_over_at_once() {
    let settings = config().to_builder().leave_pings_percent(0).build().unwrap();
    let mut cluster = crate::support::Cluster::joined(settings, 3);
    cluster.command(0, Node::pause);
    cluster.forget_traffic();
    cluster.command(0, Node::evict_self).unwrap();
    assert_eq!(cluster.node(0).state(), State::Left);
    assert!(cluster.events(0).any(|e| *e == Event::LeaveComplete { acknowledged: 0, told: 0 }));
    assert!(cluster.sent().iter().all(|(_, t)| t.message.from != crate::support::address(0)));
}

/// A change that names its source keeps it, whoever passes it on.
#[test]
fn the_source_of_a_change_is_preserved() {
    let mut suite = Suite::prepare(3);
    suite.drain();
    let source = Some(Source { address: fake(9), incarnation: 5 });
    let change = swim_core::Change { member: member(fake(1), Suspect, INCARNATION), source };
    suite.ping(0, vec![change.clone()]);
    assert_eq!(suite.next_ping(|_| true).changes(), [change]);
    suite.finish();
}
