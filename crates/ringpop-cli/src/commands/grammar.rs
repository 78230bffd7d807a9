//! `ringpop completions` and `man`: what can be typed, for shells and for readers.

use std::io::{self, Write as _};

use crate::args::{CompletionsArgs, ManArgs, grammar};
use crate::failure::Failure;

const NAME: &str = "ringpop";

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
