//! `cargo xtask bench hashring`: ours and the peers in one process run, interleaved, several
//! rounds.
//!
//! Prints a table, or with `--json` one object per line. The exit code is 1 if a bar does not hold.
//! An argument that is no flag runs only the benches whose name contains it.

mod balance;
mod facade;
mod lookup;
mod measure;
mod nodes;
mod placement_peers;
mod placements;
mod report;
mod search;
mod selection;
mod sharing;
mod update;

use std::{alloc::System, process::ExitCode};

use report::Report;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Bench = (&'static str, fn(&mut Report));

const BENCHES: [Bench; 14] = [
    ("lookup", lookup::run),
    ("search", search::throughput),
    ("latency", search::latency),
    ("update", update::run),
    ("memory", balance::memory),
    ("allocations", selection::allocations),
    ("sharing", sharing::run),
    ("facade", facade::run),
    ("owned", facade::owned),
    ("spread", balance::spread),
    ("schemes", balance::schemes),
    ("quarantine", selection::quarantine),
    ("placements", placements::run),
    ("peers", placement_peers::run),
];

fn main() -> ExitCode {
    let (mut json, mut wanted) = (false, None);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            flag if flag.starts_with('-') => {
                eprintln!("unknown flag {flag}; the flags are: --json");
                return ExitCode::from(2);
            }
            name => wanted = Some(name.to_owned()),
        }
    }
    let mut report = Report::new(json);
    let chosen = BENCHES
        .iter()
        .filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| name.contains(wanted)));
    for (_, bench) in chosen {
        bench(&mut report);
    }
    report.finish()
}
