//! Shared rounds: members agree by the wall clock on who probes whom, and when
//! they cannot, nobody is left unprobed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Cluster, address, change, message, ms, secs};
use swim_core::{Address, Body, Config, Init, Instant, Labels, Node, Output, Status};

const PERIOD: Duration = Duration::from_millis(200);

fn lan() -> Config {
    assert_eq!(Config::lan().protocol_period(), PERIOD);
    Config::lan()
}

/// Who probed whom when, since the traffic was forgotten.
fn probes(cluster: &Cluster) -> Vec<(Instant, Address, Address)> {
    let pings = cluster.sent().iter().filter(|(_, t)| matches!(t.message.body, Body::Ping { .. }));
    pings.map(|(at, t)| (*at, t.message.from.clone(), t.to.clone())).collect()
}

/// Numbers of periods by the wall clock of the cluster.
fn round(cluster: &Cluster, at: Instant) -> u64 {
    let unix_ms = cluster.unix_ms + at.since_start().as_millis() as u64;
    unix_ms / PERIOD.as_millis() as u64
}

/// The longest time between two probes that have the same key, in periods.
fn longest_wait<K: Ord>(
    cluster: &Cluster,
    key: impl Fn(Address, Address) -> K,
) -> BTreeMap<K, f64> {
    let mut last = BTreeMap::new();
    let mut longest = BTreeMap::new();
    for (at, prober, target) in probes(cluster) {
        if let Some(before) = last.insert(key(prober.clone(), target.clone()), at) {
            let wait = (at - before).as_secs_f64() / PERIOD.as_secs_f64();
            let longest: &mut f64 = longest.entry(key(prober, target)).or_default();
            *longest = longest.max(wait);
        }
    }
    longest
}

#[test]
fn each_member_probes_and_is_probed_once_in_each_round() {
    let mut cluster = Cluster::joined(lan(), 20);
    cluster.run_for(secs(5));
    cluster.forget_traffic();
    cluster.run_for(secs(10));
    let mut rounds: BTreeMap<u64, (Vec<Address>, Vec<Address>)> = BTreeMap::new();
    for (at, prober, target) in probes(&cluster) {
        let (probers, targets) = rounds.entry(round(&cluster, at)).or_default();
        probers.push(prober);
        targets.push(target);
    }
    let mut all: Vec<Address> = (0..20).map(address).collect();
    all.sort_unstable();
    // The first and the last one were seen in part.
    let whole = rounds.len() - 2;
    assert!(whole >= 48, "{whole}");
    for (mut probers, mut targets) in rounds.into_values().skip(1).take(whole) {
        probers.sort_unstable();
        targets.sort_unstable();
        assert_eq!(probers, all);
        assert_eq!(targets, all);
    }
}

/// Between two probes of a member lie two periods at most: one begins its round
/// with it, the other ends the next one.
#[test]
fn a_failure_meets_a_probe_within_two_periods() {
    let mut cluster = Cluster::joined(lan(), 30);
    for victim in (0..30).step_by(3) {
        cluster.run_for(ms(1_000 + 37 * victim as u64));
        cluster.forget_traffic();
        cluster.freeze(victim);
        let is_probed =
            |c: &Cluster| probes(c).iter().any(|(_, _, target)| *target == address(victim));
        cluster.until("it is probed", 2 * PERIOD, is_probed);
        cluster.thaw(victim);
        cluster.run_for(secs(10));
    }
}

/// What round-robin probes promise (SWIM, section 4.3) holds for each prober,
/// whatever the others do: it comes round to each member within two rounds over
/// its list.
#[test]
fn each_member_probes_each_other_within_two_rounds_over_the_list() {
    let n = 12;
    let mut cluster = Cluster::joined(lan(), n);
    cluster.run_for(secs(2));
    cluster.forget_traffic();
    cluster.run_for(PERIOD * 30 * n as u32);
    let pairs = longest_wait(&cluster, |prober, target| (prober, target));
    assert_eq!(pairs.len(), n * (n - 1), "each probes each");
    let longest = pairs.into_values().fold(0.0, f64::max);
    assert!(longest <= (2 * (n - 1) - 1) as f64, "{longest} periods");
    let targets = longest_wait(&cluster, |_, target| target);
    let longest = targets.into_values().fold(0.0, f64::max);
    assert!(longest <= 2.0, "{longest} periods");
}

/// A cluster whose wall clocks are minutes apart.
fn with_clocks_apart(n: usize) -> Cluster {
    let mut cluster = Cluster::new(lan());
    for i in 0..n {
        cluster.unix_ms += 61_300;
        cluster.start(i, 0..n);
    }
    cluster.until("all agree", secs(60), |c| c.agree(n));
    cluster.run_for(secs(5));
    cluster.forget_traffic();
    cluster
}

/// Then a member is probed as if at random: it waits for `t` periods with a
/// probability of about `exp(-t)`, and each pair meets as before.
#[test]
fn members_whose_clocks_differ_probe_as_if_at_random() {
    let n = 20;
    let mut cluster = with_clocks_apart(n);
    cluster.run_for(PERIOD * 400);
    let mut counts: BTreeMap<Address, u32> = BTreeMap::new();
    for (_, _, target) in probes(&cluster) {
        *counts.entry(target).or_default() += 1;
    }
    assert!(counts.values().all(|count| (300..=500).contains(count)), "{counts:?}");
    let targets = longest_wait(&cluster, |_, target| target);
    let longest = targets.into_values().fold(0.0, f64::max);
    // 8,000 waits of which one in 60,000 would be longer than 11 periods.
    assert!(longest < 14.0, "{longest} periods");
    let pairs = longest_wait(&cluster, |prober, target| (prober, target));
    assert_eq!(pairs.len(), n * (n - 1));
    let longest = pairs.into_values().fold(0.0, f64::max);
    assert!(longest <= (2 * (n - 1) - 1) as f64, "{longest} periods");
}

