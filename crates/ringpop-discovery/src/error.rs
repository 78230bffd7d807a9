//! Why a source cannot say which peers exist.

use std::io;
use std::path::PathBuf;

use crate::AddressError;
use crate::limits::{MAX_FILE_BYTES, MAX_RECORDS};

/// Why a source cannot say which peers exist. Each message is one sentence that is complete
/// without its cause and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A text is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The source lists no peer.
    #[error("{origin} lists no peers: add at least one host:port")]
    Empty {
        /// Which source.
        origin: String,
    },
    /// The source lists more than [`MAX_RECORDS`] peers.
    #[error("{origin} lists {count} peers, more than the {MAX_RECORDS} allowed: shorten the list")]
    TooMany {
        /// Which source.
        origin: String,
        /// How many peers it lists.
        count: usize,
    },
    /// The source has different records of one id.
    #[error("{origin} says different things about {id:?}: keep one record for each id")]
    Conflict {
        /// Which source.
        origin: String,
        /// The id.
        id: String,
    },
    /// The hosts file cannot be read.
    #[error("cannot read the hosts file {path:?} ({cause}): give the path of a readable JSON file")]
    FileUnreadable {
        /// Path of the file.
        path: PathBuf,
        /// What the operating system says. Part of the message, hence no `source`.
        cause: io::Error,
    },
    /// The hosts file has more than [`MAX_FILE_BYTES`] bytes.
    #[error("the hosts file {path:?} has more than the {MAX_FILE_BYTES} bytes allowed: shorten it")]
    FileTooLarge {
        /// Path of the file.
        path: PathBuf,
    },
    /// The hosts file is not JSON, or not a list of peers.
    #[error(
        "the hosts file {path:?} is wrong at line {line} column {column} ({reason}): it must be a JSON array of \"host:port\" or of objects with an `address`"
    )]
    FileMalformed {
        /// Path of the file.
        path: PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake, from 1; 0 is the end of the previous line.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The name does not resolve.
    #[error("cannot resolve {name:?} ({cause}): check the name and the resolver")]
    Unresolved {
        /// The `host:port` that was asked for.
        name: String,
        /// What the resolver says. Part of the message, hence no `source`.
        cause: io::Error,
    },
    /// The source gave no answer in time.
    #[error("{origin} gave no answer within {timeout_ms} ms: check that it can be reached")]
    TimedOut {
        /// Which source.
        origin: String,
        /// How long it was waited for.
        timeout_ms: u128,
    },
    /// A source of another crate failed.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl DiscoveryError {
    /// The error of a source that is not part of this crate.
    #[must_use]
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
