//! The simulator with foca beside `swim-core`: `cargo xtask sim --peer ...`.

use std::process::ExitCode;

use peers_swim::Foca;
use swim_sim::Machine as _;
use swim_sim::cli::{self, Peer};
use swim_sim::{scenario, speed};

fn main() -> ExitCode {
    cli::main(Some(Peer {
        name: Foca::NAME,
        run: scenario::run::<Foca>,
        speed: speed::settled::<Foca>,
    }))
}
