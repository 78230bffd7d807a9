//! `cargo xtask sim`: builds the simulator and runs it with the arguments that follow.
//!
//! It is a program of its own, so that it is optimised and this one stays quick to build. With
//! `--peer` it is the one of the package `xtask/peers-swim`, which knows the peer as well.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::workspace;

/// Runs the simulator; its exit code is the command's.
pub(crate) fn run(peer: bool, args: &[String]) -> Result<ExitCode> {
    let root = workspace::root();
    let mut command = workspace::cargo();
    // A path of a file is meant from where the user is.
    command.current_dir(std::env::current_dir().context("there is no current directory")?);
    command.args(["run", "--quiet", "--manifest-path"]);
    if peer {
        command.arg(root.join("xtask/peers-swim/Cargo.toml")).args(["--release", "--bin", "sim"]);
    } else {
        command.arg(root.join("Cargo.toml"));
        command.args(["--profile", "sim", "--package", "swim-sim", "--features", "cli"]);
    }
    let status = command.arg("--").args(args).status().context("cannot start cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
