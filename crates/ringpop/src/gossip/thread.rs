//! The membership protocol on a thread of its own.
//!
//! Failure detection is as punctual as the runtime that it runs on. Handlers that compute or block
//! without a pause hold up all tasks of the runtime of the application: a member that answers no
//! ping meanwhile is suspected, and one that takes no answers suspects the others. On a thread and
//! a port of its own nothing of the application stands before the protocol. Lifeguard (Dadgar et
//! al., 2017) makes a slow member doubt itself; this keeps it from being slow.

use std::io;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tracing::dispatcher;

/// The thread of one member, its runtime, and the socket that it serves. It ends with the task that
/// it was begun for, and closes the socket.
#[derive(Debug)]
pub(crate) struct GossipThread {
    runtime: Handle,
    /// Until it serves.
    listener: Mutex<Option<TcpListener>>,
    ended: watch::Receiver<bool>,
}

impl GossipThread {
    /// Runs `driver` on a thread of its own. What it logs goes where the log of the caller goes.
    pub(crate) fn start(
        listener: TcpListener,
        driver: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = watch::channel(false);
        let log = dispatcher::get_default(Clone::clone);
        let run = move || {
            dispatcher::with_default(&log, || runtime.block_on(driver));
            // All connections and the socket are closed when the runtime is gone.
            drop(runtime);
            end.send_replace(true);
        };
        thread::Builder::new().name("ringpop-gossip".to_owned()).spawn(run)?;
        Ok(Self { runtime: handle, listener: Mutex::new(Some(listener)), ended })
    }

    /// Serves on this thread; a second call does nothing.
    pub(crate) fn serve<F: Future<Output = ()> + Send + 'static>(
        &self,
        serve: impl FnOnce(tokio::net::TcpListener) -> F + Send + 'static,
    ) {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(listener) = listener.take() else { return };
        self.runtime.spawn(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => serve(listener).await,
                Err(error) => tracing::error!(%error, "the gossip port cannot be served"),
            }
        });
    }

    /// Waits until the thread has ended and its socket is closed.
    pub(crate) async fn ended(&self) {
        // A driver that panicked has dropped the sender.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}
