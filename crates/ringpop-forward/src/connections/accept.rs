//! Accepting connections, also when the operating system has no descriptors left.
//!
//! Every listener of this crate accepts through [`Acceptor`]. A failure that concerns one
//! connection is skipped; one that concerns the process (no descriptors, no memory) will come again
//! at once, so the acceptor pauses, closes connections that have said nothing yet, and tells
//! the log.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use crate::connections::write_through::write_through;
use crate::limits::{ACCEPT_LOG_INTERVAL, ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, FIRST_BYTE_TIMEOUT};
use crate::log_limit::LogLimit;

/// Accepts connections of one listener.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    counters: Arc<Counters>,
    silent: Arc<Silent>,
    /// Set after the operating system refused to accept.
    pause: Option<Pin<Box<Sleep>>>,
    pause_next: Duration,
    log: LogLimit,
}

/// What happened to connections before their first request.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accept_failures: AtomicU64,
    silent_closed: AtomicU64,
}

/// What a listener counted; see [`AcceptCounters`](crate::AcceptCounters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptStats {
    /// How often the operating system refused to accept a connection, as it does when too many
    /// files are open.
    pub accept_failures: u64,
    /// Connections that were closed because they had sent nothing: for too long, or when
    /// descriptors ran out.
    pub silent_closed: u64,
}

impl Counters {
    pub(crate) fn stats(&self) -> AcceptStats {
        AcceptStats {
            accept_failures: self.accept_failures.load(Ordering::Relaxed),
            silent_closed: self.silent_closed.load(Ordering::Relaxed),
        }
    }
}

impl AcceptStats {
    /// All counters with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [("accept_failures", self.accept_failures), ("silent_closed", self.silent_closed)]
            .into_iter()
    }
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener, counters: Arc<Counters>) -> Self {
        Self {
            listener,
            silent: Arc::new(Silent::new(Arc::clone(&counters))),
            counters,
            pause: None,
            pause_next: ACCEPT_PAUSE_MIN,
            log: LogLimit::new(ACCEPT_LOG_INTERVAL),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection, with small writes sent at once. Never fails: after a failure it goes on
    /// when that makes sense.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<(TcpStream, SocketAddr)> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, peer)) => {
                    self.pause_next = ACCEPT_PAUSE_MIN;
                    // A connection that is gone already shows it at the first read.
                    let _ = stream.set_nodelay(true);
                    return Poll::Ready((stream, peer));
                }
                Err(error) if concerns_one_connection(&error) => self.count_failure(),
                Err(error) => self.back_off(&error),
            }
        }
    }

    /// The connection as it is handed to the server, which ends it when it says nothing.
    pub(crate) fn watch<S>(&self, stream: S) -> Accepted<S> {
        Accepted { stream, silence: Some(self.silent.enter()) }
    }

    fn count_failure(&self) {
        self.counters.accept_failures.fetch_add(1, Ordering::Relaxed);
    }

    fn back_off(&mut self, error: &io::Error) {
        self.count_failure();
        let closed = self.silent.close_half();
        if let Some(held_back) = self.log.pass() {
            tracing::warn!(
                %error,
                silent_connections_closed = closed,
                held_back,
                "cannot accept connections: raise the limit of open files of this process (ulimit -n), or find who \
                 holds its connections open"
            );
        }
        self.pause = Some(Box::pin(sleep(self.pause_next)));
        self.pause_next = (self.pause_next * 2).min(ACCEPT_PAUSE_MAX);
    }
}

/// Whether the next connection may be accepted although this one was not: accept(2) hands on errors
/// of the connection.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Connections that have sent nothing yet, oldest first.
#[derive(Debug)]
struct Silent {
    waiting: Mutex<Waiting>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// What wakes each to see that it was closed; `None` until it first reads.
    wakers: BTreeMap<u64, Option<Waker>>,
}

impl Silent {
    fn new(counters: Arc<Counters>) -> Self {
        Self { waiting: Mutex::default(), counters }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>) -> Silence {
        let mut waiting = self.lock();
        let id = waiting.next;
        waiting.next += 1;
        waiting.wakers.insert(id, None);
        drop(waiting);
        Silence { id, silent: Arc::clone(self), limit: Box::pin(sleep(FIRST_BYTE_TIMEOUT)) }
    }

    /// Closes the older half of the silent connections, at least one; gives how many.
    fn close_half(&self) -> usize {
        let mut waiting = self.lock();
        let count = waiting.wakers.len().div_ceil(2);
        let mut closed = Vec::with_capacity(count);
        for _ in 0..count {
            closed.extend(waiting.wakers.pop_first());
        }
        drop(waiting);
        // Outside of the lock, which a woken connection takes.
        closed.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
        self.counters.silent_closed.fetch_add(count as u64, Ordering::Relaxed);
        count
    }
}

/// One place among the silent connections; left when this is dropped.
#[derive(Debug)]
struct Silence {
    id: u64,
    silent: Arc<Silent>,
    limit: Pin<Box<Sleep>>,
}

impl Silence {
    /// Resolves when the connection is to end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.silent.lock();
        let Some(waker) = waiting.wakers.get_mut(&self.id) else {
            return Poll::Ready(());
        };
        *waker = Some(cx.waker().clone());
        drop(waiting);
        ready!(self.limit.as_mut().poll(cx));
        self.silent.counters.silent_closed.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.silent.lock().wakers.remove(&self.id);
    }
}

/// An accepted connection. It ends by itself when its peer sends nothing for ten seconds after it
/// was opened, or when descriptors run out before the peer has sent anything.
#[derive(Debug)]
pub struct Accepted<S = TcpStream> {
    stream: S,
    /// Until the first byte.
    silence: Option<Silence>,
}

impl<S> Accepted<S> {
    /// The connection itself.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Accepted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(silence) = &mut this.silence else {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        };
        let before = buffer.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(cx, buffer) {
            if buffer.filled().len() > before || result.is_err() {
                this.silence = None;
            }
            return Poll::Ready(result);
        }
        ready!(silence.poll_end(cx));
        this.silence = None;
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer opened a connection and sent nothing",
        )))
    }
}

write_through!(Accepted, stream);

impl<S: Connected> Connected for Accepted<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}
