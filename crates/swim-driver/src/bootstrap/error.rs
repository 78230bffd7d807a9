//! Why a bootstrap fails.

use std::fmt::Write as _;

use swim_core::{CommandError, JoinFailure};

use crate::limits::{DISCOVERY_TIMEOUT, FAILURES_TOLD_MAX};

/// Why a bootstrap failed. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError<E> {
    /// Discovery could not be asked for as long as a join may take; its last failure.
    #[error("{0}")]
    Discovery(E),
    /// Discovery did not answer for as long as a join may take.
    #[error(
        "{origin} gave no answer within {} s: check that it can be reached",
        DISCOVERY_TIMEOUT.as_secs()
    )]
    DiscoveryTimeout {
        /// How messages name it.
        origin: String,
    },
    /// Discovery listed nobody to join for as long as a join may take, and the
    /// member was told never to start alone.
    #[error("nobody to join ({reason}); start the other members, or let this one start alone")]
    Nobody {
        /// What discovery said.
        reason: String,
    },
    /// No peer that is listed could be joined.
    #[error(
        "no peer could be joined: {}; check that {origin} lists running members",
        several_or(failures, failure)
    )]
    NoPeer {
        /// The last failure.
        failure: JoinFailure,
        /// The last failure of each peer, at most
        /// [`JOIN_FAILURES_MAX`](swim_core::limits::JOIN_FAILURES_MAX).
        failures: Vec<JoinFailure>,
        /// Where the peers come from.
        origin: String,
    },
    /// The machine refused to join.
    #[error(transparent)]
    Refused(CommandError),
    /// The join was cancelled, or the member has stopped.
    #[error("the join was cancelled, or this member has stopped")]
    Stopped,
}

/// A few failures, one after the other.
pub(super) fn several(failures: &[JoinFailure]) -> String {
    let mut text = String::new();
    for failure in failures.iter().take(FAILURES_TOLD_MAX) {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{failure}");
    }
    if let Some(more @ 1..) = failures.len().checked_sub(FAILURES_TOLD_MAX) {
        let _ = write!(text, "; and {more} more");
    }
    text
}

/// As [`several`]; without any the last one.
fn several_or(failures: &[JoinFailure], last: &JoinFailure) -> String {
    if failures.is_empty() { last.to_string() } else { several(failures) }
}
