//! How far the server of a member is.

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The server of a member.
#[derive(Debug)]
pub(crate) enum Server {
    /// Has the port and does not serve yet.
    Bound(TcpListener),
    /// Serves. Dropping `stop` lets it finish the calls under way and end.
    Running { stop: oneshot::Sender<()>, task: JoinHandle<()> },
    /// Has stopped.
    Stopped,
}
