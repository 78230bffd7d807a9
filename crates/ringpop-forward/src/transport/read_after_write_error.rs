//! Reads on after a write has failed.
//!
//! A server that stops says which requests it has not looked at (GOAWAY), and then closes. A write
//! a moment later fails, and if that were the end of the connection, what the server said would
//! stay unread in the socket, although it decides which calls may be sent again. Hence a failed
//! write ends nothing: later writes are dropped, and the stream ends when it was read to its end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::limits::READ_AFTER_WRITE_ERROR_TIMEOUT;

/// A byte stream that is read to its end after writing to it has failed.
#[derive(Debug)]
pub(crate) struct ReadAfterWriteError<IO> {
    io: IO,
    failed: Option<Failed>,
}

/// A write that failed.
#[derive(Debug)]
struct Failed {
    error: io::ErrorKind,
    /// When the stream ends even if its reading side does not.
    end: Pin<Box<Sleep>>,
}

impl<IO> ReadAfterWriteError<IO> {
    pub(crate) fn new(io: IO) -> Self {
        Self { io, failed: None }
    }

    /// Puts success in the place of the first failure: as if all `bytes` were written.
    fn forgive<T>(&mut self, cx: &Context<'_>, done: io::Result<T>, otherwise: T) -> io::Result<T> {
        done.or_else(|error| {
            tracing::debug!(%error, "peer connection takes no more");
            self.failed = Some(Failed {
                error: error.kind(),
                end: Box::pin(sleep(READ_AFTER_WRITE_ERROR_TIMEOUT)),
            });
            // The next poll reads, and sets the timer going.
            cx.waker().wake_by_ref();
            Ok(otherwise)
        })
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ReadAfterWriteError<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, failed } = &mut *self;
        let read = Pin::new(io).poll_read(cx, buf);
        match failed {
            Some(Failed { error, end }) if read.is_pending() => {
                ready!(end.as_mut().poll(cx));
                Poll::Ready(Err((*error).into()))
            }
            _ => read,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ReadAfterWriteError<IO> {
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
        let all = || slices.iter().map(|slice| slice.len()).sum();
        if self.failed.is_some() {
            return Poll::Ready(Ok(all()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices));
        Poll::Ready(self.forgive(cx, written, all()))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
        Poll::Ready(self.forgive(cx, flushed, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn what_was_said_before_the_end_is_read_after_a_failed_write() {
        let (near, mut far) = duplex(64);
        far.write_all(b"goodbye").await.unwrap();
        drop(far);
        let mut near = ReadAfterWriteError::new(near);
        for _ in 0..3 {
            near.write_all(b"are you there?").await.unwrap();
            near.flush().await.unwrap();
        }
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "goodbye");
        near.shutdown().await.unwrap();
    }

    /// Fails to write, and has nothing to read.
    struct Stuck;

    impl AsyncRead for Stuck {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_never_ends_ends_with_the_error_of_the_write() {
        let mut stuck = ReadAfterWriteError::new(Stuck);
        let begin = Instant::now();
        stuck.write_all(b"hello").await.unwrap();
        let error = stuck.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(begin.elapsed(), READ_AFTER_WRITE_ERROR_TIMEOUT);
    }
}
