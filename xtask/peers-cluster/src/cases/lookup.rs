//! The owner of a key as a member gives it, beside the same ring alone.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hashring::{Node, Ring};
use ringpop::PlacementChoice;
use ringpop::swim::SplitMix64;

use crate::crowd::Crowd;
use crate::measure::quiet;
use crate::process::runtime_of;
use crate::report::{Bar, Report, Row};
use crate::spread::{Spread, quantile};

const MEMBERS: usize = 1_000;
const POINTS: u32 = 100;
const KEYS: u64 = 400_000;
const ROUNDS: usize = 30;
/// Lookups of one turn; together they take about a millisecond.
const TURN: usize = 20_000;
/// Lookups that are timed as one: a clock reading takes as long as a lookup.
const SAMPLE: usize = 16;
/// How long lookups are watched at a time, with changes and without, and how often.
const WATCHED: Duration = Duration::from_millis(500);
const WATCHES: u32 = 9;
/// Time between two changes: a hundred in a second.
const CHANGE_INTERVAL: Duration = Duration::from_millis(10);

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let runtime = runtime_of(1)?;
    let placement = PlacementChoice::Ring { points: POINTS };
    let mut crowd =
        runtime.block_on(runtime.handle().spawn(Crowd::gather(MEMBERS, placement)))??;
    let keys: Vec<String> = (0..KEYS).map(|i| format!("driver-{}", SplitMix64::mix(i))).collect();
    let member = crowd.member.clone();
    let alone = Ring::builder().points_per_weight_unit(POINTS).nodes(nodes(&crowd)).build()?;
    let bare = |key: &[u8]| alone.lookup(key).map_or(0, |node| node.id().len() as u64);
    let ours = |key: &[u8]| member.lookup(key).map_or(0, |owner| owner.address().len() as u64);
    let owns = |key: &[u8]| u64::from(member.owns(key));

    let mut rounds: [Vec<f64>; 3] = Default::default();
    for round in 0..ROUNDS {
        let start = round * TURN % (keys.len() - TURN);
        let keys = &keys[start..start + TURN];
        rounds[0].push(turn(keys, bare));
        rounds[1].push(turn(keys, ours));
        rounds[2].push(turn(keys, owns));
    }
    let [bare, ours, owns] = rounds.map(|mut rounds| quiet(&mut rounds));
    for (name, ours) in [("lookup", ours), ("owns", owns)] {
        let case = format!("{name}, {MEMBERS} members x {POINTS} points");
        let row = Row::new(case, "ns", ours).peer("hashring", bare);
        report.add(&row.bar(Bar::AtMost(1.5)));
    }
    let counted = allocation_counter::measure(|| {
        for key in keys.iter().take(TURN) {
            black_box(member.lookup(key.as_bytes()));
            black_box(member.owns(key.as_bytes()));
        }
    });
    let row = Row::new(format!("allocations of {TURN} lookups"), "", counted.count_total as f64);
    report.add(&row.bar(Bar::ValueAtMost(0.0)));

    // In turns: the machine has faster and slower seconds.
    let (mut still, mut changed, mut changes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..WATCHES {
        still.push(watched(&member, &keys));
        let stop = Arc::new(AtomicBool::new(false));
        let changing = runtime.spawn(change_until(Arc::clone(&stop), crowd, changes));
        changed.push(watched(&member, &keys));
        stop.store(true, Ordering::Relaxed);
        (crowd, changes) = runtime.block_on(changing).context("changes ended")??;
    }
    let rate = changes as f64 / (WATCHED * WATCHES).as_secs_f64();
    let ratios = changed.iter().zip(&still).map(|(changed, still)| changed / still).collect();
    let row = Row::new("lookup p99, 100 changes a second", "ns", quantile(&mut changed, 0.5));
    let row = row.peer("no changes", quantile(&mut still, 0.5)).spread(Spread::of(ratios));
    report.add(&row.bar(Bar::AtMost(2.0)).note(format!("{rate:.0} changes a second")));
    Ok(())
}

/// Changes the membership at a steady pace; gives the crowd back, and the number of its changes.
async fn change_until(
    stop: Arc<AtomicBool>,
    mut crowd: Crowd,
    mut changes: usize,
) -> Result<(Crowd, usize)> {
    let mut ticks = tokio::time::interval(CHANGE_INTERVAL);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        crowd.change(changes, 1).await?;
        changes += 1;
    }
    Ok((crowd, changes))
}

/// The same members as nodes of a ring that nobody else has.
fn nodes(crowd: &Crowd) -> Vec<Node> {
    let view = crowd.member.view();
    view.ring.nodes().iter().map(|node| Node::new(node.id()).with_weight(node.weight())).collect()
}

/// Nanoseconds of one lookup.
fn turn(keys: &[String], lookup: impl Fn(&[u8]) -> u64) -> f64 {
    let mut sum = 0_u64;
    let began = Instant::now();
    for key in keys {
        sum = sum.wrapping_add(lookup(key.as_bytes()));
    }
    let elapsed = began.elapsed();
    black_box(sum);
    elapsed.as_nanos() as f64 / keys.len() as f64
}

/// The 99th percentile of lookups over some seconds, in nanoseconds of one.
fn watched(member: &ringpop::Ringpop, keys: &[String]) -> f64 {
    let mut samples = Vec::with_capacity(8_000_000);
    let began = Instant::now();
    for keys in keys.chunks_exact(SAMPLE).cycle() {
        samples.push(turn(keys, |key| {
            member.lookup(key).map_or(0, |owner| owner.address().len() as u64)
        }));
        if began.elapsed() > WATCHED {
            break;
        }
    }
    quantile(&mut samples, 0.99)
}
