//! What can be typed behind `ringpop completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::failure::EXIT_CODES;

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ManArgs {
    /// Write a page for each word into this directory, instead of the first page to standard output
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dir: Option<PathBuf>,
}
