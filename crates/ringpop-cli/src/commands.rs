//! One module for each word of the command.

mod cert;
mod config;
mod destinations;
mod dev;
mod dump;
mod events;
mod evict;
mod gossip;
mod grammar;
mod heal;
mod labels;
mod leave;
mod log_level;
mod lookup;
mod members;
mod node;
mod overview;
mod ownership;
mod ping;
mod reap;
mod ring;
mod standing;
mod stats;
mod status;
mod top;
mod views;
mod wait;

use crate::args::Command;
use crate::failure::Failure;

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Node(args) => node::run(*args).await,
        Command::Dev(args) => dev::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Lookup(args) => lookup::run(args).await,
        Command::Checksums(args) => views::checksums(args).await,
        Command::Partitions(args) => views::partitions(args).await,
        Command::Count(args) => views::count(args).await,
        Command::Ownership(args) => ownership::ownership(args).await,
        Command::Collisions(args) => ownership::collisions(args).await,
        Command::Ranges(args) => ownership::ranges(args).await,
        Command::Dump(args) => dump::dump(args).await,
        Command::Diff(args) => dump::diff(&args),
        Command::Wait(args) => wait::run(args).await,
        Command::Ping(args) => ping::run(args).await,
        Command::Top(args) => top::run(args).await,
        Command::Members(args) => members::run(args).await,
        Command::Stats(args) => stats::run(args).await,
        Command::Events(args) => events::run(args).await,
        Command::Destinations(args) => destinations::run(args).await,
        Command::Leave(args) => leave::leave(args.target).await,
        Command::Join(args) => leave::join(args.target).await,
        Command::Evict(args) => evict::evict(args).await,
        Command::Drain(args) => evict::drain(args).await,
        Command::Reap(args) => reap::run(args).await,
        Command::Heal(args) => heal::run(args).await,
        Command::Labels(args) => labels::labels(args).await,
        Command::Weight(args) => labels::weight(args).await,
        Command::Gossip(args) => gossip::run(args).await,
        Command::Config(args) => config::run(args).await,
        Command::LogLevel(args) => log_level::run(args).await,
        Command::Cert(args) => cert::run(&args),
        Command::Completions(args) => {
            grammar::completions(&args);
            Ok(())
        }
        Command::Man(args) => grammar::man(&args),
        Command::Ring(args) => ring::run(args),
    }
}

#[cfg(test)]
pub(crate) use self::dev::is_key;
