//! The bytes of an accepted connection, on their way to and from HTTP/2.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::connection::{Connection, ConnectionHandle};
use super::connections::Connections;
use super::frames::FrameMeter;

/// An accepted connection within the [limits](crate::ServerLimits) of its server. Dereferences to the connection that it
/// wraps.
#[derive(Debug)]
pub struct Bounded<S> {
    stream: S,
    meter: FrameMeter,
    connection: Arc<Connection>,
}

impl<S: Connected> Bounded<S> {
    /// Takes a connection in, unless its address has too many.
    pub(crate) fn admit(stream: S, peer: SocketAddr, all: &Arc<Connections>) -> Option<Self> {
        let info = stream.connect_info();
        let restore = Box::new(move |extensions: &mut http::Extensions| {
            extensions.insert(info.clone());
        });
        let connection = all.admit(peer.ip(), restore)?;
        Some(Self { stream, meter: FrameMeter::new(all.limits.control_frames), connection })
    }
}

impl<S> Bounded<S> {
    /// Fails when the connection was given up.
    fn check(&self) -> io::Result<()> {
        if self.connection.has_ended() { Err(given_up()) } else { Ok(()) }
    }

    /// Takes note of a write.
    fn wrote<'a>(
        &mut self,
        written: &Poll<io::Result<usize>>,
        slices: impl IntoIterator<Item = &'a [u8]>,
    ) {
        match written {
            Poll::Pending => self.connection.write_is_blocked(),
            Poll::Ready(Ok(count)) => {
                self.connection.has_written();
                let mut left = *count;
                for slice in slices {
                    let taken = left.min(slice.len());
                    self.meter.send(&slice[..taken]);
                    left -= taken;
                }
            }
            Poll::Ready(Err(_)) => {}
        }
    }
}

fn given_up() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the server gave this connection up")
}

impl<S> Deref for Bounded<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stream
    }
}

impl<S> Drop for Bounded<S> {
    fn drop(&mut self) {
        self.connection.all.remove(&self.connection);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.check()?;
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buffer) else {
            if this.connection.wait(cx.waker()) {
                return Poll::Ready(Err(given_up()));
            }
            return Poll::Pending;
        };
        read?;
        if this.meter.receive(&buffer.filled()[before..]).is_err() {
            this.connection.end();
            this.connection.all.count_flood(&this.connection);
            return Poll::Ready(Err(given_up()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.wrote(&written, [data]);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(&written, slices.iter().map(|slice| &**slice));
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S> Connected for Bounded<S> {
    type ConnectInfo = ConnectionHandle;

    /// What the connection underneath says is put into the extensions of each request by the server.
    fn connect_info(&self) -> ConnectionHandle {
        ConnectionHandle::new(Arc::clone(&self.connection))
    }
}
