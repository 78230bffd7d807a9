//! Partitions of any length heal, and hosts that are gone for good cost little.
//!
//! Where no list of discovery helps, what members remember of each other does.

use swim_core::{Body, Config, Isolation};
use swim_sim::{
    Fate, HostId, Hosts, Latency, Machine as _, Nanos, Packet, Rule, SECOND, Setup, Start, Swim,
    Watcher, World, seconds,
};

const MINUTE: Nanos = 60 * SECOND;
const HOUR: Nanos = 60 * MINUTE;

/// One view follows the repair of a network within this time, however long it
/// was broken.
const REPAIR_MAX: Nanos = 2 * MINUTE;

/// Counts requests for a member list, which is how members dial those that are
/// gone, by their receiver.
#[derive(Debug, Default)]
struct Dials(Vec<(Nanos, Option<HostId>)>);

impl Watcher<Swim> for Dials {
    fn sent(&mut self, at: Nanos, _: HostId, to: Option<HostId>, packet: &Packet, _: Fate) {
        if matches!(packet.body, Body::Join { cursor: None, .. }) {
            self.0.push((at, to));
        }
    }
}

/// A settled cluster of `members`. Discovery lists them and `dead` hosts on
/// which nothing ever runs.
fn cluster(members: u32, dead: u32, config: Config, seed: u64) -> World<Swim, Dials> {
    let setup = Setup { hosts: members + dead, config, seed };
    let mut world = World::new(setup, Dials::default());
    world.network.latency = Latency::LAN;
    world.warm(members);
    world.discovery = (0..members + dead).collect();
    discover(&mut world, 0..members);
    world.run_for(10 * SECOND);
    assert!(world.agree());
    world
}

/// Members learn what discovery lists, as they do when they join.
fn discover(world: &mut World<Swim, Dials>, hosts: impl Iterator<Item = HostId>) {
    for host in hosts {
        let listed = world.listed(host);
        world.command(host, swim_sim::Command::Discovered(listed));
    }
}

/// Cuts all links between the sides for a while. Gives how long it took from
/// the repair to one view.
fn cut(world: &mut World<Swim, Dials>, sides: &[Vec<HostId>], lasts: Nanos) -> Nanos {
    let mut rules = Vec::new();
    for (i, a) in sides.iter().enumerate() {
        for (_, b) in sides.iter().enumerate().filter(|(j, _)| i != *j) {
            let (a, b) = (Hosts::of(a), Hosts::of(b));
            rules.push(world.network.add(Rule::cut(a, b)));
        }
    }
    world.run_for(lasts);
    rules.into_iter().for_each(|rule| world.network.lift(rule));
    let repaired = world.now();
    let limit = REPAIR_MAX;
    let one = world.run_while(SECOND, limit, World::agree);
    assert!(one, "no one view {} s after a cut of {} s", seconds(limit), seconds(lasts));
    world.now() - repaired
}

fn two(left: u32, right: u32) -> [Vec<HostId>; 2] {
    [(0..left).collect(), (left..left + right).collect()]
}

fn heals(left: u32, right: u32, lasts: Nanos) {
    for seed in 0..3 {
        let mut world = cluster(left + right, 0, Config::lan(), seed);
        cut(&mut world, &two(left, right), lasts);
    }
}

#[test]
fn three_and_three_for_five_minutes() {
    heals(3, 3, 5 * MINUTE);
}

#[test]
fn one_and_four_for_five_minutes() {
    heals(1, 4, 5 * MINUTE);
}

#[test]
fn five_and_five_for_ten_minutes() {
    heals(5, 5, 10 * MINUTE);
}

#[test]
fn ten_and_ten_for_half_an_hour() {
    heals(10, 10, 30 * MINUTE);
}

#[test]
fn one_and_one_for_a_day() {
    let mut world = cluster(2, 0, Config::lan(), 1);
    cut(&mut world, &two(1, 1), 24 * HOUR);
}

#[test]
fn two_and_one_for_a_minute() {
    heals(2, 1, MINUTE);
}

/// Fewer probes in an hour: the test is short.
#[test]
fn fifty_and_fifty_for_hours() {
    let mut world = cluster(100, 0, Config::wan(), 1);
    cut(&mut world, &two(50, 50), 2 * HOUR);
}

