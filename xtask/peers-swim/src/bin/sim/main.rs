//! The simulator with foca beside `swim-core`: `cargo xtask sim --peer ...`.

mod foca;

use std::process::ExitCode;

use swim_sim::Machine as _;
use swim_sim::cli::{self, Peer};
use swim_sim::{node_periods_per_second, scenario};

use crate::foca::Foca;

fn main() -> ExitCode {
    cli::main(Some(Peer {
        name: Foca::NAME,
        run: scenario::run::<Foca>,
        speed: node_periods_per_second::<Foca>,
    }))
}
