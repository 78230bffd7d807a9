//! Joining, followed from its start to its end.

use std::time::Duration;

use swim_core::{Address, CommandError, Event, Instant, JoinFailure, Node, State};
use tokio::sync::watch;

use crate::handle::{Handle, WaitError, Watcher};

/// How a join stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinProgress {
    /// A round over all peers brought no join; another one follows.
    Retrying {
        /// When it begins.
        delay: Duration,
        /// The last failure of each peer of the round, as in
        /// [`Event::JoinRetrying`].
        failures: Vec<JoinFailure>,
    },
    /// The member has joined.
    Complete(Joined),
    /// Nobody could be joined in time. The join may be tried again.
    Failed {
        /// The last failure.
        failure: JoinFailure,
        /// The last failure of each peer.
        failures: Vec<JoinFailure>,
    },
}

/// A join that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// The members that answered. Empty when there were no others to ask: this
    /// member is a cluster of its own.
    pub peers: Vec<Address>,
    /// Members known after the join, this one included.
    pub members: usize,
}

/// A join under way. Dropping it cancels the join.
#[derive(Debug)]
#[must_use = "dropping it cancels the join"]
pub struct Joining {
    handle: Handle,
    progress: watch::Receiver<Option<JoinProgress>>,
    is_over: bool,
}

impl Joining {
    /// Waits for progress; when there was more than one step since the last call,
    /// gives the latest. `None` when the join was cancelled or the member has
    /// stopped. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<JoinProgress> {
        self.progress.changed().await.ok()?;
        let progress = self.progress.borrow_and_update().clone();
        self.is_over |= !matches!(progress, Some(JoinProgress::Retrying { .. }));
        progress
    }

    /// Has the machine go on with other peers from the next round on. Without
    /// effect when the join is over.
    pub async fn replace_peers(&self, peers: Vec<Address>) {
        let replace = |node: &mut Node, now: Instant| {
            if node.state() == State::Joining
                && let Err(error) = node.join(now, peers)
            {
                tracing::debug!(%error, "new peers came after the join was over");
            }
        };
        // Its end shows in `next`.
        let _ = self.handle.tell(replace).await;
    }

    /// Cancels the join; after that another one may begin.
    pub async fn cancel(mut self) {
        self.is_over = true;
        let _ = self.handle.with(Node::cancel_join).await;
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        if !self.is_over {
            self.handle.try_tell(Node::cancel_join);
        }
    }
}

impl Handle {
    /// Begins to join the cluster that `peers` belong to; without any this member
    /// begins a cluster of its own. See [`Node::join`].
    ///
    /// # Errors
    ///
    /// When the member has joined already or has stopped.
    pub async fn join(&self, peers: Vec<Address>) -> Result<Joining, WaitError<CommandError>> {
        self.join_with(|node, now| node.join(now, peers)).await
    }

    /// As [`join`](Self::join), by an action that may refuse for reasons of its
    /// own; it has to call [`Node::join`] otherwise.
    ///
    /// # Errors
    ///
    /// When `act` refuses, or the member has stopped.
    pub async fn join_with<E: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node, Instant) -> Result<(), E> + Send + 'static,
    ) -> Result<Joining, WaitError<E>> {
        let (sender, progress) = watch::channel(None);
        // From before the machine is asked: it may begin although nobody waits for its answer.
        let mut joining = Joining { handle: self.clone(), progress, is_over: false };
        if let Err(refused) = self.watch(act, follow(sender)).await {
            joining.is_over = true;
            return Err(refused);
        }
        Ok(joining)
    }
}

/// Passes the progress of a join on until it is over.
fn follow(sender: watch::Sender<Option<JoinProgress>>) -> Watcher {
    Box::new(move |node, events| {
        let Some(progress) = events.iter().filter_map(progress).next_back() else {
            // A join that was cancelled ends without an event.
            return node.state() == State::Joining && !sender.is_closed();
        };
        let goes_on = matches!(progress, JoinProgress::Retrying { .. });
        sender.send_replace(Some(progress));
        goes_on && node.state() == State::Joining
    })
}

fn progress(event: &Event) -> Option<JoinProgress> {
    Some(match event {
        Event::JoinRetrying { delay, failures, .. } => {
            JoinProgress::Retrying { delay: *delay, failures: failures.clone() }
        }
        Event::JoinComplete { joined, members, .. } => {
            JoinProgress::Complete(Joined { peers: joined.clone(), members: *members })
        }
        Event::JoinFailed { failure, failures, .. } => {
            JoinProgress::Failed { failure: failure.clone(), failures: failures.clone() }
        }
        _ => return None,
    })
}
