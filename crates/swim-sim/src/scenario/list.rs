//! The scripts.

use super::{Scenario, Stage};
use crate::machine::{HostId, Machine};
use crate::network::{Hosts, Rule};
use crate::time::SECOND;
use crate::world::Start;

/// Hosts that a script goes through one by one at most: large clusters take no hours of virtual
/// time.
const ONE_BY_ONE_MAX: u32 = 25;

/// An hour, in milliseconds of the wall clock.
const HOUR_MS: i64 = 3_600_000;

macro_rules! scenarios {
    ($($play:ident, $name:literal, $nodes_min:literal, $about:literal;)*) => {
        pub(super) const SCENARIOS: [Scenario; scenarios!(@count $($name)*)] = [
            $(Scenario { name: $name, about: $about, nodes_min: $nodes_min },)*
        ];

        /// Plays the script with this name.
        pub(super) fn play<M: Machine>(name: &str, stage: &mut Stage<M>) {
            match name {
                $($name => $play(stage),)*
                _ => unreachable!("scenarios are found by name before they are played"),
            }
        }
    };
    (@count $($name:literal)*) => { [$($name),*].len() };
}

scenarios! {
    bootstrap, "bootstrap", 2, "all members start within a second and know three seed hosts";
    cold_join, "cold-join", 2, "a tenth as many new members join a settled cluster at once";
    crash, "crash", 3, "one member ends without a word";
    mass_crash, "mass-crash", 4, "three of ten members end at once";
    rolling_restart, "rolling-restart", 3, "one member after the other leaves and is started again";
    deploy, "deploy-with-new-addresses", 3,
        "one member after the other is replaced by one at a new address";
    partition_heal, "partition-heal", 4, "the network falls into two halves and heals";
    asymmetric, "asymmetric", 4, "one member in a hundred can send but not receive for a while";
    flapping, "flapping", 4,
        "one member in a hundred receives nothing for a while, again and again";
    slow_nodes, "slow-nodes", 4, "one member in ten stands still for a while";
    churn, "churn", 4, "for a minute a member ends each second and another one starts";
    address_reuse, "address-reuse", 3, "a new process takes the address of one that just ended";
    clock_jump, "clock-jump", 3,
        "clocks of one member in ten leap ahead, and wall clocks are set back before a restart";
    label_change, "label-change", 2, "one member after the other changes its labels";
}

fn bootstrap<M: Machine>(stage: &mut Stage<M>) {
    stage.empty();
    let mut starts: Vec<(u64, HostId)> =
        (0..stage.params.nodes).map(|host| (stage.rng.below(SECOND), host)).collect();
    starts.sort_unstable();
    for (at, host) in starts {
        stage.world.run_until(at);
        stage.start(host);
    }
    stage.await_one_view();
}

fn cold_join<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let nodes = stage.params.nodes;
    let new: Vec<HostId> = (nodes..nodes + stage.percent(10)).collect();
    stage.world.discovery = (0..3.min(nodes)).collect();
    new.iter().for_each(|host| stage.start(*host));
    stage.await_known(&new);
    stage.await_one_view();
}

fn crash<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    for host in stage.some_members(1) {
        stage.fail(host);
    }
    stage.await_detection();
    stage.await_one_view();
}

fn mass_crash<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    for host in stage.some_members(stage.percent(30)) {
        stage.fail(host);
    }
    stage.await_detection();
    stage.await_one_view();
}

fn rolling_restart<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    for host in stage.some_members(stage.params.nodes.min(ONE_BY_ONE_MAX)) {
        stage.leave_and_end(host);
        stage.wait(SECOND);
        stage.start(host);
        stage.await_known(&[host]);
    }
    stage.await_one_view();
}

fn deploy<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let nodes = stage.params.nodes;
    let old = stage.some_members(nodes.min(ONE_BY_ONE_MAX));
    for (new, old) in (nodes..).zip(old) {
        stage.start(new);
        stage.await_known(&[new]);
        stage.leave_and_end(old);
    }
    stage.await_one_view();
}

fn partition_heal<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let nodes = stage.params.nodes;
    let (left, right): (Vec<HostId>, Vec<HostId>) = (0..nodes).partition(|host| host % 2 == 0);
    let (left, right) = (Hosts::of(&left), Hosts::of(&right));
    let rules = [Rule::cut(left.clone(), right.clone()), Rule::cut(right, left)];
    let rules = rules.map(|rule| stage.world.network.add(rule));
    (0..nodes).for_each(|host| stage.world.watcher.excuse(host));
    stage.wait(stage.params.lasts.max(60 * SECOND));
    stage.lift(rules);
    stage.await_one_view();
}

fn asymmetric<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let deaf = stage.some_members(stage.percent(1));
    deaf.iter().for_each(|host| stage.world.watcher.excuse(*host));
    let rule = stage.world.network.add(Rule::cut(Hosts::All, Hosts::of(&deaf)));
    stage.wait(stage.params.lasts);
    stage.lift([rule]);
    stage.await_one_view();
}

fn flapping<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let deaf = stage.some_members(stage.percent(1));
    deaf.iter().for_each(|host| stage.world.watcher.excuse(*host));
    for _ in 0..4 {
        let rule = stage.world.network.add(Rule::cut(Hosts::All, Hosts::of(&deaf)));
        stage.wait(stage.params.lasts);
        stage.lift([rule]);
        stage.wait(stage.params.lasts);
    }
    stage.await_one_view();
}

fn slow_nodes<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let slow = stage.some_members(stage.percent(10));
    for host in &slow {
        stage.world.watcher.excuse(*host);
        stage.world.pause(*host, stage.params.pause);
    }
    stage.wait(stage.params.lasts);
    slow.iter().for_each(|host| stage.world.resume(*host));
    stage.await_one_view();
}

fn churn<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let mut down: Vec<HostId> = Vec::new();
    for second in 0..60 {
        let host = stage.rng.below(stage.params.nodes.into()) as HostId;
        if stage.world.machine(host).is_some() && down.len() < stage.params.nodes as usize / 2 {
            stage.world.crash(host);
            down.push(host);
        }
        if second % 2 == 1 {
            let back = down.remove(0);
            stage.start(back);
        }
        stage.wait(SECOND);
    }
    stage.await_one_view();
}

fn address_reuse<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    for host in stage.some_members(stage.percent(5)) {
        stage.world.crash(host);
        stage.wait(SECOND / 2);
        stage.world.start(host, Start { labels: 7, ..Start::default() });
    }
    stage.await_one_view();
}

fn label_change<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    for host in stage.some_members(stage.params.nodes.min(ONE_BY_ONE_MAX)) {
        stage.change_labels(host);
        stage.await_one_view();
        // By chance at any point of the periods of all.
        let phase = stage.rng.below(2 * SECOND);
        stage.wait(SECOND + phase);
    }
}

fn clock_jump<M: Machine>(stage: &mut Stage<M>) {
    stage.settled();
    let members = stage.some_members(stage.percent(10));
    for host in &members {
        stage.world.leap_clock(*host, 30 * SECOND);
    }
    stage.wait(10 * SECOND);
    for host in &members {
        stage.world.set_wall_clock(*host, -HOUR_MS);
        stage.world.crash(*host);
        stage.wait(SECOND);
        stage.start(*host);
    }
    stage.await_one_view();
}
