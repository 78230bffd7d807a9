//! Planned moves of twenty processes under load: whether all switch at one instant, and what
//! callers notice.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::keepers::Keepers;
use crate::load::{Load, Outcome, fill};
use crate::measure::median;
use crate::process::runtime_of;
use crate::report::{Bar, Report, Row};
use crate::roles::Role;
use crate::spread::quantile;

const MEMBERS: usize = 20;
const MOVES: usize = 100;
/// Calls at rest before, after and between moves.
const REST: Duration = Duration::from_millis(500);

/// A planned move.
struct Move {
    /// Between the first and the last member that has the new ring.
    spread_ms: f64,
    /// From the command until all have the new ring.
    took: Duration,
    /// Calls that an old owner handled after a new one had handled one for the same key.
    twice: usize,
    during_ms: Vec<f64>,
    rest_ms: Vec<f64>,
    failed: usize,
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let moves = runtime_of(2)?.block_on(measure())?;
    let mut spreads: Vec<f64> = moves.iter().map(|it| it.spread_ms).collect();
    let (p99, most) = (quantile(&mut spreads, 0.99), quantile(&mut spreads, 1.0));
    let row = Row::new(
        format!("{MOVES} moves of {MEMBERS}: members switch within, p50"),
        "ms",
        median(&mut spreads),
    );
    let note = format!("p99 {p99:.2} ms, at most {most:.2} ms");
    report.add(&row.bar(Bar::ValueAtMost(5.0)).note(note));
    let sum = |of: fn(&Move) -> usize| moves.iter().map(of).sum::<usize>() as f64;
    let calls: usize = moves.iter().map(|it| it.during_ms.len() + it.rest_ms.len()).sum();
    let row = Row::new("calls that two owners handled", "", sum(|it| it.twice));
    report.add(&row.bar(Bar::ValueAtMost(0.0)).note(format!("of {calls}")));
    let row = Row::new("calls that failed", "", sum(|it| it.failed));
    report.add(&row.bar(Bar::ValueAtMost(0.0)));
    let all =
        |of: fn(&Move) -> &Vec<f64>| -> Vec<f64> { moves.iter().flat_map(of).copied().collect() };
    let (mut during, mut rest) = (all(|it| &it.during_ms), all(|it| &it.rest_ms));
    let mut took: Vec<f64> = moves.iter().map(|it| it.took.as_secs_f64() * 1e3).collect();
    let row = Row::new("latency p99 during a move", "ms", quantile(&mut during, 0.99));
    let row = row.peer("at rest", quantile(&mut rest, 0.99)).bar(Bar::AtMost(3.0));
    let (p50, at_rest) = (median(&mut during), median(&mut rest));
    let took = median(&mut took);
    report.add(&row.note(format!("p50 {p50:.2} and {at_rest:.2} ms; a move takes {took:.0} ms")));
    Ok(())
}

async fn measure() -> Result<Vec<Move>> {
    let mut all = Keepers::start(Role::Keeper, MEMBERS).await?;
    fill(&all.serving).await?;
    let load = Load::start(all.serving.clone());
    let mut moves = Vec::new();
    for i in 0..MOVES {
        tokio::time::sleep(REST).await;
        let (rest, began) = (load.take(), Instant::now());
        // One goes off the ring, and comes back with the next move.
        let (weight, size) = if i % 2 == 0 { (0, MEMBERS - 1) } else { (1, MEMBERS) };
        all.processes[i / 2 % MEMBERS].tell(&format!("weight {weight}"))?;
        all.until("all have switched", |all| all.agree(size)).await?;
        let took = began.elapsed();
        let at = all.rings.values().map(|(at, _, _)| *at);
        let spread = at.clone().max().unwrap_or(0) - at.min().unwrap_or(0);
        // Late requests are part of the move.
        tokio::time::sleep(REST).await;
        let during = load.take();
        let latencies = |calls: &[Outcome]| -> Vec<f64> {
            calls.iter().map(|call| call.latency.as_secs_f64() * 1e3).collect()
        };
        moves.push(Move {
            spread_ms: spread as f64 / 1e6,
            took,
            twice: twice(&during),
            failed: rest.iter().chain(&during).filter(|call| call.answer.is_err()).count(),
            during_ms: latencies(&during),
            rest_ms: latencies(&rest),
        });
    }
    Ok(moves)
}

/// Of calls around one move: those that the old owner of a key handled after the new one had
/// handled one.
fn twice(calls: &[Outcome]) -> usize {
    let mut by_key: HashMap<&str, Vec<(u64, &str)>> = HashMap::new();
    for answer in calls.iter().filter_map(|call| call.answer.as_ref().ok()) {
        by_key.entry(&answer.key).or_default().push((answer.handled_ns, &answer.handler));
    }
    let of_key = |handled: &mut Vec<(u64, &str)>| {
        handled.sort_unstable();
        let first = handled[0].1;
        let of_new = handled.iter().skip_while(|(_, handler)| *handler == first);
        of_new.filter(|(_, handler)| *handler == first).count()
    };
    by_key.values_mut().map(of_key).sum()
}
