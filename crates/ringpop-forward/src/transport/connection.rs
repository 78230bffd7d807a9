//! One HTTP/2 connection to a peer: its handshake, and the task that drives it until it ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

use super::activity::Activity;
use super::config::H2Config;
use super::cork::{Cork, Corked};
use super::dial::{DialError, Io};
use super::read_after_write_error::ReadAfterWriteError;
use super::settings::Announced;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, LATE_FRAMES_MAX, RECEIVED_HEADER_LIST_BYTES, RESETS_PER_CONNECTION,
    RESETS_REMEMBERED_FOR, SEND_BUFFER_BYTES, STREAMS_BEFORE_SETTINGS,
};

/// A connection as the pool keeps it.
#[derive(Clone, Debug)]
pub(crate) struct PeerConnection {
    /// Tells this connection from its successors in the same place.
    pub(crate) id: u64,
    pub(crate) sender: SendRequest<Bytes>,
    pub(crate) activity: Arc<Activity>,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Either side closed it, or it broke.
    Closed,
    /// A PING was not answered in time.
    Unanswered,
    /// The peer says that it gets more PINGs than it wants.
    TooManyPings,
}

/// The bytes of a connection on their way.
type PeerIo = Corked<ReadAfterWriteError<Announced<Box<dyn Io>>>>;

/// The driving half of a connection.
pub(crate) struct Driver {
    connection: Connection<PeerIo, Bytes>,
    cork: Cork,
    ping: PingPong,
}

/// A connection on which the peer has answered.
pub(crate) struct Opened {
    pub(crate) sender: SendRequest<Bytes>,
    pub(crate) driver: Driver,
    /// The largest header list that the peer takes. Its SETTINGS came before its answer.
    pub(crate) header_list_max: usize,
}

/// Speaks the HTTP/2 preface and waits for the first sign of the peer.
///
/// The kernel completes connections that nobody has accepted, and a server that is about to stop
/// leaves them so. A request on one is lost in a way that cannot be told from a crash. Hence a
/// connection counts as open when the peer has answered a PING on it, and until then nothing of a
/// request is sent.
///
/// The peer may send `response_window` bytes of a response before any of them are read. The window
/// of the connection is too large to fill up, so responses that are not read hold up no others.
pub(crate) async fn handshake(io: Box<dyn Io>, response_window: u32) -> Result<Opened, DialError> {
    let (io, header_list_max) = Announced::new(io);
    let (io, cork) = Corked::new(ReadAfterWriteError::new(io));
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(response_window)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(RECEIVED_HEADER_LIST_BYTES)
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        // What comes late for a call that was given up is no fault of the peer. h2 forgets such
        // calls soon, counts every later frame of them against the connection, and ends it for all
        // calls when it has counted enough.
        .max_concurrent_reset_streams(RESETS_PER_CONNECTION)
        .reset_stream_duration(RESETS_REMEMBERED_FOR)
        .max_local_error_reset_streams(Some(LATE_FRAMES_MAX))
        .handshake::<_, Bytes>(io)
        .await
        .map_err(|error| DialError::Handshake(Arc::new(error)))?;
    let mut ping = connection.ping_pong().expect("a new connection has its ping to give");
    let answered = tokio::select! {
        end = &mut connection => end.and(Ok(false)),
        pong = ping.ping(Ping::opaque()) => pong.and(Ok(true)),
    };
    match answered {
        Ok(true) => {
            let driver = Driver { connection, cork, ping };
            Ok(Opened { sender, driver, header_list_max: header_list_max.get() })
        }
        Ok(false) => Err(DialError::Closed),
        Err(error) => Err(DialError::Handshake(Arc::new(error))),
    }
}

/// When PINGs are sent on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keepalive {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// Also while no call is in flight.
    pub(crate) when_idle: bool,
}

impl Driver {
    /// Drives the connection until it ends: because either side closed it, because a PING was not
    /// answered, or because nobody can send on it any more. `evict_if_idle` is asked now and then
    /// whether it gave the connection up.
    pub(crate) async fn run(
        self,
        config: &H2Config,
        keepalive: Keepalive,
        activity: &Activity,
        evict_if_idle: impl FnMut() -> bool,
    ) -> Ended {
        let Self { mut connection, cork, ping } = self;
        tokio::select! {
            end = std::future::poll_fn(|cx| cork.poll(&mut connection, cx)) => match end {
                Err(error) if is_too_many_pings(&error) => Ended::TooManyPings,
                Err(error) => {
                    tracing::debug!(%error, "peer connection ended");
                    Ended::Closed
                }
                Ok(()) => Ended::Closed,
            },
            () = keepalive.run(ping, activity) => {
                tracing::debug!("peer connection did not answer a ping");
                Ended::Unanswered
            }
            never = watch_idle(config.idle_timeout, evict_if_idle) => match never {},
        }
    }
}

/// Whether the peer ended the connection because of our PINGs (gRFC A8).
fn is_too_many_pings(error: &h2::Error) -> bool {
    let is_calm = error.is_go_away() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
    // h2 tells the debug data of a GOAWAY in its text and nowhere else.
    is_calm && error.is_remote() && error.to_string().contains("too_many_pings")
}

impl Keepalive {
    /// Resolves when a PING is not answered in time.
    async fn run(self, mut ping: PingPong, activity: &Activity) {
        loop {
            sleep(self.interval).await;
            if !self.when_idle && activity.is_idle() {
                continue;
            }
            match timeout(self.timeout, ping.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {}
                // The connection itself reports its end better than its ping does.
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) => return,
            }
        }
    }
}

/// Looks twice per idle time, so a connection ends after being idle for one half to one idle time
/// more. Never resolves: a connection that was given up ends by itself, in the order that HTTP/2
/// wants.
async fn watch_idle(idle: Duration, mut evict_if_idle: impl FnMut() -> bool) -> Infallible {
    loop {
        sleep(idle / 2).await;
        if evict_if_idle() {
            return std::future::pending().await;
        }
    }
}
