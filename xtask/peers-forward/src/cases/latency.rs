//! What one call costs, one call at a time.

use anyhow::Result;

use super::{SETS, Stage};
use crate::measure::{Latency, Subject, latencies, median, quiet};
use crate::process::Placement;
use crate::report::{Bar, Report, Row};
use crate::roles::{HERE, THERE};
use crate::spread::Spread;

/// Calls of one turn: enough for a 99th percentile.
const CALLS: usize = 400;

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
    let pass = stage.pass.client().await?;
    let mut subjects = [
        Subject::new(&bare, HERE, bytes),
        Subject::new(&node, HERE, bytes),
        Subject::new(&owner, THERE, bytes),
        Subject::new(&node, THERE, bytes),
        Subject::new(&typed, THERE, bytes),
        Subject::new(&pass, THERE, bytes),
    ];
    latencies(&mut subjects, stage.rounds_of_a_set(), CALLS).await
}

async fn size(stage: &Stage, bytes: usize, report: &mut Report) -> Result<()> {
    let mut sets = vec![turns(stage, bytes).await?];
    while sets.len() < SETS {
        let another = Stage::set(stage.placement, stage.rounds)?;
        sets.push(turns(&another, bytes).await?);
    }
    // A ratio to a direct call swings with the machine; those to a forward by hand and to passing
    // bodies on hardly do.
    let (one_core, most) = match stage.placement {
        Placement::OneCore => (true, 0.78),
        Placement::TwoCores => (false, 0.82),
    };
    let local = one_core.then_some(Bar::AtMost(1.05));
    let rows: [(&str, Figure, usize, (&'static str, usize), Option<Bar>); 8] = [
        ("local p50", p50, LOCAL, ("bare", BARE), local),
        ("local p99", p99, LOCAL, ("bare", BARE), None),
        ("forwarded p50", p50, FORWARDED, ("typed", TYPED), Some(Bar::AtMost(most))),
        ("forwarded p99", p99, FORWARDED, ("typed", TYPED), None),
        ("forwarded p50", p50, FORWARDED, ("direct", DIRECT), None),
        ("forwarded p99", p99, FORWARDED, ("direct", DIRECT), None),
        ("forwarded p50", p50, FORWARDED, ("pass", PASS), Some(Bar::AtMost(1.05))),
        ("passed on p50", p50, PASS, ("typed", TYPED), None),
    ];
    for (name, figure, ours, (peer_name, peer), bar) in rows {
        let by_set = |subject: usize| -> Vec<f64> {
            sets.iter().map(|set| quiet(set[subject].iter().map(figure))).collect()
        };
        let (ours, peer) = (by_set(ours), by_set(peer));
        let ratios = ours.iter().zip(&peer).map(|(ours, peer)| ours / peer).collect();
        let case = stage.case(&format!("{name}, {bytes} B"));
        let row = Row::new(case, "us", median(ours))
            .peer(peer_name, median(peer))
            .spread(Spread::of(ratios));
        report.add(&match bar {
            Some(bar) => row.bar(bar),
            None => row,
        });
    }
    Ok(())
}

/// Where the subjects of a set stand.
const BARE: usize = 0;
const LOCAL: usize = 1;
const DIRECT: usize = 2;
const FORWARDED: usize = 3;
const TYPED: usize = 4;
const PASS: usize = 5;

type Figure = fn(&Latency) -> f64;

fn p50(latency: &Latency) -> f64 {
    latency.p50
}

fn p99(latency: &Latency) -> f64 {
    latency.p99
}
