//! `cargo xtask bench cluster`: members, their views, clients on the ring, and whole clusters.
//!
//! Prints a table, or with `--json` one object per line. The exit code is 1 if a bar does not
//! hold. An argument runs only the cases whose name contains it. Figures of ringpop-go and of
//! memberlist were recorded on a machine like this one and are marked so: neither is run here.

mod call;
mod cases;
mod crowd;
mod cut;
mod keepers;
mod load;
mod many;
mod measure;
mod process;
mod recorded;
#[path = "../../shared/report.rs"]
#[allow(dead_code, reason = "the bench of forwarding uses the rest")]
mod report;
mod roles;
#[path = "../../shared/spread.rs"]
#[allow(dead_code, reason = "the bench of forwarding uses the rest")]
mod spread;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cases::CASES;
use report::Report;
use roles::Role;

#[derive(Parser)]
struct Args {
    /// Run only cases whose name contains this.
    case: Option<String>,
    /// Print one JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Cut the watches of clients for ten minutes instead of ten seconds.
    #[arg(long)]
    full: bool,
    /// Be another process of the bench.
    #[arg(long, hide = true)]
    role: Option<Role>,
    /// Where that process listens.
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    listen: String,
    /// Whom it joins, with commas.
    #[arg(long, hide = true, default_value = "")]
    hosts: String,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(role) = args.role {
        process::runtime()?.block_on(roles::run(role, &args.listen, &args.hosts))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut report = Report::new("cluster", args.json);
    for (name, case) in CASES {
        if args.case.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        case(&mut report, args.full)?;
    }
    Ok(report.finish())
}
