//! Why a member does not do what its application asked for.

use swim_core::{CommandError, LabelError};
use swim_driver::{Stopped, WaitError};

/// Why the labels of a member stay as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetLabelsError {
    /// The labels were refused.
    #[error(transparent)]
    Labels(#[from] CommandError),
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a member did not leave the ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveRingError {
    /// The machine refused: this member has not joined, or has left already.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a member did not come back to the ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejoinError {
    /// The member has not joined yet.
    #[error("this member has not joined yet; call `bootstrap` first")]
    NotJoined,
    /// The member is on the ring.
    #[error("this member has not left the ring")]
    NotAway,
    /// The machine refused.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The others were still being told of the leave when the time was over.
    #[error("this member was still leaving when the time was over; try again")]
    TimedOut,
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

impl From<LabelError> for SetLabelsError {
    fn from(error: LabelError) -> Self {
        Self::Labels(error.into())
    }
}

impl From<Stopped> for SetLabelsError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Stopped> for RejoinError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<WaitError<CommandError>> for LeaveRingError {
    fn from(error: WaitError<CommandError>) -> Self {
        match error {
            WaitError::Refused(refused) => Self::Refused(refused),
            WaitError::Stopped(_) => Self::Stopped,
        }
    }
}
