//! How long a failure stays unknown: the time until the first, the middle and the last member
//! take a killed one for faulty.

use peers_swim::{Foca, Notice, Peer, Setup};
use swim_sim::{MILLISECOND, Nanos, SECOND, Swim};

use crate::cluster::Cluster;
use crate::measure::quantile;
use crate::report::{Bar, Row};

const MEMBERS: u32 = 100;

/// Enough for a 99th percentile.
const KILLS: u64 = 400;

/// How long to wait for the last member.
const LIMIT: Nanos = 200 * SECOND;

/// Seconds from the kill until members know, sorted; a member that never learns counts as
/// [`LIMIT`].
fn kill<P: Peer>(seed: u64) -> Vec<f64> {
    let members = MEMBERS;
    let mut cluster: Cluster<P> = Cluster::warm(&Setup::new(members, seed));
    // A random phase of the probe period, and of foca's announcements.
    cluster.world.run_for(SECOND + seed * 7_919 % 30_000 * MILLISECOND);
    cluster.take_seen();
    let victim = seed as u32 % members;
    let killed = cluster.world.now();
    cluster.world.crash(victim);
    let mut known = vec![None; members as usize];
    let mut missing = members - 1;
    while missing > 0 && cluster.world.now() < killed + LIMIT {
        cluster.world.run_for(500 * MILLISECOND);
        for seen in cluster.take_seen() {
            let known = &mut known[seen.by as usize];
            if seen.what == Notice::Faulty(victim) && known.is_none() {
                *known = Some((seen.at - killed) as f64 / SECOND as f64);
                missing -= 1;
            }
        }
    }
    let limit = LIMIT as f64 / SECOND as f64;
    let mut times: Vec<f64> = (0..)
        .zip(known)
        .filter(|(member, _)| *member != victim)
        .map(|(_, time)| time.unwrap_or(limit))
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Over all kills, each sorted: when the first, the middle and the last member knew, and how long
/// the news took from the first to the last.
///
/// With one probe per member and period, nobody meets the victim for a while whose share of long
/// waits falls off like `exp(-t)` in periods: 0.7 periods at p50, 4.6 at p99. It is part of the
/// first member's time and so of all; `news` is free of it.
struct Latencies {
    first: Vec<f64>,
    middle: Vec<f64>,
    last: Vec<f64>,
    news: Vec<f64>,
}

fn latencies<P: Peer>() -> Latencies {
    let kills: Vec<_> = (0..KILLS).map(kill::<P>).collect();
    let sorted = |pick: fn(&Vec<f64>) -> f64| {
        let mut values: Vec<f64> = kills.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    Latencies {
        first: sorted(|times| times[0]),
        middle: sorted(|times| times[times.len() / 2]),
        last: sorted(|times| times[times.len() - 1]),
        news: sorted(|times| times[times.len() - 1] - times[0]),
    }
}

pub(super) fn run() -> Vec<Row> {
    let (ours, peer) = (latencies::<Swim>(), latencies::<Foca>());
    let row = |name: &str, list: fn(&Latencies) -> &Vec<f64>, share: f64| {
        let case = format!("detection, N=100, {name}");
        Row::new(case, "s", quantile(list(&ours), share)).peer(quantile(list(&peer), share))
    };
    let spread =
        |latencies: &Latencies| quantile(&latencies.last, 0.99) - quantile(&latencies.last, 0.5);
    let case = "detection, N=100, last member, p99 - p50";
    vec![
        row("first member, p50", |l| &l.first, 0.5),
        row("first member, p99", |l| &l.first, 0.99),
        row("middle member, p50", |l| &l.middle, 0.5),
        row("last member, p50", |l| &l.last, 0.5),
        row("last member, p99", |l| &l.last, 0.99),
        row("last member, max", |l| &l.last, 1.0),
        row("first to last member, p50", |l| &l.news, 0.5),
        row("first to last member, p99", |l| &l.news, 0.99),
        Row::new(case, "s", spread(&ours)).peer(spread(&peer)).bar(Bar::Value(2.0)),
    ]
}
