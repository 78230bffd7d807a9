//! SWIM (Das, Gupta, Motivala, DSN 2002): one test for each claim that is made.
//! Lifeguard and shared rounds are off where the claim is about plain SWIM.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::{Cluster, address, change, ms, secs};
use swim_core::{Address, Body, Change, Config, Event, Labels, Status};

const PERIOD: Duration = Duration::from_millis(200);

/// The protocol of the paper: each member goes round a list of its own, and a
/// suspicion lasts as long as it lasts.
fn plain() -> Config {
    let config = Config::lan().to_builder().shared_rounds(false).awareness_max(1).buddy(false);
    config.suspect_timeout_max_factor(1).suspect_confirmations(0).build().unwrap()
}

/// A cluster that has spread everything.
fn settled(config: Config, n: usize) -> Cluster {
    let mut cluster = Cluster::joined(config, n);
    let quiet = |c: &Cluster| (0..n).all(|i| c.node(i).pending_changes() == 0);
    cluster.until("nothing is left to spread", secs(120), quiet);
    cluster.forget_traffic();
    cluster
}

fn changes(body: &Body) -> &[Change] {
    match body {
        Body::Ping { changes, .. }
        | Body::Ack { changes, .. }
        | Body::PingReq { changes, .. }
        | Body::PingReqAck { changes, .. }
        | Body::JoinAck { changes, .. } => changes,
        _ => &[],
    }
}

/// Section 3.1: a member is the target of a probe in a period with probability
/// `1 - 1/e`, so that a failure is detected after `e / (e - 1)` periods on
/// average, whatever the size of the group.
#[test]
fn first_detection_takes_e_over_e_minus_1_periods_on_average() {
    for n in [12, 36] {
        let mut cluster = settled(plain(), n);
        let (start, periods) = (cluster.now(), 9_000 / n);
        cluster.run_for(PERIOD * periods as u32);
        let mut probed = BTreeSet::new();
        for (at, transmit) in cluster.sent() {
            if matches!(transmit.message.body, Body::Ping { .. }) {
                let period = (*at - start).as_millis() / PERIOD.as_millis();
                probed.insert((transmit.to.clone(), period as usize));
            }
        }
        // Of a member that fails before a period, when is the next probe?
        let mut waits = Vec::new();
        for member in (0..n).map(address) {
            let mut wait = None;
            for period in (0..periods).rev() {
                let is_probed = probed.contains(&(member.clone(), period));
                wait = if is_probed { Some(1) } else { wait.map(|wait: usize| wait + 1) };
                waits.extend(wait);
            }
        }
        let mean = waits.iter().sum::<usize>() as f64 / waits.len() as f64;
        let chance = 1.0 - (1.0 - 1.0 / (n as f64 - 1.0)).powi(n as i32 - 1);
        assert!((mean * chance - 1.0).abs() < 0.05, "{mean} periods among {n}");
        assert!((mean / 1.582 - 1.0).abs() < 0.07, "{mean} periods among {n}");
    }
}

/// Section 4.3: with round-robin probes in an order that is shuffled after each
/// round, two probes of one member by another are at most `2n - 1` periods
/// apart, so that detection is bounded in time.
#[test]
fn round_robin_comes_back_within_two_rounds() {
    let n = 8;
    let mut cluster = settled(plain(), n);
    cluster.run_for(PERIOD * 600);
    let mut last = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for (at, transmit) in cluster.sent() {
        if matches!(transmit.message.body, Body::Ping { .. }) {
            let pair = (transmit.message.from.clone(), transmit.to.clone());
            if let Some(before) = last.insert(pair, *at) {
                longest = longest.max(*at - before);
            }
        }
    }
    assert_eq!(last.len(), n * (n - 1), "each probes each");
    assert!(longest <= PERIOD * (2 * n as u32 - 1), "{longest:?}");
    // Without the shuffle it would be one round.
    assert!(longest > PERIOD * n as u32, "{longest:?}");
}

/// Messages per member and period, and whether news spread meanwhile.
fn load(config: Config, n: usize, news: bool) -> f64 {
    let mut cluster = settled(config, n);
    if news {
        let labels = Labels::new([("a", "1")]).unwrap();
        cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
    }
    let periods = 30;
    cluster.run_for(PERIOD * periods);
    cluster.sent().len() as f64 / (n as f64 * f64::from(periods))
}

