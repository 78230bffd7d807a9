//! Waiting for a number of members before a member calls itself ready.

use std::time::Duration;

use swim_core::{Event, Instant as SwimInstant, Node, Status};
use tokio::time::{Instant, timeout_at};

use crate::handle::{Handle, Stopped, WaitError};

impl Handle {
    /// Waits until `members` are reachable, this one included, or the time `within` since `start`
    /// is over, which the log is told. Gives how many there are.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn expect_members(
        &self,
        members: usize,
        start: Instant,
        within: Duration,
    ) -> Result<usize, Stopped> {
        let enough = move |node: &Node| Some(reachable(node)).filter(|count| *count >= members);
        let begin = move |node: &mut Node, _: SwimInstant| enough(node).map_or(Ok(()), Err);
        let all = self.until(begin, move |node: &Node, _: &Event| enough(node));
        let counted = match start.checked_add(within) {
            Some(deadline) => timeout_at(deadline, all).await,
            None => Ok(all.await),
        };
        match counted {
            Ok(Ok(count) | Err(WaitError::Refused(count))) => Ok(count),
            Ok(Err(WaitError::Stopped(stopped))) => Err(stopped),
            Err(_) => {
                let count = self.with(|node, _| reachable(node)).await?;
                tracing::warn!(
                    "{count} of the {members} expected members are here after {} s: this member goes on without the \
                     others; check that they run, and what discovery lists",
                    within.as_secs()
                );
                Ok(count)
            }
        }
    }
}

fn reachable(node: &Node) -> usize {
    node.count(Status::Alive) + node.count(Status::Suspect)
}
