//! How the rest of a process reaches the driver.

use std::fmt;
use std::sync::Arc;

use swim_core::{Address, Event, Instant, Message, Node};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::discover::take_hosts;
use crate::limits::INPUTS_MAX;
use crate::stats::{Counters, DriverStats, count};

/// What comes to the driver from within the process.
pub(crate) enum Input {
    Act(Act),
    /// A request of another member, and the call that waits for its answer.
    Request {
        message: Box<Message>,
        dropped_changes: usize,
        answer: oneshot::Sender<Message>,
    },
    Stop,
}

/// Something that is done with the machine.
pub(crate) type Act = Box<dyn FnOnce(&mut Node, Instant, &mut Waiting) + Send>;

/// Tells a result, once everything that follows from it is published.
pub(crate) type Tell = Box<dyn FnOnce() + Send>;

/// Looks at the events of a turn. `false` when it has seen enough.
pub(crate) type Watcher = Box<dyn FnMut(&Node, &[Event]) -> bool + Send>;

/// Those who wait for the driver.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) told: Vec<Tell>,
    pub(crate) watchers: Vec<Watcher>,
}

impl Waiting {
    /// Shows the events of a turn to those who wait for one, and tells results.
    pub(crate) fn tell(&mut self, node: &Node, events: &[Event]) {
        self.watchers.retain_mut(|watcher| watcher(node, events));
        self.told.drain(..).for_each(|tell| tell());
    }
}

/// The member has stopped: its driver has ended, in order or by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this member has stopped")]
pub struct Stopped;

/// Why something that lasts did not begin, or has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError<E> {
    /// The machine refused. Nothing was changed.
    #[error(transparent)]
    Refused(E),
    /// The member has stopped.
    #[error(transparent)]
    Stopped(Stopped),
}

/// Reaches the machine of a running driver. Clones reach the same one; the driver
/// ends when the last one is dropped.
///
/// ```
/// # use swim_driver::{Driver, Start, memory::Network, queue};
/// # use swim_core::{Config, Node};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let address = "10.0.0.1:7946".parse()?;
/// # let node = Node::new(Config::lan(), Start::now()?.init("rides", address))?;
/// # let endpoint = Network::new(1).endpoint(&node)?;
/// let (handle, queue) = queue();
/// tokio::spawn(Driver::new(queue, node, endpoint, ()).run());
///
/// handle.with(|node, now| node.join(now, Vec::new())).await??;
/// let known = handle.with(|node, _| node.len()).await?;
/// assert_eq!(known, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    counters: Arc<Counters>,
}

/// The driver's end of a [`Handle`].
pub struct Queue {
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) counters: Arc<Counters>,
}

/// A [`Handle`] that does not keep the driver running, for servers that may
/// outlive the member.
#[derive(Clone)]
pub struct WeakHandle {
    inputs: mpsc::WeakSender<Input>,
    counters: Arc<Counters>,
}

/// Makes the queue by which a driver will be reached. It comes before the driver
/// because a transport may need the handle: its server passes on requests by it.
#[must_use]
pub fn queue() -> (Handle, Queue) {
    let (sender, inputs) = mpsc::channel(INPUTS_MAX);
    let counters = Arc::<Counters>::default();
    let handle = Handle { inputs: sender, counters: Arc::clone(&counters) };
    (handle, Queue { inputs, counters })
}

