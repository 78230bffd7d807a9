//! `cargo xtask sim run NAME`: a scenario and its numbers.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;
use swim_core::Config;

use super::config::{preset, with_settings};
use super::results::Results;
use super::{Failure, Peer, html, table};
use crate::Swim;
use crate::host::Pause;
use crate::machine::Machine as _;
use crate::scenario::{self, Outcome, Params, Scenario};
use crate::time::from_seconds;

/// Bytes that a member takes in the list of another one, with the share of its indices, as an
/// estimate: machines of one process share equal values.
const BYTES_PER_PAIR: u64 = 80;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Name of the scenario, or `all`; without one, all are listed.
    name: Option<String>,
    /// Members of the cluster.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    nodes: u32,
    /// Share of packets that are lost on each way, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = parse_share)]
    loss: f64,
    /// Settings of the members: lan, wan, local or ringpop.
    #[arg(long, default_value = "lan", value_parser = preset)]
    config: Config,
    /// One setting of its own, as key=value; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// How often the scenario runs, with another seed each time.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    repeat: u32,
    /// Seed of the first repetition.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How slow machines stand still: frozen, frozen-timers-first, blocked or deaf.
    #[arg(long, default_value = "frozen", value_parser = parse_pause)]
    pause: Pause,
    /// How long a fault lasts that has an end, in seconds.
    #[arg(long, default_value_t = 20.0, value_parser = parse_lasting)]
    lasts: f64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write a report with plots to this file, as a page for a browser.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    let valid = (0.0..=1.0).contains(&share);
    if valid { Ok(share) } else { Err(format!("{share} is not between 0 and 1")) }
}

fn parse_lasting(text: &str) -> Result<f64, String> {
    let lasts: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    let valid = (0.001..=86_400.0).contains(&lasts);
    if valid { Ok(lasts) } else { Err(format!("{lasts} is not between 0.001 and 86400 seconds")) }
}

fn parse_pause(text: &str) -> Result<Pause, String> {
    Pause::ALL.into_iter().find(|pause| pause.as_str() == text).ok_or_else(|| {
        let names = Pause::ALL.map(Pause::as_str);
        format!("`{text}` is no way to stand still; ways: {}", names.join(", "))
    })
}

pub(super) fn main(args: &Args, peer: Option<Peer>) -> Result<(), Failure> {
    let Some(name) = &args.name else {
        list();
        return Ok(());
    };
    let chosen: Vec<&'static Scenario> = match name.as_str() {
        "all" => scenario::all().iter().collect(),
        name => vec![scenario::find(name).ok_or_else(|| unknown(name))?],
    };
    let params = params(args, &chosen)?;
    if let Some(path) = &args.report {
        // Told now, and not when all is done.
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.map_err(|error| Failure::file(path, &error))?;
    }
    let mut results = Vec::new();
    for scenario in chosen {
        results.push(play(scenario, &params, peer));
        if !args.json {
            table::print(&results[results.len() - 1]);
        }
    }
    if args.json {
        println!("{:#}", json!(results.iter().map(to_json).collect::<Vec<_>>()));
    }
    if let Some(path) = &args.report {
        let page = html::page(&results).map_err(Failure::Usage)?;
        std::fs::write(path, page).map_err(|error| Failure::file(path, &error))?;
        eprintln!("report: {}", path.display());
    }
    Ok(())
}

fn list() {
    for Scenario { name, about, nodes_min } in scenario::all() {
        println!("{name:26} {about} (at least {nodes_min} members)");
    }
}

fn unknown(name: &str) -> Failure {
    let names: Vec<&str> = scenario::all().iter().map(|scenario| scenario.name).collect();
    Failure::Usage(format!("no scenario is called `{name}`; scenarios: all, {}", names.join(", ")))
}

/// Checks what the flags say together.
fn params(args: &Args, chosen: &[&Scenario]) -> Result<Params, Failure> {
    let config = with_settings(&args.config, &args.settings).map_err(Failure::Usage)?;
    for Scenario { name, nodes_min, .. } in chosen {
        if args.nodes < *nodes_min {
            let nodes = args.nodes;
            let why = format!("{name} with {nodes} members makes no sense, at least {nodes_min}");
            return Err(Failure::Usage(why));
        }
    }
    let needed = u64::from(args.nodes) * u64::from(args.nodes) * BYTES_PER_PAIR;
    let available = memory_available();
    if needed > available {
        let mib = |bytes: u64| bytes >> 20;
        let most = ((available / BYTES_PER_PAIR) as f64).sqrt() as u64;
        return Err(Failure::Usage(format!(
            "{} members that all know each other take about {} MiB, {} MiB are available; at most \
             {most} members fit",
            args.nodes,
            mib(needed),
            mib(available)
        )));
    }
    Ok(Params {
        nodes: args.nodes,
        loss: args.loss,
        config,
        seed: args.seed,
        repeat: args.repeat,
        pause: args.pause,
        lasts: from_seconds(args.lasts),
    })
}

/// Memory that can be had, in bytes; where the system does not tell, 8 GiB.
fn memory_available() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(8 << 30, |kib| kib << 10)
}

fn play(scenario: &'static Scenario, params: &Params, peer: Option<Peer>) -> Results {
    let mut columns =
        vec![(Swim::NAME, timed(scenario, params, Swim::NAME, scenario::run::<Swim>))];
    if let Some(peer) = peer {
        columns.push((peer.name, timed(scenario, params, peer.name, peer.run)));
    }
    Results { scenario, params: params.clone(), columns }
}

fn timed(
    scenario: &Scenario,
    params: &Params,
    who: &str,
    run: impl FnOnce(&Scenario, &Params, &mut dyn FnMut(u32)) -> Outcome,
) -> Outcome {
    let (start, total) = (Instant::now(), params.repeat);
    let visible = io::stderr().is_terminal();
    run(scenario, params, &mut |done| {
        if visible {
            let elapsed = start.elapsed().as_secs_f64();
            eprint!("\r{} on {who}: {done} of {total}, {elapsed:.1} s  ", scenario.name);
            if done == total {
                eprint!("\r{:70}\r", "");
            }
        }
    })
}

fn to_json(results: &Results) -> serde_json::Value {
    let Results { scenario, params, columns } = results;
    let metric = |metric: &crate::stats::Metric| {
        let summary = metric.summary().map(|s| {
            json!({"count": s.count, "mean": s.mean, "median": s.median, "p99": s.p99,
                   "min": s.min, "max": s.max})
        });
        json!({"name": metric.name, "unit": metric.unit, "summary": summary})
    };
    let curve = |curve: &crate::stats::Curve| json!({"name": curve.name, "x": curve.x, "y": curve.y, "points": curve.points});
    let column = |(name, outcome): &(&str, Outcome)| {
        json!({
            "implementation": name,
            "metrics": outcome.metrics.iter().map(metric).collect::<Vec<_>>(),
            "curves": outcome.curves.iter().map(curve).collect::<Vec<_>>(),
        })
    };
    json!({
        "scenario": scenario.name,
        "nodes": params.nodes,
        "loss": params.loss,
        "seed": params.seed,
        "repeat": params.repeat,
        "results": columns.iter().map(column).collect::<Vec<_>>(),
    })
}
