//! How far a long command is, on standard error of a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use crate::limits::PROGRESS_AFTER;

/// One line that is written over and over, once a command takes longer than a second.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    is_terminal: bool,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { started: Instant::now(), is_terminal, is_shown: false }
    }

    /// Tells how far the command is.
    pub(crate) fn tell(&mut self, text: impl FnOnce() -> String) {
        if !self.is_terminal || self.started.elapsed() < PROGRESS_AFTER {
            return;
        }
        self.is_shown = true;
        let text = text();
        let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
