//! `ringpop ring`: rings by themselves, laid out from a file of backends without any running
//! member.
//!
//! Data flows one way: `backends` reads the file, `layout` makes the ring, one module for each word
//! asks the ring its question and says the answer, and `picture` draws what `ownership` found.

mod backends;
mod diff;
mod layout;
mod limits;
mod ownership;
mod pick;
mod picture;
mod placed;
mod plan;
mod report;

pub(crate) use self::diff::Report as RangeMoves;
pub(crate) use self::placed::Moved as ShareMoves;
use crate::args::{RingArgs, RingCommand};
use crate::failure::Failure;

pub(crate) fn run(args: RingArgs) -> Result<(), Failure> {
    match args.command {
        RingCommand::Pick(args) => pick::run(args),
        RingCommand::Ownership(args) => ownership::run(args),
        RingCommand::Diff(args) => diff::run(args),
        RingCommand::Plan(args) => plan::run(&args),
    }
}
