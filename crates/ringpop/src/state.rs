//! The states in the life of a member.

use std::fmt;

/// Where a member is in its life. It only moves forward, but for a bootstrap
/// that failed, which leads back to [`State::Bound`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// Has its port. Answers join requests of others.
    Bound,
    /// Looks for the other members.
    Bootstrapping,
    /// Is a member, owns keys, forwards the others.
    Ready,
    /// Has left the ring; finishes the calls under way and forwards the rest.
    Draining,
    /// Has stopped.
    Stopped,
}

impl State {
    /// The lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Bootstrapping => "bootstrapping",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
