//! What a member counts.

use std::sync::PoisonError;

use ringpop_forward::{ServerStats, Stats as ForwardStats};
use swim_core::Stats as SwimStats;
use swim_driver::Stopped;

use super::Ringpop;
use crate::counters::Counters;

impl Ringpop {
    /// Everything that this member counts, as `ringpop status` shows it. What the membership
    /// protocol counted stays as it was when the member has stopped.
    pub async fn counters(&self) -> Counters {
        Counters::new(&self.0, &self.membership_stats().await)
    }

    /// Counters of forwarding.
    #[must_use]
    pub fn forward_stats(&self) -> ForwardStats {
        self.0.forwarder.stats()
    }

    /// Counters of the resources that callers hold now, and of those that were
    /// taken back from them; all zero until [`serve`](Self::serve).
    #[must_use]
    pub fn server_stats(&self) -> ServerStats {
        self.0.security.server_stats()
    }

    /// Counters of the membership protocol. They stay as they were when the member has stopped.
    pub async fn membership_stats(&self) -> SwimStats {
        match self.0.handle.with(|node, _| *node.stats()).await {
            Ok(stats) => stats,
            Err(Stopped) => *self.0.last_stats.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
