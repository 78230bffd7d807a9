//! Developer automation: `cargo xtask COMMAND`.
//!
//! This file turns flags into calls; each command lives in a file of its own.

mod codegen;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer automation of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the Rust code of the protobuf schemas in proto/.
    Codegen {
        /// Write nothing; fail when a committed file differs from its schema.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Codegen { check } => codegen::run(check),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
