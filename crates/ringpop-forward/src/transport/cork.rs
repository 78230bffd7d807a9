//! Gathers the small writes of one poll of a connection into one system call.
//!
//! h2 writes every DATA frame above 256 bytes by itself, and a write costs more than all that we do
//! for a call. A connection is therefore polled corked, so frames collect in a buffer, and
//! once more open when any did.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{CORK_BYTES, CORK_COPY_BYTES_MAX};

/// Tells a [`Corked`] whether to hold bytes back, and learns from it whether it does.
///
/// Both sides run in the task of one connection; the atomics only make them `Send`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cork(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    closed: AtomicBool,
    holds: AtomicBool,
}

impl Cork {
    /// Polls `future`, which writes to the stream of this cork, so its writes leave together.
    pub(crate) fn poll<F: Future + Unpin>(
        &self,
        future: &mut F,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.0.closed.store(true, Ordering::Relaxed);
        let polled = Pin::new(&mut *future).poll(cx);
        self.0.closed.store(false, Ordering::Relaxed);
        if polled.is_pending() && self.0.holds.load(Ordering::Relaxed) {
            return Pin::new(future).poll(cx);
        }
        polled
    }
}

/// A byte stream behind a [`Cork`].
#[derive(Debug)]
pub(crate) struct Corked<IO> {
    io: IO,
    cork: Cork,
    held: BytesMut,
}

impl<IO: AsyncWrite + Unpin> Corked<IO> {
    /// An open one, which holds nothing back.
    pub(crate) fn new(io: IO) -> (Self, Cork) {
        let cork = Cork::default();
        (Self { io, cork: cork.clone(), held: BytesMut::new() }, cork)
    }

    /// Writes all that is held back.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        self.held.clear();
        self.cork.0.holds.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    /// Whether `bytes` are copied, rather than written from where they are.
    fn takes(&self, bytes: usize) -> bool {
        self.cork.0.closed.load(Ordering::Relaxed) && bytes <= CORK_COPY_BYTES_MAX
    }

    /// Makes room for `bytes` in the buffer.
    fn poll_room(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        if self.held.len() + bytes > CORK_BYTES {
            ready!(self.poll_drain(cx))?;
        }
        if self.held.capacity() == 0 {
            self.held.reserve(CORK_BYTES);
        }
        Poll::Ready(Ok(()))
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.cork.0.holds.store(true, Ordering::Relaxed);
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Corked<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Corked<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        if self.takes(bytes) {
            ready!(self.poll_room(cx, bytes))?;
            slices.iter().for_each(|slice| self.hold(slice));
            return Poll::Ready(Ok(bytes));
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cork.0.closed.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Counts writes that reach the wire.
    struct Wire<IO> {
        io: IO,
        writes: Arc<std::sync::atomic::AtomicUsize>,
    }

    impl<IO: AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes));
            self.writes.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(written)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_shutdown(cx)
        }
    }

    /// Writes and flushes each piece, as h2 does, and does not end, as a connection does not.
    async fn pieces(mut io: impl AsyncWrite + Unpin, pieces: &[usize]) {
        for (piece, &bytes) in pieces.iter().enumerate() {
            io.write_all(&vec![piece as u8; bytes]).await.unwrap();
            io.flush().await.unwrap();
        }
        // Every further poll flushes, like that of a connection without anything to write.
        poll_fn(|cx| {
            let _ = Pin::new(&mut io).poll_flush(cx);
            Poll::<()>::Pending
        })
        .await;
    }

    async fn written(sizes: &[usize]) -> (usize, Vec<u8>) {
        let (near, mut far) = duplex(1 << 20);
        let writes = Arc::default();
        let (io, cork) = Corked::new(Wire { io: near, writes: Arc::clone(&writes) });
        let mut connection = Box::pin(pieces(io, sizes));
        let mut read = vec![0; sizes.iter().sum()];
        tokio::select! {
            () = poll_fn(|cx| cork.poll(&mut connection, cx)) => unreachable!("it does not end"),
            all = far.read_exact(&mut read) => drop(all.unwrap()),
        }
        (writes.load(Ordering::Relaxed), read)
    }

    #[tokio::test]
    async fn small_writes_leave_together_and_in_order() {
        let sizes = [9, 300, 4096, 1];
        let (writes, read) = written(&sizes).await;
        assert_eq!(writes, 1);
        let expected: Vec<u8> =
            sizes.iter().enumerate().flat_map(|(piece, &size)| vec![piece as u8; size]).collect();
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn large_writes_are_not_copied_and_overtake_nothing() {
        let sizes = [10, CORK_COPY_BYTES_MAX + 1, 10];
        let (writes, read) = written(&sizes).await;
        assert_eq!(writes, 3);
        assert_eq!((read[0], read[10], read[sizes[1] + 10]), (0, 1, 2));
    }

    #[tokio::test]
    async fn the_buffer_is_bounded() {
        let sizes = [CORK_COPY_BYTES_MAX; 9];
        let (writes, read) = written(&sizes).await;
        assert!(writes > 1, "{writes} writes of {} bytes", read.len());
        assert_eq!(read.len(), 9 * CORK_COPY_BYTES_MAX);
    }
}
