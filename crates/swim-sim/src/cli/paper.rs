//! `cargo xtask sim paper`: our numbers beside the published ones.

mod lifeguard;
mod parallel;
mod swim;

use clap::ValueEnum;

use super::Failure;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Which paper.
    paper: Paper,
    /// A part of the experiments, for a first look.
    #[arg(long)]
    quick: bool,
    /// Repetitions of each run of the Interval experiment of Lifeguard; the paper has 10.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    repeat: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Paper {
    /// SWIM (Das, Gupta, Motivala, DSN 2002).
    Swim,
    /// Lifeguard (Dadgar, Phillips, Currey, 2017).
    Lifeguard,
}

pub(super) fn main(args: &Args) -> Result<(), Failure> {
    let holds = match args.paper {
        Paper::Swim => swim::main(args.quick),
        Paper::Lifeguard => lifeguard::main(args.quick, args.repeat),
    };
    if holds { Ok(()) } else { Err(Failure::Violated) }
}

const fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "FAILS" }
}
