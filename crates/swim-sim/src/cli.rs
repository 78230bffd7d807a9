//! The command: flags in, campaigns, scenarios and experiments out.

/// As the standard one, but it ends the command when nobody reads on (`sim run all | head`), where
/// that one panics. The exit code is that of a program that SIGPIPE ends.
macro_rules! println {
    ($($what:tt)*) => {{
        let written = std::io::Write::write_fmt(
            &mut std::io::stdout().lock(),
            format_args!("{}\n", format_args!($($what)*)),
        );
        if written.is_err() {
            std::process::exit(141);
        }
    }};
}

mod campaign;
mod config;
mod html;
mod paper;
mod results;
mod run;
mod speed;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::campaign::{Fault, Faults};
use crate::scenario::{Outcome, Params, Scenario};
use crate::speed::{Load, Rounds};

/// Another implementation that scenarios are run on as well.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// Runs a scenario on it.
    pub run: fn(&Scenario, &Params, &mut dyn FnMut(u32)) -> Outcome,
    /// Makes a cluster of it whose speed is measured.
    pub speed: fn(Load) -> Rounds,
}

/// Simulates clusters: campaigns of faults, scenarios with numbers, experiments of papers.
///
/// Without a subcommand it runs a campaign: each seed decides a cluster and what goes wrong in
/// it; all properties are checked meanwhile.
#[derive(Parser)]
#[command(name = "cargo xtask sim", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    campaign: campaign::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario and print what was measured; without a name, list all scenarios.
    Run(Box<run::Args>),
    /// Run the experiments of a paper and print ours beside theirs; exits 1 when a bar does not
    /// hold.
    Paper(paper::Args),
    /// Measure how fast clusters are simulated; exits 1 when a bar does not hold.
    Speed {
        /// Print one JSON object per line instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// What a command ends with.
enum Failure {
    /// A property or bar does not hold: exit code 1.
    Violated,
    /// It cannot be run like that: exit code 2, and why.
    Usage(String),
}

impl Failure {
    /// A file cannot be written.
    fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Usage(format!("cannot write {}: {error}", path.display()))
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main(peer: Option<Peer>) -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        None => campaign::main(&args.campaign),
        Some(Command::Run(args)) => run::main(&args, peer),
        Some(Command::Paper(args)) => paper::main(&args),
        Some(Command::Speed { json }) => speed::main(json, peer),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Violated) => ExitCode::FAILURE,
        Err(Failure::Usage(why)) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

/// The faults in a list of names.
fn parse_faults(text: &str) -> Result<Faults, String> {
    text.split(',').filter(|name| !name.is_empty()).map(str::parse::<Fault>).collect()
}
