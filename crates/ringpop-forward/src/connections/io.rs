//! The bytes of an accepted connection, on their way to and from HTTP/2.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use super::frames::FrameMeter;
use super::inflow::Inflow;
use super::registry::Connections;
use super::registry::connection::{Connection, ConnectionHandle};
use crate::limits::{REQUEST_PAUSE, WRITES_PER_READ};

/// An accepted connection within the [limits](crate::ServerLimits) of its server. Dereferences to
/// the connection that it wraps.
#[derive(Debug)]
pub struct Bounded<S> {
    stream: S,
    meter: FrameMeter,
    inflow: Inflow,
    /// Bytes that were received and are left to the next turns of the connection's task.
    rest: BytesMut,
    /// Set while the connection is not to be read.
    pause: Option<Pin<Box<Sleep>>>,
    /// Writes that are allowed although reads have taken all of the task's budget.
    writes_left: u8,
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
        Some(Self {
            stream,
            meter: FrameMeter::new(all.limits.control_frames),
            inflow: Inflow::new(Arc::clone(&connection)),
            rest: BytesMut::new(),
            pause: None,
            writes_left: 0,
            connection,
        })
    }
}

impl<S> Bounded<S> {
    /// Fails when the connection was given up.
    fn check(&self) -> io::Result<()> {
        if self.connection.has_ended() { Err(given_up()) } else { Ok(()) }
    }

    /// Waits until the connection may be read. It may not while it owes resets, nor while it holds
    /// a part of more unread requests than there may be.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return self.poll_end(cx);
                }
                self.pause = None;
            }
            let Some(pause) = self.pause_needed() else { return Poll::Ready(Ok(())) };
            self.pause = Some(Box::pin(sleep(pause)));
        }
    }

    fn pause_needed(&mut self) -> Option<Duration> {
        if let Some(owed) = self.meter.owed() {
            self.connection.all.count_resets(&self.connection);
            return Some(owed);
        }
        self.connection.has_too_much_unread().then_some(REQUEST_PAUSE)
    }

    /// Pending, unless the connection was given up.
    fn poll_end(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.wait(cx.waker()) { Poll::Ready(Err(given_up())) } else { Poll::Pending }
    }

    /// Takes note of bytes that the peer sent, and gives how many of them belong to this turn.
    fn receive(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let inflow = &mut self.inflow;
        let Ok(turn) = self.meter.receive(bytes, |head| inflow.receive(&head)) else {
            self.connection.end();
            self.connection.all.count_flood(&self.connection);
            return Err(given_up());
        };
        if turn.shares > 0 {
            spend(cx, turn.shares);
            self.writes_left = WRITES_PER_READ;
        }
        Ok(turn.bytes)
    }

    /// Writes to the stream, for some writes also when the task's budget is spent: a peer that
    /// never stops sending would get no answer otherwise.
    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>>
    where
        S: Unpin,
    {
        let stream = &mut self.stream;
        if coop::has_budget_remaining() || self.writes_left == 0 {
            return write(Pin::new(stream), cx);
        }
        self.writes_left -= 1;
        let write = poll_fn(|cx| write(Pin::new(&mut *stream), cx));
        pin!(coop::unconstrained(write)).poll(cx)
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
                    let inflow = &mut self.inflow;
                    self.meter.send(&slice[..taken], |head| inflow.send(&head));
                    left -= taken;
                }
            }
            Poll::Ready(Err(_)) => {}
        }
    }
}

/// Takes so many units of the task's budget, so a connection with many small frames yields to
/// other tasks as often as one with little in each read does.
fn spend(cx: &mut Context<'_>, shares: u32) {
    for _ in 0..shares {
        match coop::poll_proceed(cx) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => return,
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
        ready!(this.poll_pause(cx))?;
        if !this.rest.is_empty() {
            // The budget of this turn may be spent: then the task is polled again after others.
            ready!(coop::poll_proceed(cx)).made_progress();
            let mut rest = std::mem::take(&mut this.rest);
            let taken = this.receive(cx, &rest[..rest.len().min(buffer.remaining())])?;
            buffer.put_slice(&rest[..taken]);
            rest.advance(taken);
            this.rest = rest;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        if Pin::new(&mut this.stream).poll_read(cx, buffer)?.is_pending() {
            return this.poll_end(cx);
        }
        let taken = before + this.receive(cx, &buffer.filled()[before..])?;
        if taken < buffer.filled().len() {
            this.rest = BytesMut::from(&buffer.filled()[taken..]);
            buffer.set_filled(taken);
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
        let written = self.poll_stream(cx, |stream, cx| stream.poll_write(cx, data));
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
        let written = self.poll_stream(cx, |stream, cx| stream.poll_write_vectored(cx, slices));
        self.wrote(&written, slices.iter().map(|slice| &**slice));
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S> Connected for Bounded<S> {
    type ConnectInfo = ConnectionHandle;

    /// What the connection underneath says is put into the extensions of each request by the
    /// server.
    fn connect_info(&self) -> ConnectionHandle {
        ConnectionHandle::new(Arc::clone(&self.connection))
    }
}
