//! The HTTP server of a member, from its port to its graceful end.

use std::io;

use axum::Router;
use axum::serve::ListenerExt as _;
use ringpop::discovery::Address;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::limits::HTTP_DRAIN_TIMEOUT;

/// A running HTTP server.
#[derive(Debug)]
pub(super) struct HttpServer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

/// Takes the port.
pub(super) async fn bind(address: &Address) -> Result<TcpListener, Failure> {
    TcpListener::bind(address.as_str()).await.map_err(|error| {
        let (reason, advice) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "the port is in use".to_owned(),
                "stop what listens there or choose another address",
            ),
            io::ErrorKind::AddrNotAvailable => {
                ("this host has no such address".to_owned(), "choose one of this host's addresses")
            }
            _ => (error.to_string(), "choose another address"),
        };
        Failure::Failed(format!("cannot serve HTTP on {address} ({reason}): {advice} with --http"))
    })
}

impl HttpServer {
    pub(super) fn start(listener: TcpListener, router: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        // Small answers must not wait for the acknowledgement of earlier ones.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(server.into_future());
        Self { stop, task }
    }

    /// Takes no more requests and waits, within a bound, for those under way.
    pub(super) async fn stop(self) {
        // The server is gone already when nobody listens.
        let _ = self.stop.send(());
        let task = self.task.abort_handle();
        if timeout(HTTP_DRAIN_TIMEOUT, self.task).await.is_err() {
            task.abort();
        }
    }
}
