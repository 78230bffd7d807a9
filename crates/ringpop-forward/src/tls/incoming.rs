//! Connections that are accepted over TLS.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;

use super::Tls;
use crate::constants::{ACCEPT_PAUSE, TLS_HANDSHAKE_TIMEOUT, TLS_HANDSHAKES_MAX};

impl Tls {
    /// The connections of `listener` that complete a handshake, with small writes sent at once.
    ///
    /// Handshakes run side by side in tasks that end with the stream, so that a caller that is slow, or speaks no TLS,
    /// holds nobody up.
    #[must_use]
    pub fn incoming(&self, listener: TcpListener) -> TlsIncoming {
        TlsIncoming { tls: self.clone(), listener, handshakes: JoinSet::new(), pause: None }
    }
}

/// Accepted connections; see [`Tls::incoming`].
#[derive(Debug)]
pub struct TlsIncoming {
    tls: Tls,
    listener: TcpListener,
    handshakes: JoinSet<io::Result<TlsStream<TcpStream>>>,
    /// Set after the operating system refused to accept, which it does when there are too many open files.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Stream for TlsIncoming {
    type Item = io::Result<TlsStream<TcpStream>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_accept(cx);
        while let Poll::Ready(Some(finished)) = self.handshakes.poll_join_next(cx) {
            match finished {
                Ok(Ok(stream)) => return Poll::Ready(Some(Ok(stream))),
                Ok(Err(error)) => {
                    self.tls.0.counters.handshake_failures.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%error, "a connection was not accepted");
                }
                Err(error) => tracing::error!(%error, "a handshake broke"),
            }
            // A place became free.
            self.poll_accept(cx);
        }
        Poll::Pending
    }
}

impl TlsIncoming {
    /// Begins a handshake with everyone who waits, as far as there may be more of them.
    fn poll_accept(&mut self, cx: &mut Context<'_>) {
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(cx).is_pending() {
                return;
            }
            self.pause = None;
        }
        while self.handshakes.len() < TLS_HANDSHAKES_MAX {
            match self.listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, _))) => {
                    let acceptor = TlsAcceptor::from(self.tls.configs().server);
                    self.handshakes.spawn(shake(acceptor, stream, TLS_HANDSHAKE_TIMEOUT));
                }
                Poll::Ready(Err(error)) => {
                    self.tls.0.counters.accept_failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "cannot accept a connection");
                    let mut pause = Box::pin(sleep(ACCEPT_PAUSE));
                    // Polled to be woken by it; it cannot be over yet.
                    let _ = pause.as_mut().poll(cx);
                    self.pause = Some(pause);
                    return;
                }
                Poll::Pending => return,
            }
        }
    }
}

async fn shake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    limit: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    timeout(limit, acceptor.accept(stream))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
