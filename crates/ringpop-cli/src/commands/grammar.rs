//! `ringpop completions` and `man`: what can be typed, for shells and for readers.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::args::grammar;
use crate::failure::{EXIT_CODES, Failure};

const NAME: &str = "ringpop";

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ManArgs {
    /// Write a page for each word into this directory, instead of the first page to standard output
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut grammar(), NAME, &mut text);
    // A reader may go away, as `head` does.
    let _ = io::stdout().write_all(&text);
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let Some(directory) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(grammar()).render(&mut page).map_err(Failure::failed)?;
        let _ = io::stdout().write_all(&page);
        return Ok(());
    };
    let wrong = |error: io::Error| {
        Failure::Failed(format!("cannot write manual pages to {}: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(wrong)?;
    clap_mangen::generate_to(grammar(), directory).map_err(wrong)
}
