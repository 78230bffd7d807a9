//! `cargo xtask bench forward`: what a forwarded call costs beside a direct one, in the same run.
//!
//! This process is the caller. It starts copies of itself: the owner, a node that forwards to it,
//! the service without a forwarder, a forward that was written by hand, and a node that only passes
//! bodies on. Prints a table, or with `--json` one object per line. The exit code is 1 if a bar
//! does not hold. An argument runs only the cases whose name contains it.

mod api;
mod cases;
mod measure;
mod pass;
/// The scanner itself, which is private to its crate.
#[path = "../../../crates/ringpop-forward/src/route/peek.rs"]
#[allow(dead_code, reason = "the bench uses a part of it")]
mod peek;
mod process;
#[path = "../../shared/report.rs"]
mod report;
mod roles;
#[path = "../../shared/spread.rs"]
mod spread;

/// What the scanner finds under this name in its own crate.
mod limits {
    pub(crate) const PEEK_DEPTH_MAX: usize = 100;
}

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cases::{CASES, Stage};
use process::{Placement, allowed, runtime};
use report::Report;
use roles::Role;

#[derive(Parser)]
struct Args {
    /// Run only cases whose name contains this.
    case: Option<String>,
    /// Print one JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds of each measurement; more rounds, steadier figures.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Measure nothing, but keep calls of this many bytes going through the node, for a profiler.
    #[arg(long)]
    load: Option<usize>,
    /// Be another process of the bench.
    #[arg(long, hide = true)]
    role: Option<Role>,
    /// Address of the owner, for a process that forwards.
    #[arg(long, hide = true)]
    owner: Option<String>,
    /// Worker threads; none means one current-thread runtime.
    #[arg(long, hide = true, default_value_t = 0)]
    workers: usize,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(role) = args.role {
        runtime(args.workers)?.block_on(roles::serve(role, args.owner))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::new("forward", args.json);
    let cores = allowed()?;
    if let Some(bytes) = args.load {
        Placement::OneCore.apply(&cores)?;
        return runtime(0)?.block_on(async {
            let stage = Stage::set(Placement::OneCore, 0)?;
            cases::load::endless(&stage, bytes).await
        });
    }
    for (name, placements, case) in CASES {
        if args.case.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        for &placement in placements {
            placement.apply(&cores)?;
            let runtime = runtime(placement.workers())?;
            runtime.block_on(async {
                let stage = Stage::set(placement, args.rounds)?;
                case(&stage, &mut report).await
            })?;
        }
    }
    Placement::TwoCores.apply(&cores)?;
    Ok(report.finish())
}
