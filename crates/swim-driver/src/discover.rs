//! Where the hosts of the cluster are listed.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use swim_core::{Address, Instant, Node};
use tokio::time::{sleep, timeout};

use crate::limits::{DISCOVERY_PAUSE_MAX, DISCOVERY_PAUSE_MIN, DISCOVERY_TIMEOUT};
use crate::stats::{Counters, count};

/// Lists the hosts at which members may run. A list `Vec<Address>` is one that
/// never changes.
pub trait Discover: Send + Sync + 'static {
    /// Why the hosts could not be listed.
    type Error: fmt::Display + Send + 'static;

    /// The hosts that are listed now; this member may be among them.
    ///
    /// # Errors
    ///
    /// When they cannot be listed, which says nothing about the hosts.
    fn hosts(&self) -> impl Future<Output = Result<Vec<Address>, Self::Error>> + Send;

    /// Whether a failure says that discovery works and knows nobody, as a name does that does not
    /// exist. Default: it does not.
    fn lists_nobody(error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// How messages name it. Default: `discovery`.
    fn origin(&self) -> String {
        "discovery".to_owned()
    }

    /// Whether the answer can never change. A member does not wait for others that such a list does
    /// not have. Default: it can.
    fn is_fixed(&self) -> bool {
        false
    }

    /// The lists from now on, where discovery pushes them. Default: `None`, it can only be asked.
    fn lists(&self) -> Option<Box<dyn Lists>> {
        None
    }
}

/// The lists of a discovery that pushes them.
pub trait Lists: Send {
    /// Waits for the next list; the first call gives the list of now. `None` when there will be
    /// none any more. Nothing is lost when the future is dropped.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Vec<Address>>> + Send + '_>>;
}

/// The next list; waits for ever when there will be none.
pub(crate) async fn next_list(lists: &mut Option<Box<dyn Lists>>) -> Vec<Address> {
    if let Some(source) = lists
        && let Some(list) = source.next().await
    {
        return list;
    }
    *lists = None;
    std::future::pending().await
}

impl Discover for Vec<Address> {
    type Error = Infallible;

    async fn hosts(&self) -> Result<Self, Infallible> {
        Ok(self.clone())
    }

    fn origin(&self) -> String {
        "the list of peers".to_owned()
    }

    fn is_fixed(&self) -> bool {
        true
    }
}

/// Asks discovery until it answers.
pub(crate) type Ask =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Address>> + Send>> + Send + Sync>;

/// A question that is asked again, after pauses that double, until it is answered.
pub(crate) fn patiently<D: Discover>(discover: D, counters: Arc<Counters>) -> Ask {
    let discover = Arc::new(discover);
    Box::new(move || {
        let (discover, counters) = (Arc::clone(&discover), Arc::clone(&counters));
        Box::pin(async move {
            let mut pause = DISCOVERY_PAUSE_MIN;
            loop {
                match timeout(DISCOVERY_TIMEOUT, discover.hosts()).await {
                    Ok(Ok(hosts)) => return hosts,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, ?pause, "cannot look for other partitions");
                    }
                    Err(_elapsed) => tracing::warn!(
                        ?pause,
                        "cannot look for other partitions: discovery did not answer in time"
                    ),
                }
                count(&counters.discovery_failures);
                sleep(pause).await;
                pause = (pause * 2).min(DISCOVERY_PAUSE_MAX);
            }
        })
    })
}

/// Tells the machine which hosts are listed.
pub(crate) fn take_hosts(node: &mut Node, now: Instant, hosts: Vec<Address>) {
    if let Err(error) = node.discovered(now, hosts) {
        tracing::debug!(%error, "the answer of discovery came too late");
    }
}