/// Sections 3.2 and 5: the load of a member is constant, two messages sent in a
/// period, whatever the size of the group.
#[test]
fn the_message_load_of_a_member_does_not_depend_on_the_group() {
    for config in [plain(), Config::lan()] {
        for n in [5, 20, 50] {
            let load = load(config.clone(), n, false);
            assert!((load - 2.0).abs() < 0.05, "{load} messages among {n}");
        }
    }
}

/// Section 4.1: news ride on the messages of the failure detector and cause
/// none of their own.
#[test]
fn dissemination_causes_no_messages() {
    let load = load(plain(), 20, true);
    assert!((load - 2.0).abs() < 0.05, "{load} messages");
}

/// Periods until all members know the news of one of them, the mean of some.
fn infection(n: usize) -> f64 {
    let mut cluster = settled(plain(), n);
    let mut total = 0.0;
    let times = 5;
    for i in 0..times {
        let labels = Labels::new([("version", &*i.to_string())]).unwrap();
        cluster.command(i, |node, now| node.set_labels(now, &labels)).unwrap();
        let known = |c: &Cluster| (0..n).all(|o| c.member(o, i).unwrap().labels == labels);
        let time = cluster.until("all know", secs(60), known);
        total += time.as_secs_f64() / PERIOD.as_secs_f64();
    }
    total / times as f64
}

/// Section 4.1: an epidemic reaches all members within `O(log n)` periods. The
/// model has half of them after `ln(n) / 2` periods, and as long again for the
/// others but for a tail.
#[test]
fn news_reach_all_members_in_logarithmic_time() {
    let times: Vec<f64> = [8, 16, 32, 64].map(infection).into();
    for (n, time) in [8.0_f64, 16.0, 32.0, 64.0].into_iter().zip(&times) {
        assert!(*time < 2.0 * n.ln() + 2.0, "{times:?}");
    }
    // Eight times the members take a few periods more, not eight times as many.
    assert!(times[3] - times[0] < 5.0, "{times:?}");
}

/// Whether members suspect each other although only the direct path between two
/// of them is broken.
fn suspects_over_a_broken_path(helpers: usize) -> bool {
    let config = plain().to_builder().ping_req_helpers(helpers).build().unwrap();
    let mut cluster = settled(config, 6);
    cluster.cut(&[0], &[1]);
    cluster.run_for(secs(20));
    let suspicion = |event: &Event| {
        matches!(event, Event::MemberChanged { after: Some(after), .. }
            if after.status == Status::Suspect)
    };
    (0..6).any(|i| cluster.events(i).any(suspicion))
}

/// Section 3.1: `k` members that ping in one's place keep congestion on one path
/// from looking like a failure.
#[test]
fn indirect_probes_go_round_a_broken_path() {
    assert!(!suspects_over_a_broken_path(1));
    assert!(!suspects_over_a_broken_path(3));
    assert!(suspects_over_a_broken_path(0), "they are what prevents it");
}

/// Section 4.2: a member that is suspected wrongly says so with a higher
/// incarnation, and is not taken for failed.
#[test]
fn a_suspect_that_lives_refutes() {
    let mut cluster = settled(plain(), 6);
    let before = cluster.member(0, 3).unwrap().incarnation;
    cluster.freeze(3);
    let suspected =
        |c: &Cluster| [0, 1, 2, 4, 5].iter().all(|i| c.status(*i, 3) == Some(Status::Suspect));
    cluster.until("suspect", secs(20), suspected);
    cluster.thaw(3);
    cluster.until("alive", secs(4), |c| c.all_say(3, Status::Alive));
    assert!(cluster.member(0, 3).unwrap().incarnation > before);
    cluster.run_for(secs(20));
    for observer in [0, 1, 2, 4, 5] {
        assert!(!cluster.history(observer, 3).contains(&Some(Status::Faulty)));
    }
}

