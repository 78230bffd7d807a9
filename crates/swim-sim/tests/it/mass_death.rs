//! All but a few members die at once: the few find out within the bound that
//! `docs/operations.md` states.
//!
//! The bound is the sum of what each step takes: a member that most do not answer looks for four
//! others in each period: each survivor has asked for everybody after `n / 4` periods; a probe
//! takes at most ping and helpers' timeout, stretched while nobody has answered yet; and a
//! suspicion that nobody confirms lasts six times `suspect_timeout * log10(n)`.

use std::time::Duration;

use swim_core::Config;
use swim_sim::{MILLISECOND, Machine as _, Nanos, SECOND, Setup, Start, Swim, World};

/// The bound of `docs/operations.md` for members that fail one by one.
fn documented(n: u32) -> f64 {
    3.0 + 6.0 * 4.0 * f64::from(n).log10().max(1.0)
}

fn seconds(nanos: Nanos) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

/// Kills all but the first `left` of `n`; gives when half of the dead, and all,
/// were off the ring of every survivor.
fn die(n: u32, left: u32, refuses: bool, seed: u64, limit: f64) -> (f64, f64) {
    let setup = Setup { hosts: n, config: Config::lan(), seed };
    let mut world: World<Swim, ()> = World::new(setup, ());
    world.network.refuses = refuses;
    world.warm(n);
    world.run_for(10 * SECOND);
    let died = world.now();
    (left..n).for_each(|host| world.crash(host));
    let mut until = |reachable: u32| {
        let limit = (limit * 1e9) as Nanos;
        let few = |world: &World<Swim>| {
            world.running().all(|(_, machine)| machine.reachable() <= reachable as usize)
        };
        world.run_while(100 * MILLISECOND, limit, few);
        seconds(world.now() - died)
    };
    (until(left + (n - left) / 2), until(left))
}

const CASES: &[(u32, u32)] = &[(30, 15), (30, 3), (100, 10), (100, 5), (1000, 100), (1000, 15)];

#[test]
fn the_few_that_are_left_find_out_in_time() {
    let runs_all = crate::runs_all("mass deaths in clusters of more than a hundred");
    let cases = CASES.iter().copied().chain([(30, 2), (200, 4)]);
    for (n, left) in cases.filter(|(n, _)| runs_all || *n <= 100) {
        // Silence takes longer; the large clusters are left at that.
        let silent = n >= 1000;
        for (refuses, seed) in [(false, 1), (true, 2)].into_iter().take(2 - usize::from(silent)) {
            let bound = 2.0 * documented(n);
            let (_, all) = die(n, left, refuses, seed, 1.5 * bound);
            assert!(
                all <= bound,
                "{left} of {n} left, refuses {refuses}: {all:.0} s > {bound:.0} s"
            );
        }
    }
}

/// A member that nobody answers may be cut off itself: it must not accuse others
/// faster for it.
#[test]
fn a_member_that_hears_nobody_does_not_hurry() {
    let config = Config::lan();
    let setup = Setup { hosts: 50, config: config.clone(), seed: 3 };
    let mut world: World<Swim, ()> = World::new(setup, ());
    world.network.refuses = false;
    world.warm(50);
    world.run_for(10 * SECOND);
    (1..50).for_each(|host| world.crash(host));
    world.run_for(20 * SECOND);
    let node = world.machine(0).expect("it runs").node();
    assert_eq!(node.health_score(), config.awareness_max() - 1);
    let before = node.stats().pings_sent;
    world.run_for(16 * SECOND);
    let node = world.machine(0).expect("it runs").node();
    assert!(node.stats().pings_sent - before <= 11, "one in 1.6 s");
}

/// Fresh addresses come and die at a steady rate: those that are dead do not
/// pile up on the ring.
#[test]
fn fresh_addresses_that_die_do_not_pile_up() {
    let runs_all = crate::runs_all("a thousand of 1,500 fresh addresses");
    let (worst, clean) = churn(if runs_all { 1_500 } else { 500 });
    assert!(worst < 200, "{worst} on the ring of 15");
    assert!(clean < 2.0 * documented(200), "{clean:.0} s");
}

/// Five fresh addresses a second, each dead after two, beside five that stay.
/// Gives how many were reachable at most, and how long the last took to go.
fn churn(total: u32) -> (usize, f64) {
    let (stable, live) = (5, 10);
    let setup = Setup { hosts: stable + total, config: Config::lan(), seed: 4 };
    let mut world: World<Swim, ()> = World::new(setup, ());
    world.network.refuses = false;
    world.discovery = (0..stable).collect();
    (0..stable).for_each(|host| world.start(host, Start::default()));
    world.run_for(10 * SECOND);
    let mut worst = 0;
    for host in stable..stable + total {
        world.start(host, Start::default());
        if host >= stable + live {
            world.crash(host - live);
        }
        world.run_for(200 * MILLISECOND);
        worst = worst.max(world.machine(0).expect("it runs").reachable());
    }
    (stable + total - live..stable + total).for_each(|host| world.crash(host));
    let died = world.now();
    let clean = |world: &World<Swim>| {
        world.running().all(|(_, machine)| machine.reachable() <= stable as usize)
    };
    world.run_while(SECOND, 600 * SECOND, clean);
    (worst, seconds(world.now() - died))
}

/// Prints the figures: `cargo test --release -p swim-sim --test it mass_death --
/// --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn figures() {
    for refuses in [false, true] {
        for (n, left) in CASES.iter().copied() {
            let seeds = if n < 1000 { 0..3 } else { 0..1 };
            let found: Vec<_> = seeds.map(|seed| die(n, left, refuses, seed, 900.0)).collect();
            println!("refuses {refuses}, {} of {n} die: half, all after {found:.1?} s", n - left);
        }
    }
    println!("churn: {:?}", churn(5_000));
}
