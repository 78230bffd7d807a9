//! What one call costs, one call at a time.

use anyhow::Result;

use super::Stage;
use crate::measure::{Latency, Subject, latencies, quiet};
use crate::process::Placement;
use crate::report::{Bar, Report, Row};
use crate::roles::{HERE, THERE};

/// Calls of one turn: enough for a 99th percentile.
const CALLS: usize = 400;

/// Sets of processes that take turns. Where a process happens to have its memory makes some per cent of a call, for as
/// long as it lives.
const SETS: usize = 4;

pub(crate) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    for bytes in [64, 4096] {
        size(stage, bytes, report).await?;
    }
    Ok(())
}

/// The turns of each subject, on one set of processes.
async fn turns(stage: &Stage, bytes: usize) -> Result<Vec<Vec<Latency>>> {
    let (bare, node) = (stage.bare.client().await?, stage.node.client().await?);
    let (owner, typed) = (stage.owner.client().await?, stage.typed.client().await?);
    let mut subjects = [
        Subject::new(&bare, HERE, bytes),
        Subject::new(&node, HERE, bytes),
        Subject::new(&owner, THERE, bytes),
        Subject::new(&node, THERE, bytes),
        Subject::new(&typed, THERE, bytes),
    ];
    latencies(&mut subjects, stage.rounds, CALLS).await
}

async fn size(stage: &Stage, bytes: usize, report: &mut Report) -> Result<()> {
    let mut results = turns(stage, bytes).await?;
    for _ in 1..SETS {
        let another = Stage::set(stage.placement, stage.rounds)?;
        let more = turns(&another, bytes).await?;
        results.iter_mut().zip(more).for_each(|(all, more)| all.extend(more));
    }
    let [bare, local, direct, forwarded, typed] = &results[..] else {
        unreachable!("a result for each subject");
    };
    // On two cores the kernel's placement of four processes decides more than their work does; only reported.
    let bar = |most| (stage.placement == Placement::OneCore).then_some(Bar::AtMost(most));
    let rows = [
        ("local p50", p50 as Figure, local, ("bare", bare), bar(1.05), Some(1.03)),
        ("local p99", p99, local, ("bare", bare), None, None),
        ("forwarded p50", p50, forwarded, ("direct", direct), bar(2.3), Some(2.0)),
        ("forwarded p99", p99, forwarded, ("direct", direct), bar(2.5), Some(2.1)),
        ("typed forward p50", p50, typed, ("direct", direct), None, None),
        ("forwarded p50", p50, forwarded, ("typed", typed), None, None),
    ];
    for (name, figure, ours, (peer_name, peer), bar, goal) in rows {
        let values = |rounds: &[Latency]| rounds.iter().map(figure).collect::<Vec<_>>();
        let case = stage.case(&format!("{name}, {bytes} B"));
        let mut row =
            Row::new(case, "us", quiet(values(ours))).peer(peer_name, quiet(values(peer)));
        if let Some(bar) = bar {
            row = row.bar(bar);
        }
        if let Some(goal) = goal {
            row = row.goal(goal);
        }
        report.add(&row);
    }
    Ok(())
}

type Figure = fn(&Latency) -> f64;

fn p50(latency: &Latency) -> f64 {
    latency.p50
}

fn p99(latency: &Latency) -> f64 {
    latency.p99
}
