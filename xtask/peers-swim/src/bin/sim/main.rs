//! The simulator with foca beside `swim-core`: `cargo xtask sim --peer ...`.

mod foca;

use std::process::ExitCode;

use swim_sim::Machine as _;
use swim_sim::cli::{self, Peer};
use swim_sim::{scenario, speed};

use crate::foca::Foca;

fn main() -> ExitCode {
    cli::main(Some(Peer {
        name: Foca::NAME,
        run: scenario::run::<Foca>,
        speed: speed::settled::<Foca>,
    }))
}
