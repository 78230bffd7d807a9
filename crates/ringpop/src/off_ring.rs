//! Members that live and own no keys: drained, evicted, or unwell.
//!
//! What a member says of itself, and what operators had it say of others, are labels. Which
//! members are off the ring follows from the labels of all ([`crate::view`]); members with equal
//! views agree on it. This is the form of the labels.

mod eviction;

use std::fmt;

use swim_core::{Address, Labels};

pub(crate) use self::eviction::Eviction;
use crate::clock::unix_ms;
use crate::limits::{DRAINING_LABEL, EVICTIONS_LABEL, UNHEALTHY_LABEL, WARMING_LABEL};
use crate::slow_start::Step;

/// Why a member that is reachable owns no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffRing {
    /// An operator evicted it.
    Evicted {
        /// The member that the operator asked.
        by: Address,
        /// When it ends by itself, in milliseconds of the Unix epoch.
        until_unix_ms: u64,
    },
    /// It is drained: it goes on to serve and to forward.
    Draining,
    /// Its health check fails.
    Unhealthy,
}

impl OffRing {
    /// The name of the reason, in lower case.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Evicted { .. } => "evicted",
            Self::Draining => "draining",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for OffRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicted { by, until_unix_ms } => {
                let left = until_unix_ms.saturating_sub(unix_ms()) / 1000;
                write!(f, "evicted by {by} for {left} s more")
            }
            Self::Draining => f.write_str("draining"),
            Self::Unhealthy => f.write_str("its health check fails"),
        }
    }
}

/// What this member says of its own place on the ring, and of evictions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnStanding {
    /// Since when, in milliseconds of the Unix epoch.
    pub(crate) unhealthy_since: Option<u64>,
    pub(crate) draining_since: Option<u64>,
    pub(crate) warming: Option<Step>,
    pub(crate) evictions: Vec<Eviction>,
}

impl OwnStanding {
    /// The labels that say it. `local` is the address of this member.
    pub(crate) fn labels(&self, local: &Address) -> impl Iterator<Item = (String, String)> {
        let since = |since: u64| since.to_string();
        [
            (UNHEALTHY_LABEL, self.unhealthy_since.map(since)),
            (DRAINING_LABEL, self.draining_since.map(since)),
            (WARMING_LABEL, self.warming.map(|step| step.to_string())),
            (EVICTIONS_LABEL, Eviction::label(local, &self.evictions)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    }
}

/// Since when a label says something of a member; `None` also for what cannot be read.
pub(crate) fn since(labels: &Labels, key: &str) -> Option<u64> {
    let since = labels.get(key)?.parse().ok();
    since.filter(|since| *since <= swim_core::limits::UNIX_MS_MAX)
}
