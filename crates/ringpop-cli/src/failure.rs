//! How a run ends when it does not end well.

use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What the exit codes mean, as `--help` says it.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    it failed; standard error says why and what to do
  2    the command line, the settings or the script are wrong
  3    the members have different views, and the answer needs one
  4    the time was over before it had happened
  130  interrupted: a second signal came before the graceful stop was over";

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const DISAGREE: u8 = 3;
const TIME_OVER: u8 = 4;
/// 128 plus the number of SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;

/// Why a run did not succeed. Messages are one sentence that says what to do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, a setting or a script asks for what cannot be.
    Usage(String),
    /// The members have different views, and the answer needs one.
    Disagree(String),
    /// It did not happen in time.
    TimeOver(String),
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
            Self::Usage(_) => (USAGE, format!("error: {self}")),
            Self::Disagree(_) => (DISAGREE, format!("error: {self}")),
            Self::TimeOver(_) => (TIME_OVER, format!("error: {self}")),
            Self::Failed(_) => (FAILED, format!("error: {self}")),
            Self::Interrupted => (INTERRUPTED, self.to_string()),
        };
        // When nobody reads, the exit code still tells.
        let _ = writeln!(io::stderr(), "{message}");
        ExitCode::from(code)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message)
            | Self::Disagree(message)
            | Self::TimeOver(message)
            | Self::Failed(message) => f.write_str(message),
            Self::Interrupted => f.write_str("interrupted before the graceful stop was over"),
        }
    }
}
