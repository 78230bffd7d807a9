//! Tells what happens to a member, in the order in which it happens.

use std::sync::Arc;
use std::time::Instant;

use ringpop::Events;
use tokio::task::JoinHandle;

use super::event::{NodeEvent, Stamped};
use crate::output::Output;

/// Tells what happens to a member.
#[derive(Debug)]
pub(super) struct Reporter {
    lines: Arc<Lines>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Lines {
    output: Output,
    started: Instant,
}

impl Reporter {
    /// Follows the events from now on.
    pub(super) fn start(output: Output, mut events: Events) -> Self {
        let lines = Arc::new(Lines { output, started: Instant::now() });
        let task = tokio::spawn({
            let lines = Arc::clone(&lines);
            async move {
                while let Some(event) = events.next().await {
                    if let Some(event) = NodeEvent::from_member(event) {
                        lines.tell(&event);
                    }
                }
            }
        });
        Self { lines, task }
    }

    pub(super) fn tell(&self, event: &NodeEvent) {
        self.lines.tell(event);
    }

    /// Tells the events that are left; the member has stopped.
    pub(super) async fn finish(self) {
        // An error would be a panic of the task, which has been reported as such.
        let _ = self.task.await;
    }
}

impl Lines {
    fn tell(&self, event: &NodeEvent) {
        let elapsed_ms = self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        self.output.emit(&Stamped { elapsed_ms, event });
    }
}
