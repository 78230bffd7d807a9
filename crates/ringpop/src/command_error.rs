//! Why a member does not do what its application asked for.

use std::time::Duration;

use ringpop_discovery::DiscoveryError;
use swim_core::{CommandError, LabelError};
use swim_driver::Stopped;

use crate::bootstrap::BootstrapError;
use crate::labels::OwnLabelError;
use crate::limits::{EVICTION_MAX, EVICTION_MIN, EVICTIONS_MAX};
use crate::placement::PlacementError;
use crate::state::State;

/// Why the labels of a member stay as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetLabelsError {
    /// A label, or the weight, is wrong.
    #[error(transparent)]
    OwnLabel(#[from] OwnLabelError),
    /// The placement has a number of points that is out of its range.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The labels were refused.
    #[error(transparent)]
    Labels(#[from] CommandError),
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why the settings of a member stay as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// A setting was refused.
    #[error(transparent)]
    Setting(#[from] swim_core::ReconfigureError),
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a member is not evicted, or goes on to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvictError {
    /// There is no such member that is reachable.
    #[error("no reachable member is at `{0}`; look at the view for those that are")]
    Unknown(String),
    /// The member is not evicted.
    #[error("the member at `{0}` is not evicted")]
    NotEvicted(String),
    /// The time is too short or too long.
    #[error("the time is {0:?}, it must be from {EVICTION_MIN:?} to {EVICTION_MAX:?}")]
    Time(Duration),
    /// The member that was asked holds as many evictions as it may.
    #[error(
        "this member holds {EVICTIONS_MAX} evictions already, as many as it may; ask another member"
    )]
    Full,
    /// The eviction does not fit into a label: the address is too long.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// The member that was asked to do it has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a member was not reaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReapError {
    /// There is no such member, or it is not gone.
    #[error("no member at `{0}` is faulty or has left; look at the view for those that are")]
    Unknown(String),
    /// The member that was asked to do it has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a member did not heal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealError {
    /// Discovery could not be asked which hosts there are.
    #[error("cannot look for other partitions: {0}")]
    Discovery(#[from] DiscoveryError),
    /// The machine refused.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// Nobody answered for a minute.
    #[error("the hosts that discovery lists did not answer within a minute")]
    TimedOut,
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a member did not leave the ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveRingError {
    /// The member is not ready.
    #[error("this member is {0}, only one that is ready leaves the ring")]
    State(State),
    /// The machine refused: it has left already.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a member did not come back to the ring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RejoinError {
    /// The member is not ready.
    #[error("this member is {0}, only one that is ready and has left the ring comes back")]
    State(State),
    /// The member is on the ring.
    #[error("this member has not left the ring")]
    NotAway,
    /// The member has joined again, and its keys come once their state is here. That goes on;
    /// another call waits for it.
    #[error(
        "this member has joined again, but the state of its keys was not here in the time that was \
         given; the keys come as soon as it is"
    )]
    KeysLate,
    /// No member could be joined.
    #[error(transparent)]
    Join(#[from] BootstrapError),
    /// It took longer than it may.
    #[error("no member could be joined in the time that was given; try again")]
    TimedOut,
}

impl From<Stopped> for SetLabelsError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Stopped> for ReconfigureError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Stopped> for ReapError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
