//! How far a request has come on its way to a peer.

use std::sync::atomic::{AtomicU8, Ordering};

const CONNECTING: u8 = 0;
const QUEUED: u8 = 1;
const SENT: u8 = 2;

/// Told by a transport, and read by whoever waits for the response: what has not left cannot have been executed.
#[derive(Debug, Default)]
pub struct Progress(AtomicU8);

impl Progress {
    /// There is a connection, and the request waits until the peer takes another one on it.
    pub fn queued(&self) {
        self.0.store(QUEUED, Ordering::Relaxed);
    }

    /// The request leaves, or has left.
    pub fn sent(&self) {
        self.0.store(SENT, Ordering::Relaxed);
    }

    /// The request waits for a connection again.
    pub fn connecting(&self) {
        self.0.store(CONNECTING, Ordering::Relaxed);
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.0.load(Ordering::Relaxed) == CONNECTING
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SENT
    }
}
