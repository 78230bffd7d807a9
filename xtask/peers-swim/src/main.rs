//! Bench of `swim-core` against foca, in one process and interleaved.
//!
//! Each file in `cases/` measures one thing on both, on one member alone or on a cluster in the
//! world of the simulator. A row with a bar fails the run when the bar does not hold.

mod cases;
mod cluster;
mod measure;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use peers_swim::Foca;
use swim_sim::{Machine as _, Swim};

/// Measure swim-core against foca; exits 1 when a bar does not hold.
#[derive(Parser)]
#[command(name = "cargo xtask bench swim")]
struct Args {
    /// Print one JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Run only the cases whose name contains this text.
    #[arg(long, value_name = "SUBSTRING")]
    case: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen: Vec<_> = cases::ALL
        .iter()
        .filter(|(name, _)| args.case.as_ref().is_none_or(|part| name.contains(part)))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = cases::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("error: no case contains that text; cases: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let mut rows = Vec::new();
    for (name, run) in chosen {
        eprint!("{name} ...");
        let start = Instant::now();
        let new = run();
        eprintln!(" {:.1} s", start.elapsed().as_secs_f64());
        if args.json {
            new.iter().for_each(|row| row.print_json(Foca::NAME));
        }
        rows.extend(new);
    }
    if !args.json {
        report::print_table(&rows, Swim::NAME, Foca::NAME);
    }
    let failed = rows.iter().filter(|row| row.holds() == Some(false)).count();
    if failed > 0 {
        eprintln!("{failed} of the bars do not hold");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