#[test]
fn members_whose_clocks_differ_detect_failures() {
    let mut cluster = with_clocks_apart(10);
    cluster.crash(3);
    cluster.until("faulty", secs(40), |c| c.all_say(3, Status::Faulty));
}

/// Half of the probers and half of the targets of each round are gone.
#[test]
fn a_mass_failure_is_found_out() {
    let mut cluster = Cluster::joined(lan(), 24);
    cluster.run_for(secs(5));
    (0..24).step_by(2).for_each(|i| cluster.crash(i));
    let gone = |c: &Cluster| (0..24).step_by(2).all(|i| c.all_say(i, Status::Faulty));
    cluster.until("all that crashed are faulty", secs(60), gone);
    let alive = |c: &Cluster| (1..24).step_by(2).all(|i| c.all_say(i, Status::Alive));
    cluster.until("the others are alive", secs(60), alive);
}

/// A region that cannot be reached leaves no member of it unprobed, nor any
/// outside.
#[test]
fn an_unreachable_region_is_found_out_from_both_sides() {
    let mut cluster = Cluster::joined(lan(), 18);
    cluster.run_for(secs(5));
    let (inside, outside): (Vec<usize>, Vec<usize>) = ((0..6).collect(), (6..18).collect());
    cluster.cut(&inside, &outside);
    let faulty = |c: &Cluster, observers: &[usize], subjects: &[usize]| {
        let is = |o: usize, s: usize| c.status(o, s) == Some(Status::Faulty);
        observers.iter().all(|o| subjects.iter().all(|s| is(*o, *s)))
    };
    cluster.until("both sides know", secs(120), |c| {
        faulty(c, &inside, &outside) && faulty(c, &outside, &inside)
    });
    let alive = |c: &Cluster| {
        [&inside, &outside].iter().all(|side| {
            let is = |o: usize, s: usize| c.status(o, s) == Some(Status::Alive);
            side.iter().all(|o| side.iter().all(|s| is(*o, *s)))
        })
    };
    cluster.until("each side keeps its own", secs(60), alive);
}

/// A member that knows three others, which answer at once.
fn alone_with_three() -> Node {
    let init = Init {
        app: "app".into(),
        address: address(0),
        identity: None,
        labels: Labels::default(),
        seed: 1,
        now: Instant::ZERO,
        unix_ms: 1_700_000_000_000,
    };
    // Nobody sends it requests: it must not doubt that others reach it.
    let config = lan().to_builder().verify_claims(false).build().unwrap();
    let mut node = Node::new(config, init).unwrap();
    node.join(Instant::ZERO, Vec::new()).unwrap();
    let changes = (1..4).map(|i| change(i, Status::Alive, 1)).collect();
    let ping = Body::Ping { checksum: 0, changes };
    node.handle_message(Instant::ZERO, message(&address(1), 1, 1, ping));
    node
}

/// Answers the pings of a node and counts them.
fn answer(node: &mut Node, now: Instant) -> usize {
    let mut pings = 0;
    while let Some(output) = node.poll_output() {
        let Output::Transmit(sent) = output else { continue };
        if matches!(sent.message.body, Body::Ping { .. }) {
            pings += 1;
            let ack = Body::Ack { checksum: node.checksum(), changes: Vec::new() };
            node.handle_message(now, message(&sent.to, 1, sent.message.seq, ack));
        }
    }
    pings
}

#[test]
fn a_driver_that_is_always_late_misses_no_round() {
    let mut node = alone_with_three();
    answer(&mut node, Instant::ZERO);
    let mut pings = 0;
    loop {
        let now = node.poll_timeout().unwrap() + ms(30);
        if now > Instant::ZERO + PERIOD * 200 {
            break;
        }
        node.handle_timeout(now);
        pings += answer(&mut node, now);
    }
    assert!((198..=200).contains(&pings), "{pings} probes in 200 periods");
}

/// But one that slept does not make up for what it missed.
#[test]
fn a_driver_that_slept_makes_no_burst() {
    let mut node = alone_with_three();
    answer(&mut node, Instant::ZERO);
    let woken = Instant::ZERO + PERIOD * 50 + ms(190);
    node.handle_timeout(woken);
    assert_eq!(answer(&mut node, woken), 1);
    let next = node.poll_timeout().unwrap() - woken;
    assert!(next >= PERIOD / 2, "{next:?}");
}

/// A second probe in a round goes its own way, since its target has been probed.
#[test]
fn ticks_within_a_round_probe_all_members() {
    let mut node = alone_with_three();
    answer(&mut node, Instant::ZERO);
    let now = Instant::ZERO + ms(1);
    let mut targets = Vec::new();
    for _ in 0..6 {
        assert!(node.tick(now));
        while let Some(output) = node.poll_output() {
            if let Output::Transmit(sent) = output {
                targets.push(sent.to.clone());
                let ack = Body::Ack { checksum: node.checksum(), changes: Vec::new() };
                node.handle_message(now, message(&sent.to, 1, sent.message.seq, ack));
            }
        }
    }
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(targets, [address(1), address(2), address(3)]);
}
