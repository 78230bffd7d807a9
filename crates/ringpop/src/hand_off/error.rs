//! Why state did not move with its keys.

use std::error::Error;

use swim_core::{Address, AddressError};

/// Why state did not move with its keys. The ring changes all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandOffError {
    /// The receiver is no address, so it is no member.
    #[error("the receiver {receiver:?} is no address: {source}; send to `PlannedMove::receiver`")]
    Address {
        /// The text.
        receiver: String,
        /// The fault.
        source: AddressError,
    },
    /// The new owner is gone: its keys go elsewhere.
    #[error("the receiver {receiver} is gone")]
    ReceiverGone {
        /// Its address.
        receiver: Address,
    },
    /// The new owner does not take it.
    #[error("the receiver {receiver} refuses: {reason}")]
    Refused {
        /// Its address.
        receiver: Address,
        /// What it says.
        reason: String,
    },
    /// A chunk is larger than chunks may be.
    #[error("a chunk has {bytes} bytes, at most {max} are allowed: send several")]
    ChunkTooLarge {
        /// Its length.
        bytes: usize,
        /// [`HAND_OFF_CHUNK_BYTES_MAX`](crate::limits::HAND_OFF_CHUNK_BYTES_MAX).
        max: usize,
    },
    /// One move may not carry more.
    #[error("a planned move carries at most {max} bytes from one member")]
    TooMuch {
        /// [`HAND_OFF_BYTES_MAX`](crate::limits::HAND_OFF_BYTES_MAX).
        max: u64,
    },
    /// The time of the move is over.
    #[error("the time of the planned move is over")]
    Deadline,
    /// What the application says.
    #[error("{0}")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl HandOffError {
    /// An error of the application.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}