#[test]
fn one_and_ninety_nine_for_ten_minutes() {
    let mut world = cluster(100, 0, Config::lan(), 1);
    cut(&mut world, &two(1, 99), 10 * MINUTE);
}

#[test]
fn all_links_of_ten_for_270_seconds() {
    for seed in 0..3 {
        let mut world = cluster(10, 0, Config::lan(), seed);
        let islands: Vec<Vec<HostId>> = (0..10).map(|host| vec![host]).collect();
        let took = cut(&mut world, &islands, 270 * SECOND);
        assert!(took < 30 * SECOND, "{} s", seconds(took));
    }
}

#[test]
fn three_ways_for_a_quarter_of_an_hour() {
    for seed in 0..3 {
        let mut world = cluster(12, 0, Config::lan(), seed);
        let sides = [(0..4).collect(), (4..8).collect(), (8..12).collect()];
        cut(&mut world, &sides, 15 * MINUTE);
    }
}

/// Ringpop's settings dial ten times less often.
#[test]
fn with_the_settings_of_ringpop() {
    for seed in 0..3 {
        let mut world = cluster(8, 0, Config::ringpop(), seed);
        cut(&mut world, &two(3, 5), 20 * MINUTE);
    }
}

/// Each side lists its own members only: what the other remembers is enough.
#[test]
fn when_neither_list_names_the_other_side() {
    for seed in 0..3 {
        let mut world = cluster(10, 0, Config::lan(), seed);
        let sides = two(5, 5);
        for side in &sides {
            world.lists.extend(side.iter().map(|host| (*host, side.clone())));
        }
        discover(&mut world, 0..10);
        cut(&mut world, &sides, 20 * MINUTE);
    }
}

#[test]
fn when_half_of_the_listed_hosts_are_dead_for_good() {
    for seed in 0..3 {
        let mut world = cluster(20, 20, Config::lan(), seed);
        cut(&mut world, &two(10, 10), 20 * MINUTE);
    }
}

/// The smallest clusters have the most dead hosts to try before the right one.
#[test]
fn when_a_hundred_listed_hosts_are_dead_for_good() {
    for (left, right) in [(1, 1), (1, 2), (2, 2), (3, 3), (1, 9)] {
        for seed in 0..5 {
            let mut world = cluster(left + right, 100, Config::lan(), seed);
            cut(&mut world, &two(left, right), 20 * MINUTE);
        }
    }
}

#[test]
fn a_hundred_dead_hosts_cost_the_cluster_one_dial_a_second() {
    for members in [1, 2, 10, 100] {
        let mut world = cluster(members, 100, Config::lan(), 1);
        world.run_for(MINUTE);
        world.watcher.0.clear();
        let span = 20 * MINUTE;
        world.run_for(span);
        let dials = &world.watcher.0;
        assert!(dials.len() as u64 <= span / SECOND, "{members} members: {}", dials.len());
        for dead in members..members + 100 {
            let often = dials.iter().filter(|(_, to)| *to == Some(dead)).count() as u64;
            assert!(often >= span / REPAIR_MAX, "{members} members dialled {dead} {often} times");
        }
    }
}

/// What members remember of those that failed costs no more.
#[test]
fn nor_do_a_hundred_members_that_failed() {
    let mut world = cluster(110, 0, Config::lan(), 1);
    (10..110).for_each(|host| world.crash(host));
    world.run_for(20 * MINUTE);
    world.watcher.0.clear();
    world.run_for(20 * MINUTE);
    assert!(world.watcher.0.len() as u64 <= 20 * MINUTE / SECOND, "{}", world.watcher.0.len());
}

/// Two clusters of one whose discovery learns of the other.
#[test]
fn two_lone_members_that_are_listed_to_each_other_merge_within_five_seconds() {
    for seed in 0..50 {
        let setup = Setup { hosts: 2, config: Config::lan(), seed };
        let mut world: World<Swim> = World::new(setup, ());
        world.lists = [(0, vec![0]), (1, vec![1])].into();
        (0..2).for_each(|host| world.start(host, Start::default()));
        world.run_for(MINUTE + (seed % 7) * SECOND);
        assert!(!world.agree());
        world.lists.clear();
        world.discovery = vec![0, 1];
        assert!(world.run_while(SECOND / 10, 5 * SECOND, World::agree), "seed {seed}");
    }
}

