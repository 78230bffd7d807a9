//! One module for each word of the command.

mod cert;
mod dev;
mod lookup;
mod node;
mod ring;
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
        Command::Cert(args) => cert::run(&args),
        Command::Ring(args) => ring::run(args),
    }
}
