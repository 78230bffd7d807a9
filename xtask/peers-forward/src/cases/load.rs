//! What many calls at a time cost: processor time of the forwarding node, and calls per second.

use std::process::ExitCode;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;

use super::Stage;
use crate::api::BenchClient;
use crate::measure::{Subject, burst, median, quantile, quiet};
use crate::process::Placement;
use crate::report::{Bar, Report, Row};
use crate::roles::{FIRST, HERE, THERE};

/// Calls of one turn.
const CALLS: usize = 10_000;

/// The processor time of a node per call that it forwards, beside serving that call and beside a forward by hand.
pub(crate) async fn cpu(stage: &Stage, report: &mut Report) -> Result<()> {
    for (bytes, most, goal) in [(64, 1.75, 1.4), (4096, 1.85, 1.5)] {
        let (node, typed) = (stage.node.client().await?, stage.typed.client().await?);
        let bare = stage.bare.client().await?;
        let subjects = [
            Subject::new(&bare, HERE, bytes),
            Subject::new(&node, HERE, bytes),
            Subject::new(&node, THERE, bytes),
            Subject::new(&typed, THERE, bytes),
        ];
        let mut results = vec![Vec::new(); subjects.len()];
        for _ in 0..stage.rounds {
            for (subject, results) in subjects.iter().zip(&mut results) {
                results.push(cpu_per_call(&mut subject.client.clone(), subject).await?);
            }
        }
        let [bare, local, forwarded, typed] = &results[..] else {
            unreachable!("a result for each subject");
        };
        let row = |name: &str, peer_name, peer: &[f64]| {
            Row::new(stage.case(&format!("{name}, {bytes} B")), "us", quiet(forwarded.clone()))
                .peer(peer_name, quiet(peer.iter().copied()))
        };
        // On two cores every wake of a sleeping worker is the node's cost too, and how often a worker sleeps is up to
        // what else runs; only reported.
        let bar = |row: Row, most| match stage.placement {
            Placement::OneCore => row.bar(Bar::AtMost(most)),
            Placement::TwoCores => row,
        };
        report.add(&bar(row("node cpu", "local", local), most).goal(goal));
        report.add(&row("node cpu", "bare", bare));
        report.add(&bar(row("node cpu", "typed", typed), 0.75));
    }
    Ok(())
}

/// Microseconds of the process that `client` calls, per call, with 64 calls in flight.
async fn cpu_per_call(client: &mut BenchClient, subject: &Subject) -> Result<f64> {
    burst(subject, CALLS / 10, 64).await?;
    let before = client.figures().await?.cpu_ns;
    burst(subject, CALLS, 64).await?;
    let after = client.figures().await?.cpu_ns;
    Ok((after - before) as f64 / 1e3 / CALLS as f64)
}

/// Calls per second with 256 in flight.
pub(crate) async fn throughput(stage: &Stage, report: &mut Report) -> Result<()> {
    let direct = Subject::new(&stage.owner.client().await?, THERE, 64);
    let forwarded = Subject::new(&stage.node.client().await?, THERE, 64);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..stage.rounds {
        peer.push(2.0 * CALLS as f64 / burst(&direct, 2 * CALLS, 256).await?);
        ours.push(2.0 * CALLS as f64 / burst(&forwarded, 2 * CALLS, 256).await?);
    }
    let mut ratios: Vec<_> = ours.iter().zip(&peer).map(|(ours, peer)| ours / peer).collect();
    let (least, most) = (quantile(&mut ratios, 0.0), quantile(&mut ratios, 1.0));
    let row = Row::new(stage.case("calls per second, 256 in flight, 64 B"), "1/s", median(ours))
        .peer("direct", median(peer))
        .ratio_by_round(median(ratios))
        .bar(Bar::AtLeast(0.45))
        .note(format!("rounds from {least:.2} to {most:.2}"));
    report.add(&row);
    Ok(())
}

/// Other names of one loopback address. Each is a peer of its own to the pool of the node, with a connection of its own.
const NAMES: [&str; 4] = ["127.0.0.1", "127.0.1", "127.1", "2130706433"];

/// Calls per second with 256 in flight, over one and more connections to the owner.
pub(crate) async fn connections(stage: &Stage, report: &mut Report) -> Result<()> {
    let node = stage.node.client().await?;
    let port = stage.owner.address.rsplit(':').next().context("an address has a port")?;
    let subjects: Vec<_> = NAMES
        .iter()
        .map(|name| Subject::new(&node, &format!("{FIRST}{name}:{port}"), 64))
        .collect();
    let numbers = [1, 2, 4];
    let mut rates = vec![Vec::new(); numbers.len()];
    for _ in 0..stage.rounds {
        for (number, rates) in numbers.iter().zip(&mut rates) {
            let shares = subjects[..*number]
                .iter()
                .map(|subject| burst(subject, 2 * CALLS / number, 256 / number));
            let seconds = try_join_all(shares).await?.into_iter().fold(0.0, f64::max);
            rates.push(2.0 * CALLS as f64 / seconds);
        }
    }
    let one = median(rates[0].iter().copied());
    for (number, mut rates) in numbers.iter().zip(rates) {
        let (least, most) = (quantile(&mut rates, 0.0), quantile(&mut rates, 1.0));
        let name = format!("calls per second, {number} connections");
        let row = Row::new(stage.case(&name), "1/s", median(rates)).peer("one", one);
        report.add(&row.note(format!("rounds from {least:.0} to {most:.0}")));
    }
    Ok(())
}

/// Forwarded calls without end, 64 in flight; prints the process to look at.
pub(crate) async fn endless(stage: &Stage, bytes: usize) -> Result<ExitCode> {
    println!("node is process {}", stage.node.id());
    let forwarded = Subject::new(&stage.node.client().await?, THERE, bytes);
    loop {
        burst(&forwarded, CALLS, 64).await?;
    }
}
