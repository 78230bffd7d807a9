//! How a run ends when it does not end well.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What the exit codes mean, as `--help` says it.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    it failed; standard error says why and what to do
  2    the command line is wrong
  130  interrupted: a second signal came before the graceful stop was over";

const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// 128 plus the number of SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;

/// Why a run did not succeed. Messages are one sentence that says what to do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for what cannot be.
    Usage(String),
    /// It failed.
    Failed(String),
    /// A second signal came before the graceful stop was over.
    Interrupted,
}

impl Failure {
    pub(crate) fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Tells the user and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (code, message) = match self {
            Self::Usage(message) => (USAGE, format!("error: {message}")),
            Self::Failed(message) => (FAILED, format!("error: {message}")),
            Self::Interrupted => {
                (INTERRUPTED, "interrupted before the graceful stop was over".to_owned())
            }
        };
        // When nobody reads, the exit code still tells.
        let _ = writeln!(io::stderr(), "{message}");
        ExitCode::from(code)
    }
}
