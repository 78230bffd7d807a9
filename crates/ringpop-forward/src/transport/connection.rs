//! One HTTP/2 connection to a peer: its handshake, and the task that drives it until it ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use super::cork::{Cork, Corked};
use super::dial::{DialError, Io};
use super::h2::H2Config;
use super::last_words::LastWords;
use crate::constants::{
    CONNECTION_WINDOW_BYTES, HEADER_LIST_BYTES_MAX, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
    STREAMS_BEFORE_SETTINGS,
};

/// A connection as the pool keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Tells this connection from its successors in the same place.
    pub(crate) id: u64,
    pub(crate) sender: SendRequest<Bytes>,
    pub(crate) activity: Arc<Activity>,
}

/// What happens on a connection, to tell an idle one.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    streams: AtomicUsize,
    uses: AtomicU64,
}

impl Activity {
    /// Begins a stream. One that begins while the connection is given up is not lost: a connection ends only when
    /// nobody can send on it any more.
    ///
    /// `permit` is the call's place among those that may be in flight to the peer.
    pub(crate) fn begin(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Lease {
        self.streams.fetch_add(1, Ordering::AcqRel);
        self.uses.fetch_add(1, Ordering::AcqRel);
        Lease { activity: Arc::clone(self), _permit: permit }
    }

    /// Whether no stream is open and none began since `uses` was read.
    pub(crate) fn is_idle_since(&self, uses: u64) -> bool {
        self.streams.load(Ordering::Acquire) == 0 && self.uses() == uses
    }

    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Acquire)
    }
}

/// One stream on a connection.
#[derive(Debug)]
pub(crate) struct Lease {
    activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.activity.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Either side closed it, or it broke.
    Closed,
    /// A PING was not answered in time.
    Unanswered,
}

/// The driving half of a connection.
pub(crate) struct Driver {
    connection: Connection<Corked<LastWords<Box<dyn Io>>>, Bytes>,
    cork: Cork,
    ping: PingPong,
}

/// Speaks the HTTP/2 preface and waits for the first sign of the peer.
///
/// The kernel completes connections that nobody has accepted, and a server that is about to stop leaves them so. What
/// is sent on one is lost in a way that cannot be told from a crash. Hence a connection counts as open when the peer has
/// answered a PING on it, and until then nothing of a request is sent.
pub(crate) async fn handshake(io: Box<dyn Io>) -> Result<(SendRequest<Bytes>, Driver), DialError> {
    let (io, cork) = Corked::new(LastWords::new(io));
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        .handshake::<_, Bytes>(io)
        .await
        .map_err(|error| DialError::Handshake(Arc::new(error)))?;
    let mut ping = connection.ping_pong().expect("a new connection has its ping to give");
    let answered = tokio::select! {
        end = &mut connection => end.and(Ok(false)),
        pong = ping.ping(Ping::opaque()) => pong.and(Ok(true)),
    };
    match answered {
        Ok(true) => Ok((sender, Driver { connection, cork, ping })),
        Ok(false) => Err(DialError::Closed),
        Err(error) => Err(DialError::Handshake(Arc::new(error))),
    }
}

impl Driver {
    /// Drives the connection until it ends: because either side closed it, because a PING was not answered, or because
    /// nobody can send on it any more. `evict_if_idle` is asked now and then whether it gave the connection up.
    pub(crate) async fn run(self, config: &H2Config, evict_if_idle: impl FnMut() -> bool) -> Ended {
        let Self { mut connection, cork, ping } = self;
        tokio::select! {
            end = std::future::poll_fn(|cx| cork.poll(&mut connection, cx)) => {
                if let Err(error) = end {
                    tracing::debug!(%error, "peer connection ended");
                }
                Ended::Closed
            }
            () = keepalive(ping, config.keepalive_interval, config.keepalive_timeout) => {
                tracing::debug!("peer connection did not answer a ping");
                Ended::Unanswered
            }
            never = watch_idle(config.idle_timeout, evict_if_idle) => match never {},
        }
    }
}

/// Resolves when a PING is not answered in time.
async fn keepalive(mut ping: PingPong, interval: Duration, limit: Duration) {
    loop {
        sleep(interval).await;
        match timeout(limit, ping.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection itself reports its end better than its ping does.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// Looks twice per idle time, so a connection ends after being idle for one half to one idle time more. Never resolves:
/// a connection that was given up ends by itself, in the order that HTTP/2 wants.
async fn watch_idle(idle: Duration, mut evict_if_idle: impl FnMut() -> bool) -> Infallible {
    loop {
        sleep(idle / 2).await;
        if evict_if_idle() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_when_no_stream_is_open_and_none_began() {
        let activity = Arc::new(Activity::default());
        let permits = Arc::new(tokio::sync::Semaphore::new(1));
        let begin = || activity.begin(Arc::clone(&permits).try_acquire_owned().unwrap());
        let lease = begin();
        let uses = activity.uses();
        assert!(!activity.is_idle_since(uses), "a stream is open");
        drop(lease);
        assert!(activity.is_idle_since(uses));
        drop(begin());
        assert!(!activity.is_idle_since(uses), "a stream came and went");
    }
}
