//! Bench of `swim-core` against foca, in one process and interleaved.
//!
//! Each file in `cases/` measures one thing on both through the face in `adapter/`; `sim.rs` is
//! the network between many members. A row with a bar fails the run when the bar does not hold.

mod adapter;
mod cases;
mod measure;
mod report;
mod sim;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use adapter::{Foca, Ours, Peer as _};

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
        report::print_table(&rows, Ours::NAME, Foca::NAME);
    }
    let failed = rows.iter().filter(|row| row.holds() == Some(false)).count();
    if failed > 0 {
        eprintln!("{failed} of the bars do not hold");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
