//! The simulator as a command; `cargo xtask sim` builds and runs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    swim_sim::cli::main(None)
}
