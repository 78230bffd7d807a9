//! Where input comes from: a file or standard input, never more of it than a limit.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use crate::failure::Failure;

/// A file, or standard input for `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdin,
    File(PathBuf),
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" => Self::Stdin,
            path => Self::File(path.into()),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    /// All of it as text. `what` says what it should hold, for messages.
    pub(crate) fn read(&self, what: &str, bytes_max: u64) -> Result<String, Failure> {
        let bytes = self.read_bytes(bytes_max).map_err(|error| {
            Failure::Failed(format!("cannot read the {what} from {self}: {error}"))
        })?;
        if bytes.len() as u64 > bytes_max {
            return Err(Failure::Failed(format!(
                "cannot use the {what} from {self}: there are more than {bytes_max} bytes; split them"
            )));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::Failed(format!(
                "cannot use the {what} from {self}: it is not UTF-8 text from byte {at} on"
            ))
        })
    }

    /// One byte more than `bytes_max` tells that there are more.
    fn read_bytes(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Stdin => io::stdin().lock().take(bytes_max + 1).read_to_end(&mut bytes),
            Self::File(path) => File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes),
        }?;
        Ok(bytes)
    }
}

/// Standard input can be read once.
pub(crate) fn check_stdin_is_read_once(one: &Source, two: &Source) -> Result<(), Failure> {
    if *one == Source::Stdin && *two == Source::Stdin {
        return Err(Failure::Usage(
            "standard input can be read only once: give a file for one of the two `-`".to_owned(),
        ));
    }
    Ok(())
}
