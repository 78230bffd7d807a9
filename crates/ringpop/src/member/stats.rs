//! What a member counts.

use ringpop_forward::{ServerStats, Stats as ForwardStats};
use swim_core::Stats as SwimStats;

use super::Ringpop;
use crate::counters::Counters;

impl Ringpop {
    /// Everything that this member counts, as `ringpop status` shows it; what the
    /// membership protocol counts is zero when the member has stopped.
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

    /// Counters of the membership protocol; all zero when the member has
    /// stopped.
    pub async fn membership_stats(&self) -> SwimStats {
        self.0.handle.with(|node, _| *node.stats()).await.unwrap_or_default()
    }
}
