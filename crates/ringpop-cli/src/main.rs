//! The `ringpop` command: runs a member, starts a cluster for development, asks a running node,
//! lays out rings.
//!
//! `args` is what can be typed, `commands` has one module for each word, and `kv` is the service
//! that a member of the demonstration serves. Everything that is printed goes through `output`, and
//! `tls` reads certificates.

mod admin;
mod args;
mod cluster;
mod commands;
mod duration;
mod failure;
mod keys;
mod kv;
mod limits;
mod live_ring;
#[cfg(test)]
mod manifests;
mod nearest;
mod output;
mod percent;
mod progress;
mod server_limits;
mod source;
mod stop;
mod tls;
#[cfg(test)]
mod tools_page;
mod watch;

use std::process::ExitCode;

use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let command = match args::parse() {
        Ok(command) => command,
        Err(exit) => return exit,
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::failed(format!("cannot start: {error}")).report(),
    };
    let result = runtime.block_on(commands::run(command));
    // A name that is still being resolved must not delay the exit: the resolver of the operating
    // system cannot be interrupted.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