/// A seed that lists only itself has the keys for itself after a restart, until
/// somebody who remembers it dials it.
#[test]
fn a_seed_that_restarts_alone_is_found_within_five_seconds() {
    for seed in 0..20 {
        let mut world = cluster(6, 0, Config::lan(), seed);
        world.discovery = vec![0];
        discover(&mut world, 0..6);
        world.crash(0);
        let faulty = |world: &World<Swim, Dials>| {
            (1..6).all(|host| world.machine(host).is_some_and(|m| m.reachable() == 5))
        };
        assert!(world.run_while(SECOND, MINUTE, faulty));
        world.run_for(MINUTE + seed * SECOND / 7);
        world.start(0, Start::default());
        assert!(world.run_while(SECOND / 10, 5 * SECOND, World::agree), "seed {seed}");
    }
}

/// All links of one member of ten go down: it says so long before its
/// suspicions end.
#[test]
fn a_member_that_is_cut_off_says_so_within_ten_seconds() {
    for config in [Config::lan(), Config::local()] {
        for seed in 0..5 {
            let mut world = cluster(10, 0, config.clone(), seed);
            let [lone, rest] = two(1, 9);
            let (lone, rest) = (Hosts::of(&lone), Hosts::of(&rest));
            let rules = [Rule::cut(lone.clone(), rest.clone()), Rule::cut(rest, lone)]
                .map(|rule| world.network.add(rule));
            let isolation = |world: &World<Swim, Dials>, host| {
                world.machine(host).map(|machine| machine.node().isolation())
            };
            let alone = |world: &World<Swim, Dials>| isolation(world, 0) == Some(Isolation::Alone);
            assert!(world.run_while(SECOND, 10 * SECOND, alone));
            assert_eq!(isolation(&world, 5), Some(Isolation::None));
            rules.into_iter().for_each(|rule| world.network.lift(rule));
            assert!(world.run_while(SECOND, MINUTE, World::agree));
            world.run_for(2 * SECOND);
            assert_eq!(isolation(&world, 0), Some(Isolation::None));
        }
    }
}

/// A member that stood still hears the others when it goes on, and was never alone.
#[test]
fn a_member_that_stood_still_does_not_take_itself_for_alone() {
    for pause in [swim_sim::Pause::Frozen, swim_sim::Pause::FrozenTimersFirst] {
        let mut world = cluster(5, 0, Config::lan(), 1);
        world.pause(0, pause);
        world.run_for(5 * MINUTE);
        world.resume(0);
        world.run_for(MINUTE);
        assert!(world.agree());
        let lost = world.machine(0).map(|machine| machine.node().stats().isolated);
        assert_eq!(lost, Some(0));
    }
}

/// The smaller side of a cut knows that it lost most of the others; the larger
/// one goes on.
#[test]
fn the_smaller_side_of_a_partition_knows_that_it_is() {
    let mut world = cluster(10, 0, Config::lan(), 1);
    let [small, large] = two(3, 7);
    let (small, large) = (Hosts::of(&small), Hosts::of(&large));
    let rules = [Rule::cut(small.clone(), large.clone()), Rule::cut(large, small)]
        .map(|rule| world.network.add(rule));
    world.run_for(10 * MINUTE);
    let isolations = |world: &World<Swim, Dials>| -> Vec<Isolation> {
        world.running().map(|(_, machine)| machine.node().isolation()).collect()
    };
    let (reduced, whole) = ([Isolation::Partial; 3], [Isolation::None; 7]);
    assert_eq!(isolations(&world), [&reduced[..], &whole[..]].concat());
    rules.into_iter().for_each(|rule| world.network.lift(rule));
    assert!(world.run_while(SECOND, REPAIR_MAX, World::agree));
    world.run_for(2 * SECOND);
    assert_eq!(isolations(&world), [Isolation::None; 10]);
}
