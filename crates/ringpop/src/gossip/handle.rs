//! How the rest of the crate talks with the driver.

use std::sync::Arc;
use std::time::Duration;

use swim_core::wire::Decoded;
use swim_core::{
    Address, CommandError, Config, Isolation, JoinFailure, Labels, Message, ReconfigureError, Stats,
};
use tokio::sync::{mpsc, oneshot, watch};

/// What comes in.
pub(super) enum Input {
    Request(Decoded, oneshot::Sender<Message>),
    Malformed,
    Command(Command),
}

/// What the handle asks for.
pub(crate) enum Command {
    /// Joins these peers, or goes on with them; how it goes is sent on.
    Join(
        Vec<Address>,
        mpsc::UnboundedSender<JoinProgress>,
        oneshot::Sender<Result<(), CommandError>>,
    ),
    /// Other peers for a join that is under way.
    Peers(Vec<Address>),
    CancelJoin,
    /// Ends the task: the member says and answers nothing any more.
    Stop,
    /// What discovery lists now.
    Discovered(Vec<Address>),
    /// Leaves for good: a join that is under way is given up, and no other
    /// begins.
    Leave(oneshot::Sender<LeaveReport>, oneshot::Sender<Result<(), CommandError>>),
    SetLabels(Labels, oneshot::Sender<Result<(), CommandError>>),
    Reconfigure(Arc<Config>, oneshot::Sender<Result<(), ReconfigureError>>),
    Reap(Address, oneshot::Sender<Result<(), CommandError>>),
    Stats(oneshot::Sender<Stats>),
}

/// How a join goes.
#[derive(Debug)]
pub(crate) enum JoinProgress {
    Retrying { delay: Duration, failures: Vec<JoinFailure> },
    Complete { joined: Vec<Address>, members: usize },
    Failed { failure: JoinFailure, failures: Vec<JoinFailure> },
}

/// How a leave went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaveReport {
    pub(crate) acknowledged: usize,
    pub(crate) others: usize,
    pub(crate) protocol_period: Duration,
}

/// Sends inputs to the driver.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    inputs: mpsc::Sender<Input>,
    isolation: watch::Receiver<Isolation>,
}

/// Gives the machine what peers send. It does not keep the driver running: the
/// server may wait for connections to end when nobody wants the member any more.
#[derive(Debug, Clone)]
pub(crate) struct Requests(mpsc::WeakSender<Input>);

impl Requests {
    /// Gives the machine a request of a peer; the machine's reply, or `None`
    /// when the member has stopped or is overloaded.
    pub(crate) async fn ask(&self, request: Decoded) -> Option<Message> {
        let (sender, answer) = oneshot::channel();
        self.0.upgrade()?.send(Input::Request(request, sender)).await.ok()?;
        answer.await.ok()
    }

    /// Counts a request that is no message.
    pub(crate) async fn malformed(&self) {
        if let Some(inputs) = self.0.upgrade() {
            let _ = inputs.send(Input::Malformed).await;
        }
    }
}

impl Handle {
    pub(super) const fn new(
        inputs: mpsc::Sender<Input>,
        isolation: watch::Receiver<Isolation>,
    ) -> Self {
        Self { inputs, isolation }
    }

    /// For the server.
    pub(crate) fn requests(&self) -> Requests {
        Requests(self.inputs.downgrade())
    }

    /// Whether this member is in touch with the others.
    pub(crate) fn isolation(&self) -> Isolation {
        *self.isolation.borrow()
    }

    /// Runs a command that sends its result. `None` when the member has
    /// stopped.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (sender, result) = oneshot::channel();
        self.tell(command(sender)).await;
        result.await.ok()
    }

    /// Runs a command without a result, for callers that cannot wait. It is
    /// lost only when the queue is full or the member has stopped.
    pub(crate) fn tell_now(&self, command: Command) {
        if let Err(error) = self.inputs.try_send(Input::Command(command)) {
            tracing::warn!(%error, "a command was dropped");
        }
    }

    /// Waits until the task has ended, and with it the ring of this member.
    pub(crate) async fn ended(&self) {
        self.inputs.closed().await;
    }

    /// Runs a command without a result.
    pub(crate) async fn tell(&self, command: Command) {
        let _ = self.inputs.send(Input::Command(command)).await;
    }
}
