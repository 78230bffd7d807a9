//! Connections that pass through the [`Network`] of a test.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use ringpop_forward::{Connector, Dialing, Io, Peer, TcpConnector};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::Network;

/// Dials for one member.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    from: Arc<str>,
    network: Network,
}

impl Link {
    pub(crate) fn new(from: &str, network: Network) -> Self {
        Self { from: from.into(), network }
    }

    /// Waits while the way is cut, as a dial without an answer does; the caller bounds the time.
    fn dial(&self, to: Peer) -> impl Future<Output = io::Result<Gate>> + Send + use<> {
        let Self { from, network } = self.clone();
        async move {
            let way: Arc<str> = to.address().into();
            network.clone().whole(Arc::clone(&from), Arc::clone(&way)).await;
            let stream = TcpConnector::default().connect(&to).await?;
            Ok(Gate { stream, from, to: way, network, waits: None, pause: None })
        }
    }
}

impl Connector for Link {
    fn connect(&self, peer: &Peer) -> Dialing {
        let dial = self.dial(peer.clone());
        Box::pin(async move { Ok(Box::new(dial.await?) as Box<dyn Io>) })
    }
}

impl Service<Uri> for Link {
    type Response = TokioIo<Gate>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Gate>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let peer = uri.authority().map(|authority| Peer::new(authority.as_str()));
        match peer {
            Some(Ok(peer)) => {
                let dial = self.dial(peer);
                Box::pin(async move { dial.await.map(TokioIo::new) })
            }
            _ => Box::pin(async { Err(io::Error::other("the URI names no member")) }),
        }
    }
}

/// A connection on which bytes wait while its way is cut.
pub(crate) struct Gate {
    stream: Box<dyn Io>,
    from: Arc<str>,
    to: Arc<str>,
    network: Network,
    /// Set while the way is cut.
    waits: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Set while a write is delayed.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Gate {
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(waits) = &mut self.waits {
                ready!(waits.as_mut().poll(cx));
                self.waits = None;
            }
            if !self.network.is_cut(&self.from, &self.to) {
                return Poll::Ready(());
            }
            let network = self.network.clone();
            self.waits = Some(Box::pin(network.whole(self.from.clone(), self.to.clone())));
        }
    }

    fn poll_delay(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pause.is_none() {
            let delay = self.network.delay(&self.from, &self.to);
            if delay == Duration::ZERO {
                return Poll::Ready(());
            }
            self.pause = Some(Box::pin(sleep(delay)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_whole(cx));
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_whole(cx));
        ready!(self.poll_delay(cx));
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.pause = None;
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
