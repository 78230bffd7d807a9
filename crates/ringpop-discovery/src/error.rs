//! Why a source cannot say which peers exist.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::AddressError;
use crate::limits::{FILE_BYTES_MAX, RECORDS_MAX};

/// Why a source cannot say which peers exist. Each message is one sentence that is complete
/// without its cause and says what to do.
///
/// One failure may be told to many readers, hence `Clone`.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// The source lists more than [`RECORDS_MAX`] peers.
    #[error("{origin} lists {count} peers, more than the {RECORDS_MAX} allowed: shorten the list")]
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
        cause: Arc<io::Error>,
    },
    /// The hosts file has more than [`FILE_BYTES_MAX`] bytes.
    #[error("the hosts file {path:?} has more than the {FILE_BYTES_MAX} bytes allowed: shorten it")]
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
        /// The fault.
        reason: String,
    },
    /// The name does not resolve.
    #[error("cannot resolve {name:?} ({cause}): check the name and the resolver")]
    Unresolved {
        /// The `host:port` that was asked for.
        name: String,
        /// What the resolver says. Part of the message, hence no `source`.
        cause: Arc<io::Error>,
    },
    /// The source gave no answer in time.
    #[error("{origin} gave no answer within {timeout_ms} ms: check that it can be reached")]
    TimedOut {
        /// Which source.
        origin: String,
        /// How long it was waited for.
        timeout_ms: u128,
    },
    /// The source cannot be reached.
    #[error("cannot reach {origin} ({cause}): check its address, and that it runs")]
    Unreachable {
        /// Which source.
        origin: String,
        /// What went wrong. Part of the message, hence no `source`.
        cause: Arc<io::Error>,
    },
    /// The source answered, and refused.
    #[error("{origin} refused with HTTP status {status}: {advice}")]
    Refused {
        /// Which source.
        origin: String,
        /// The HTTP status.
        status: u16,
        /// What to do.
        advice: &'static str,
    },
    /// The source gave an answer that is none.
    #[error(
        "{origin} gave an answer that cannot be read ({reason}): check that its address is right"
    )]
    Malformed {
        /// Which source.
        origin: String,
        /// The fault of the answer.
        reason: String,
    },
    /// The cache of a source cannot be written.
    #[error(
        "cannot write the cache {path:?} ({cause}): give a path in a directory that can be written"
    )]
    CacheUnwritable {
        /// Path of the cache.
        path: PathBuf,
        /// What the operating system says. Part of the message, hence no `source`.
        cause: Arc<io::Error>,
    },
    /// The source has ended and will never say anything again.
    #[error("{origin} has ended: its last list is kept")]
    Ended {
        /// Which source.
        origin: String,
    },
    /// A source of another crate failed.
    #[error(transparent)]
    Other(Arc<dyn std::error::Error + Send + Sync>),
}

impl DiscoveryError {
    /// The error of a source that is not part of this crate.
    #[must_use]
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into().into())
    }

    /// Whether the source works and knows nobody, as far as it can tell: an empty list, or a name
    /// that does not exist, which is how a headless service without a ready endpoint looks.
    #[must_use]
    pub const fn lists_nobody(&self) -> bool {
        matches!(self, Self::Empty { .. } | Self::Unresolved { .. })
    }
}
