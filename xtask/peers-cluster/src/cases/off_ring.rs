//! Members that live and own no keys, a hundred of them in one process: how soon one is off all
//! rings and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ringpop::{HealthCheck, Ringpop};

use crate::many::{Joins, members_max, start};
use crate::measure::{median, millis, until};
use crate::process::runtime_of;
use crate::report::{Bar, Report, Row};
use crate::spread::quantile;

const ROUNDS: usize = 10;
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);
/// Failures in a row until a member goes off the ring.
const CHECK_FAILURES: u32 = 2;
/// How much longer than the check it may take until a stuck member is off all rings.
const BEYOND_CHECK: Duration = Duration::from_secs(2);
const EVICTED_FOR: Duration = Duration::from_secs(600);

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let runtime = runtime_of(2)?;
    let size = members_max()?;
    let rows = runtime.block_on(runtime.handle().spawn(measure(size)))??;
    rows.iter().for_each(|row| report.add(row));
    Ok(())
}

async fn measure(size: usize) -> Result<Vec<Row>> {
    let is_stuck: Arc<Vec<AtomicBool>> =
        Arc::new((0..size).map(|_| AtomicBool::new(false)).collect());
    let (members, _) = start(size, Joins::InTurn, |i, builder| {
        let is_stuck = Arc::clone(&is_stuck);
        let check = move || {
            let is_stuck = is_stuck[i].load(Ordering::Relaxed);
            // As a handler that waits for a lock for ever.
            async move { if is_stuck { std::future::pending().await } else { Ok::<_, String>(()) } }
        };
        let check = HealthCheck::new(check).interval(CHECK_INTERVAL).timeout(CHECK_TIMEOUT);
        builder.health_check(check.failures(CHECK_FAILURES))
    })
    .await?;
    let [mut evicted, mut undone, mut stuck, mut recovered] = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        let (asked, target) = (&members[round], members[size - 1 - round].whoami());
        let began = Instant::now();
        asked.evict(target, EVICTED_FOR).await?;
        until_on(&members, size - 1).await?;
        evicted.push(millis(began));
        let began = Instant::now();
        asked.undo_evict(target).await?;
        until_on(&members, size).await?;
        undone.push(millis(began));
        let began = Instant::now();
        is_stuck[round].store(true, Ordering::Relaxed);
        until_on(&members, size - 1).await?;
        stuck.push(millis(began));
        let began = Instant::now();
        is_stuck[round].store(false, Ordering::Relaxed);
        until_on(&members, size).await?;
        recovered.push(millis(began));
    }
    is_stuck.iter().for_each(|it| it.store(true, Ordering::Relaxed));
    until("all checks fail", || members.iter().all(|member| !member.problems().is_empty())).await?;
    tokio::time::sleep(BEYOND_CHECK).await;
    let fewest = members.iter().map(|member| member.view().ring.len()).min().unwrap_or(0);
    let check = (CHECK_INTERVAL + CHECK_TIMEOUT) * CHECK_FAILURES + BEYOND_CHECK;
    let row = |case: String, mut values: Vec<f64>, most: Option<Duration>| {
        let note = format!("median of {ROUNDS}, at most {:.0} ms", quantile(&mut values, 1.0));
        let row = Row::new(case, "ms", median(&mut values)).note(note);
        most.map_or(row.clone(), |most| row.bar(Bar::ValueAtMost(most.as_secs_f64() * 1e3)))
    };
    Ok(vec![
        row(format!("{size} members: evicted everywhere"), evicted, Some(Duration::from_secs(1))),
        row("eviction undone everywhere".to_owned(), undone, Some(Duration::from_secs(1))),
        row("stuck handler off all rings".to_owned(), stuck, Some(check)),
        row("recovered and on all rings".to_owned(), recovered, None),
        Row::new("off the ring while every check fails", "", (size - fewest) as f64)
            .bar(Bar::ValueAtMost(size as f64 / 2.0)),
    ])
}

/// Waits until all rings have so many members.
async fn until_on(members: &[Ringpop], size: usize) -> Result<()> {
    let rings = || members.iter().map(|member| member.view().ring.len());
    let changed = until("all rings have changed", || rings().all(|len| len == size)).await;
    changed.with_context(|| {
        let view = members[0].view();
        let is_off = |address: &str| view.ring.node(address).is_none();
        let missing = view.members.iter().filter(|member| is_off(member.address.as_str()));
        let missing = missing.map(|member| {
            let damped = if view.damped.contains(&member.address) { ", damped" } else { "" };
            let off = view.off_ring(member.address.as_str());
            format!("{} {}{damped} {off:?}", member.address, member.status)
        });
        let (fewest, most) = (rings().min(), rings().max());
        let missing: Vec<_> = missing.collect();
        format!("{size} expected, {fewest:?} to {most:?} seen; at one: {}", missing.join(", "))
    })
}
