//! Developer automation: `cargo xtask COMMAND`.
//!
//! This file turns flags into calls; each command lives in a file of its own.

mod bench;
mod bounds;
mod codegen;
mod msrv;
mod package;
mod sim;
mod tidy;
mod tree;
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
    /// Measure ours against its peers in one process run; exits 1 when a bar does not hold.
    Bench {
        /// Name of the bench: the NAME of a directory xtask/peers-NAME.
        name: String,
        /// Print one JSON object per line instead of a table.
        #[arg(long)]
        json: bool,
        /// Further arguments for the bench itself.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Write docs/bounds.md, the table of all bounds and defaults, from the sources.
    Bounds,
    /// Write the Rust code of the protobuf schemas in proto/.
    Codegen {
        /// Write nothing; fail when a committed file differs from its schema.
        #[arg(long)]
        check: bool,
    },
    /// Compare the workspace's minimum Rust version with every dependency and with the documents.
    Msrv,
    /// Pack every crate; fails on any warning and on files that a package lacks.
    Package,
    /// Simulate clusters: campaigns of faults, scenarios, experiments of papers (`sim --help`).
    #[command(disable_help_flag = true)]
    Sim {
        /// Run scenarios and measures on the peer as well; goes before the arguments of the
        /// simulator.
        #[arg(long)]
        peer: bool,
        /// What the simulator is to do.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check the rules of the house that clippy and rustfmt do not know.
    Tidy,
    /// Check that the crates without I/O depend on no runtime, and that they build for wasm.
    Tree,
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Args::parse().command {
        Command::Bench { name, json, args } => bench::run(&name, json, &args).map(done),
        Command::Bounds => bounds::run().map(done),
        Command::Codegen { check } => codegen::run(check).map(done),
        Command::Msrv => msrv::run().map(done),
        Command::Package => package::run().map(done),
        Command::Sim { peer, args } => sim::run(peer, &args),
        Command::Tidy => tidy::run().map(done),
        Command::Tree => tree::run().map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
