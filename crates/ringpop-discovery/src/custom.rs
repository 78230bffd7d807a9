//! Sources of an application's own: a channel that it writes to, a function that is called.

use std::fmt;

use tokio::sync::watch;

use crate::{Discovery, DiscoveryError, PeersFuture, Record, Source};

/// A source that the application writes to. Only the latest list is kept.
///
/// ```
/// use ringpop_discovery::{Discovery, Feed, Record, channel};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sender, source) = channel("our registry");
/// let feed = Feed::new(source);
/// sender.send(vec![Record::new("10.0.0.1:7100".parse()?)]);
/// assert_eq!(feed.peers().await?.len(), 1);
/// # Ok(())
/// # }
/// ```
pub fn channel(origin: impl Into<String>) -> (ChannelSender, Channel) {
    let (sender, receiver) = watch::channel(Vec::new());
    (ChannelSender { sender }, Channel { receiver, origin: origin.into() })
}

/// The writing end of a [`channel`]. When it is dropped, the last list stands.
#[derive(Debug)]
pub struct ChannelSender {
    sender: watch::Sender<Vec<Record>>,
}

impl ChannelSender {
    /// Replaces the list. An empty one is an error to those who read, who keep what they had.
    pub fn send(&self, records: Vec<Record>) {
        self.sender.send_replace(records);
    }
}

/// The reading end of a [`channel`].
#[derive(Debug)]
pub struct Channel {
    receiver: watch::Receiver<Vec<Record>>,
    origin: String,
}

impl Source for Channel {
    fn next(&mut self) -> PeersFuture<'_> {
        Box::pin(async {
            let changed = self.receiver.changed().await;
            changed.map_err(|_| DiscoveryError::Ended { origin: self.origin.clone() })?;
            Ok(self.receiver.borrow_and_update().clone())
        })
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }
}

/// Peers from an asynchronous function, which is called for each question.
///
/// ```
/// use ringpop_discovery::{Discovery, Function, Record};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let table = Function::new("the table of workers", || async {
///     Ok(vec![Record::new("10.0.0.1:7100".parse()?)])
/// });
/// assert_eq!(table.peers().await?.len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Function<F> {
    origin: String,
    function: F,
}

impl<F, A> Function<F>
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = Result<Vec<Record>, DiscoveryError>> + Send + 'static,
{
    /// Peers from `function`; `origin` names it in messages.
    pub fn new(origin: impl Into<String>, function: F) -> Self {
        Self { origin: origin.into(), function }
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl<F, A> Discovery for Function<F>
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = Result<Vec<Record>, DiscoveryError>> + Send + 'static,
{
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin((self.function)())
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }
}
