//! How the task is reached.

use swim_core::{Address, CommandError, Instant, Message, Node};
use tokio::sync::{mpsc, oneshot};

use super::outgoing::Timings;
use crate::body::Read;
use crate::bridge::{JoinError, Joined};

/// What comes in.
pub(super) enum Input {
    /// A protocol request of another member.
    Request(Box<Read>, oneshot::Sender<Message>),
    /// A body that was none.
    Malformed,
    Act(Act),
    Timings(oneshot::Sender<Timings>),
    Join(oneshot::Sender<Result<Joined, JoinError>>),
    Rejoin(oneshot::Sender<Result<(), CommandError>>),
    Evict(oneshot::Sender<()>),
    Heal(oneshot::Sender<Healed>),
}

/// Something that is done with the machine; it gives what is told when the
/// effects are published.
type Act = Box<dyn FnOnce(&mut Node, Instant) -> Box<dyn FnOnce() + Send> + Send>;

/// How a healing went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Healed {
    /// These members were reached.
    Contacted(Vec<Address>),
    /// It could not begin.
    Failed(String),
}

/// Sends inputs to the task.
#[derive(Clone, Debug)]
pub(crate) struct Handle(mpsc::Sender<Input>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

impl Handle {
    pub(super) const fn new(sender: mpsc::Sender<Input>) -> Self {
        Self(sender)
    }

    /// Hands a request over; the answer comes, or the sender is dropped.
    pub(crate) async fn request(&self, read: Read) -> oneshot::Receiver<Message> {
        let (answer, answering) = oneshot::channel();
        self.send(Input::Request(Box::new(read), answer)).await;
        answering
    }

    pub(crate) async fn malformed(&self) {
        self.send(Input::Malformed).await;
    }

    /// Does something with the machine; `None` when the task has ended.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let act = move |node: &mut Node, now: Instant| {
            let result = act(node, now);
            // Who asked may have given up waiting; what was done stands.
            Box::new(move || drop(answer.send(result))) as Box<dyn FnOnce() + Send>
        };
        self.send(Input::Act(Box::new(act))).await;
        answered.await.ok()
    }

    /// How long the last pings took.
    pub(crate) async fn timings(&self) -> Timings {
        self.ask(Input::Timings).await.unwrap_or_default()
    }

    pub(crate) async fn join(&self) -> Option<Result<Joined, JoinError>> {
        self.ask(Input::Join).await
    }

    pub(crate) async fn rejoin(&self) -> Option<Result<(), CommandError>> {
        self.ask(Input::Rejoin).await
    }

    /// `None` when there is nothing to evict from.
    pub(crate) async fn evict(&self) -> Option<()> {
        self.ask(Input::Evict).await
    }

    pub(crate) async fn heal(&self) -> Option<Healed> {
        self.ask(Input::Heal).await
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.send(input(answer)).await;
        answered.await.ok()
    }

    /// A task that has ended drops what comes, and with it whoever waits.
    async fn send(&self, input: Input) {
        let _ = self.0.send(input).await;
    }
}