impl Handle {
    /// Does something with the machine: runs a command, reads a figure. The result
    /// comes once everything that follows from it has been published. While the
    /// queue of the driver is full, this waits.
    ///
    /// A command that was sent is carried out even when the future is dropped. It runs on the task
    /// of the driver: it must not block, and a panic in it stops the member.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node, Instant) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let act = |node: &mut Node, now, waiting: &mut Waiting| {
            let result = act(node, now);
            // The caller may have given up waiting.
            waiting.told.push(Box::new(move || drop(answer.send(result))));
        };
        self.send(Input::Act(Box::new(act))).await?;
        answered.await.map_err(|_| Stopped)
    }

    /// Does something with the machine and does not wait for it.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn tell(
        &self,
        act: impl FnOnce(&mut Node, Instant) + Send + 'static,
    ) -> Result<(), Stopped> {
        self.send(Input::Act(Box::new(|node, now, _| act(node, now)))).await
    }

    /// Tells the machine which hosts are listed now: those that appear are dialled at once, and
    /// those that are listed no more are not dialled any more. For discovery that pushes its
    /// lists; a driver asks [its own](crate::Driver::discovery) by itself.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn discovered(&self, hosts: Vec<Address>) -> Result<(), Stopped> {
        self.tell(|node, now| take_hosts(node, now, hosts)).await
    }

    /// As [`tell`](Self::tell), for callers that cannot wait, such as `drop`. What
    /// finds the queue full is dropped and counted
    /// ([`DriverStats::inputs_dropped`]). Gives whether it found room.
    pub fn try_tell(&self, act: impl FnOnce(&mut Node, Instant) + Send + 'static) -> bool {
        match self.inputs.try_send(Input::Act(Box::new(|node, now, _| act(node, now)))) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                count(&self.counters.inputs_dropped);
                tracing::warn!("a command was dropped: the queue of the member is full");
                false
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// Begins something with the machine, and waits for the event that ends it:
    /// `over` is shown each event from then on and gives the result.
    ///
    /// ```
    /// # use swim_core::{Event, Node};
    /// # async fn leave(handle: swim_driver::Handle) {
    /// let told = handle
    ///     .until(Node::leave, |_, event| match event {
    ///         Event::LeaveComplete { acknowledged, .. } => Some(*acknowledged),
    ///         _ => None,
    ///     })
    ///     .await;
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When `act` refuses, or the member stops before the event.
    pub async fn until<T: Send + 'static, E: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node, Instant) -> Result<(), E> + Send + 'static,
        mut over: impl FnMut(&Node, &Event) -> Option<T> + Send + 'static,
    ) -> Result<T, WaitError<E>> {
        let (answer, answered) = oneshot::channel();
        let act = |node: &mut Node, now, waiting: &mut Waiting| {
            if let Err(refused) = act(node, now) {
                waiting.told.push(Box::new(move || drop(answer.send(Err(refused)))));
                return;
            }
            let mut answer = Some(answer);
            waiting.watchers.push(Box::new(move |node, events| {
                if let Some(result) = events.iter().find_map(|event| over(node, event))
                    && let Some(answer) = answer.take()
                {
                    let _ = answer.send(Ok(result));
                }
                answer.as_ref().is_some_and(|answer| !answer.is_closed())
            }));
        };
        self.send(Input::Act(Box::new(act))).await.map_err(WaitError::Stopped)?;
        answered.await.map_err(|_| WaitError::Stopped(Stopped))?.map_err(WaitError::Refused)
    }

    /// Begins something of which `watcher` follows the progress.
    pub(crate) async fn watch<E: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node, Instant) -> Result<(), E> + Send + 'static,
        watcher: Watcher,
    ) -> Result<(), WaitError<E>> {
        let (answer, answered) = oneshot::channel();
        let act = |node: &mut Node, now, waiting: &mut Waiting| {
            let result = act(node, now);
            if result.is_ok() {
                waiting.watchers.push(watcher);
            }
            waiting.told.push(Box::new(move || drop(answer.send(result))));
        };
        self.send(Input::Act(Box::new(act))).await.map_err(WaitError::Stopped)?;
        answered.await.map_err(|_| WaitError::Stopped(Stopped))?.map_err(WaitError::Refused)
    }

    /// Gives the machine a request that a peer made by a call, along with the
    /// number of its changes that could not be decoded; gives the reply of the
    /// machine. `None` when the member has stopped, or too many requests wait for a
    /// reply ([`DriverStats::requests_refused`]).
    ///
    /// The sequence number of `message` ties the reply to it and must be unique
    /// among the requests of its sender that wait.
    pub async fn request(&self, message: Message, dropped_changes: usize) -> Option<Message> {
        let (answer, answered) = oneshot::channel();
        let message = Box::new(message);
        self.send(Input::Request { message, dropped_changes, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Ends the driver: the member neither says nor answers anything any more. It
    /// does not leave first; see [`Node::leave`].
    ///
    /// [`ended`](Self::ended) waits for the end.
    pub async fn stop(&self) {
        // It has stopped already when nobody takes it.
        let _ = self.send(Input::Stop).await;
    }

    /// Waits until the driver has ended.
    pub async fn ended(&self) {
        self.inputs.closed().await;
    }

    /// What the driver counted.
    #[must_use]
    pub fn stats(&self) -> DriverStats {
        self.counters.snapshot()
    }

    /// A handle that does not keep the driver running.
    #[must_use]
    pub fn downgrade(&self) -> WeakHandle {
        WeakHandle { inputs: self.inputs.downgrade(), counters: Arc::clone(&self.counters) }
    }

    async fn send(&self, input: Input) -> Result<(), Stopped> {
        self.inputs.send(input).await.map_err(|_| Stopped)
    }
}

impl WeakHandle {
    /// The handle, as long as the driver has not ended and another handle exists.
    #[must_use]
    pub fn upgrade(&self) -> Option<Handle> {
        let counters = Arc::clone(&self.counters);
        self.inputs.upgrade().map(|inputs| Handle { inputs, counters })
    }

    /// As [`Handle::request`]. Waiting for the reply does not keep the driver
    /// running.
    pub async fn request(&self, message: Message, dropped_changes: usize) -> Option<Message> {
        let (answer, answered) = oneshot::channel();
        let message = Box::new(message);
        let input = Input::Request { message, dropped_changes, answer };
        self.inputs.upgrade()?.send(input).await.ok()?;
        answered.await.ok()
    }

    /// As [`Handle::tell`]; does nothing when the member has stopped.
    pub async fn tell(&self, act: impl FnOnce(&mut Node, Instant) + Send + 'static) {
        if let Some(handle) = self.upgrade() {
            let _ = handle.tell(act).await;
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl fmt::Debug for WeakHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakHandle").finish_non_exhaustive()
    }
}
