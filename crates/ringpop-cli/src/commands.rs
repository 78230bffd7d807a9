//! One module for each word of the command.

mod cert;
mod config;
mod destinations;
mod dev;
mod events;
mod gossip;
mod heal;
mod labels;
mod leave;
mod lookup;
mod members;
mod node;
mod reap;
mod ring;
mod stats;
mod status;

pub(crate) use self::cert::CertArgs;
pub(crate) use self::ring::RingArgs;
use crate::args::Command;
use crate::failure::Failure;

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Node(args) => node::run(*args).await,
        Command::Dev(args) => dev::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Lookup(args) => lookup::run(args).await,
        Command::Members(args) => members::run(args).await,
        Command::Stats(args) => stats::run(args).await,
        Command::Events(args) => events::run(args).await,
        Command::Destinations(args) => destinations::run(args.target).await,
        Command::Leave(args) => leave::leave(args.target).await,
        Command::Join(args) => leave::join(args.target).await,
        Command::Reap(args) => reap::run(args).await,
        Command::Heal(args) => heal::run(args).await,
        Command::Labels(args) => labels::labels(args).await,
        Command::Weight(args) => labels::weight(args).await,
        Command::Gossip(args) => gossip::run(args).await,
        Command::Config(args) => config::run(args).await,
        Command::Cert(args) => cert::run(&args),
        Command::Ring(args) => ring::run(args),
    }
}
