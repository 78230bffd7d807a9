//! Waiting for a number of members before a member is ready.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::event::Events;
use crate::view::Views;

/// How many members a bootstrap waits for, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// This member included.
    pub(crate) members: usize,
    pub(crate) within: Duration,
}

impl Expected {
    /// Waits until so many members are reachable, or the time since `start` is over, which is told.
    /// Gives how many there are.
    pub(crate) async fn wait(
        self,
        start: Instant,
        views: &Arc<Views>,
        mut events: Events,
    ) -> usize {
        let Self { members, within } = self;
        let reachable = || views.load().reachable().count();
        let all = async { while reachable() < members && events.next().await.is_some() {} };
        let Some(deadline) = start.checked_add(within) else {
            all.await;
            return reachable();
        };
        if timeout_at(deadline, all).await.is_err() {
            tracing::warn!(
                "{} of the {members} expected members are here after {} s: this member goes on without the others; \
                 check that they run, and what discovery lists",
                reachable(),
                within.as_secs()
            );
        }
        reachable()
    }
}
