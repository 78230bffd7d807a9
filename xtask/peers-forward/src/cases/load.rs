//! What many calls at a time cost: processor time of the forwarding node, and calls per second.

use std::process::ExitCode;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;

use super::{SETS, Stage};
use crate::api::BenchClient;
use crate::measure::{Subject, burst, median, quiet};
use crate::process::Placement;
use crate::report::{Bar, Report, Row};
use crate::roles::{FIRST, HERE, THERE};
use crate::spread::{Spread, quantile};

/// Calls of one turn.
const CALLS: usize = 10_000;

/// The processor time of a node per call that it forwards, beside a forward by hand and beside
/// serving that call.
pub(crate) async fn cpu(stage: &Stage, report: &mut Report) -> Result<()> {
    // On two cores every wake of a sleeping worker is the node's cost too.
    let most = match stage.placement {
        Placement::OneCore => 0.65,
        Placement::TwoCores => 0.72,
    };
    for bytes in [64, 4096] {
        let mut sets = vec![cpu_of_a_set(stage, bytes).await?];
        while sets.len() < SETS {
            let another = Stage::set(stage.placement, stage.rounds)?;
            sets.push(cpu_of_a_set(&another, bytes).await?);
        }
        let of = |subject: usize| sets.iter().map(move |set| set[subject]);
        let row = |name, ours: usize, peer_name, peer: usize| {
            let ratios = of(ours).zip(of(peer)).map(|(ours, peer)| ours / peer).collect();
            Row::new(stage.case(&format!("{name}, {bytes} B")), "us", median(of(ours)))
                .peer(peer_name, median(of(peer)))
                .spread(Spread::of(ratios))
        };
        report.add(&row("node cpu", FORWARDED, "typed", TYPED).bar(Bar::AtMost(most)));
        report.add(&row("node cpu", FORWARDED, "local", LOCAL));
        report.add(&row("node cpu", FORWARDED, "bare", BARE));
        report.add(&row("node cpu", FORWARDED, "pass", PASS).bar(Bar::AtMost(1.2)));
        report.add(&row("cpu of passing on", PASS, "typed", TYPED));
    }
    Ok(())
}

/// Where the subjects of a set stand.
const BARE: usize = 0;
const LOCAL: usize = 1;
const FORWARDED: usize = 2;
const TYPED: usize = 3;
const PASS: usize = 4;

/// The quiet turns of each subject on one set of processes.
async fn cpu_of_a_set(stage: &Stage, bytes: usize) -> Result<[f64; 5]> {
    let (node, typed) = (stage.node.client().await?, stage.typed.client().await?);
    let (bare, pass) = (stage.bare.client().await?, stage.pass.client().await?);
    let subjects = [
        Subject::new(&bare, HERE, bytes),
        Subject::new(&node, HERE, bytes),
        Subject::new(&node, THERE, bytes),
        Subject::new(&typed, THERE, bytes),
        Subject::new(&pass, THERE, bytes),
    ];
    let mut results = [const { Vec::new() }; 5];
    for _ in 0..stage.rounds_of_a_set() {
        for (subject, results) in subjects.iter().zip(&mut results) {
            results.push(cpu_per_call(&mut subject.client.clone(), subject).await?);
        }
    }
    Ok(results.map(quiet))
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

/// Other names of one loopback address. Each is a peer of its own to the pool of the node, with a
/// connection of its own.
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
