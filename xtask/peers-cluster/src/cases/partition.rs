//! A partition of four members into two and two: how soon they are one cluster again.

use std::time::{Duration, Instant};

use anyhow::Result;
use ringpop::swim::Config;
use ringpop::testing::Cluster;

use crate::measure::{PATIENCE, median, millis};
use crate::process::runtime_of;
use crate::recorded;
use crate::report::{Bar, Report, Row};
use crate::spread::quantile;

const ROUNDS: usize = 3;
/// How long each side has been alone when the way is whole again: nothing of the partition is
/// recent any more.
const SETTLED: Duration = Duration::from_secs(5);

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let runtime = runtime_of(2)?;
    let mut healed = runtime.block_on(runtime.handle().spawn(measure()))??;
    let worst = quantile(&mut healed, 1.0);
    let row = Row::new("partition 2-2: one view after the repair", "ms", median(&mut healed));
    let row = row.peer(recorded::GO, recorded::GO_HEALED_MS).bar(Bar::ValueAtMost(3_000.0));
    report.add(&row.note(format!(
        "median of {ROUNDS}, at most {worst:.0} ms; members in one process, cut between their connections"
    )));
    Ok(())
}

async fn measure() -> Result<Vec<f64>> {
    let settings = |_, builder: ringpop::Builder| builder.config(Config::lan());
    let cluster = Cluster::builder(4).settings(settings).patience(PATIENCE).start().await?;
    let address = |i| cluster.address(i);
    let mut healed = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let sides = [[address(0), address(1)], [address(2), address(3)]];
        cluster.network().partition(&[&sides[0], &sides[1]]);
        let apart =
            |cluster: &Cluster| cluster.running().all(|m| m.view().reachable().count() == 2);
        cluster.until("each side is alone", apart).await?;
        tokio::time::sleep(SETTLED).await;
        let repaired = Instant::now();
        cluster.network().restore();
        cluster.converged().await?;
        healed.push(millis(repaired));
    }
    Ok(healed)
}
