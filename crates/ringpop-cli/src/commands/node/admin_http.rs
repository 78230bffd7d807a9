//! The listener with the page and its JSON.

use ringpop::Ringpop;
use ringpop::http_admin::AdminHttp;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::http;
use crate::args::AdminArgs;
use crate::failure::Failure;
use crate::limits::HTTP_DRAIN_TIMEOUT;

/// A listener for administration that serves until it is told to stop.
#[derive(Debug)]
pub(super) struct AdminServer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Takes the port, if one is wanted.
pub(super) async fn bind(args: &AdminArgs) -> Result<Option<TcpListener>, Failure> {
    match &args.admin_http {
        Some(address) => http::bind(address, "--admin-http").await.map(Some),
        None => Ok(None),
    }
}

impl AdminServer {
    pub(super) fn start(listener: TcpListener, node: &Ringpop, args: &AdminArgs) -> Self {
        let admin = AdminHttp::new(node, args.access());
        let admin = args.admin_http_host.iter().fold(admin, AdminHttp::host);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = admin.serve(listener, async { drop(stopped.await) });
        let task = tokio::spawn(async {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the listener of --admin-http has ended");
            }
        });
        Self { stop, task }
    }

    /// Waits, within a bound, for the requests under way.
    pub(super) async fn stop(self) {
        // It is gone already when nobody listens.
        let _ = self.stop.send(());
        let task = self.task.abort_handle();
        if timeout(HTTP_DRAIN_TIMEOUT, self.task).await.is_err() {
            task.abort();
        }
    }
}