/// Section 4.2: a suspicion that nobody contradicts ends in a failure, of which
/// all members learn.
#[test]
fn a_suspect_that_is_gone_fails_at_all_members() {
    let mut cluster = settled(plain(), 6);
    cluster.crash(3);
    cluster.until("faulty", secs(30), |c| c.all_say(3, Status::Faulty));
    for observer in [0, 1, 2, 4, 5] {
        let history = cluster.history(observer, 3);
        let suspect = history.iter().rposition(|status| *status == Some(Status::Suspect));
        let faulty = history.iter().rposition(|status| *status == Some(Status::Faulty));
        // Some hear of the failure first.
        assert!(suspect < faulty, "{history:?}");
    }
}

/// Section 4.2: "only" the member itself increments its incarnation number.
#[test]
fn nobody_but_the_member_raises_its_incarnation() {
    let mut cluster = Cluster::joined(plain(), 8);
    cluster.set_loss(100);
    cluster.run_for(secs(30));
    cluster.freeze(5);
    cluster.run_for(secs(3));
    cluster.thaw(5);
    cluster.crash(6);
    cluster.run_for(secs(30));
    let mut own: BTreeMap<Address, u64> = BTreeMap::new();
    let mut counted = 0;
    for (_, transmit) in cluster.sent() {
        let message = &transmit.message;
        let incarnation = own.entry(message.from.clone()).or_default();
        *incarnation = message.from_incarnation.max(*incarnation);
        for change in changes(&message.body) {
            let known = own.get(&change.member.address);
            assert!(known.is_some_and(|own| change.member.incarnation <= *own), "{change:?}");
            counted += 1;
        }
    }
    assert!(cluster.node(5).stats().refuted > 0, "there was something to refute");
    assert!(counted > 1_000, "{counted}");
}

/// Section 4.2, the order of changes, but for the last rule: here a member
/// that was taken for failed comes back with a higher incarnation.
#[test]
fn changes_override_each_other_as_published() {
    use Status::{Alive, Faulty, Suspect};
    let overrides = |new: (Status, u64), old: (Status, u64)| {
        let [new, old] = [new, old].map(|(status, i)| change(1, status, i).member);
        new.overrides(Some(&old))
    };
    for i in 1..4 {
        for j in 1..4 {
            assert_eq!(overrides((Alive, i), (Suspect, j)), i > j);
            assert_eq!(overrides((Alive, i), (Alive, j)), i > j);
            assert_eq!(overrides((Suspect, i), (Suspect, j)), i > j);
            assert_eq!(overrides((Suspect, i), (Alive, j)), i >= j);
            assert_eq!(overrides((Faulty, i), (Alive, j)), i >= j);
            assert_eq!(overrides((Faulty, i), (Suspect, j)), i >= j);
            // In the paper never.
            assert_eq!(overrides((Alive, i), (Faulty, j)), i > j);
        }
    }
}

/// Section 4.1: each member passes a change on `λ log n` times and then no more;
/// `λ log n` is Ringpop's `15 ⌈log10(n + 1)⌉` with `n` others here.
#[test]
fn a_change_is_passed_on_a_logarithmic_number_of_times() {
    for (n, factor, most) in [(6, 2, 2), (6, 5, 5), (20, 3, 6)] {
        let config = plain().to_builder().piggyback_factor(factor).build().unwrap();
        let mut cluster = settled(config, n);
        let labels = Labels::new([("a", "1")]).unwrap();
        cluster.command(0, |node, now| node.set_labels(now, &labels)).unwrap();
        cluster.run_for(secs(20));
        let mut sends: BTreeMap<Address, usize> = BTreeMap::new();
        for (_, transmit) in cluster.sent() {
            if changes(&transmit.message.body).iter().any(|c| c.member.labels == labels) {
                *sends.entry(transmit.message.from.clone()).or_default() += 1;
            }
        }
        let largest = sends.values().copied().max().unwrap();
        // One may be on its way when the last one is counted.
        assert!(largest == most || largest == most + 1, "{sends:?}");
        assert!((0..n).all(|i| cluster.node(i).pending_changes() == 0));
        cluster.forget_traffic();
        cluster.run_for(ms(2_000));
        assert!(cluster.sent().iter().all(|(_, t)| changes(&t.message.body).is_empty()));
    }
}
