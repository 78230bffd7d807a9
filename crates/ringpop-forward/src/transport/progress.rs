//! How far a request has come on its way to a peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::connections::OpenCall;
use crate::limits::RESERVE_PART;

const CONNECTING: u8 = 0;
const QUEUED: u8 = 1;
const SENT: u8 = 2;
const CONNECTING_SLOWLY: u8 = 3;

/// Told by a transport, and read by the caller that waits for the response: a request that has not
/// left cannot have been executed.
#[derive(Debug, Default)]
pub struct Progress {
    step: AtomicU8,
    /// The caller, when the call came over a connection that this crate has accepted.
    caller: Option<Arc<OpenCall>>,
    /// It begins in a process that serves callers, and is not answerable for what they hold.
    is_own: bool,
}

impl Progress {
    pub(crate) fn of(caller: Option<Arc<OpenCall>>, is_own: bool) -> Self {
        Self { step: AtomicU8::new(CONNECTING), caller, is_own }
    }

    /// How many places beyond `limit` the caller may take, because it holds few.
    pub(crate) fn reserve(&self, limit: usize) -> usize {
        let own = if self.is_own { limit / RESERVE_PART / 2 } else { 0 };
        self.caller.as_ref().map_or(own, |call| call.connection.reserve(limit))
    }

    /// How many of `max` places the caller leaves to others, because it holds many.
    pub(crate) fn left_to_others(&self, max: usize) -> usize {
        let caller = self.caller.as_ref();
        caller.map_or(0, |call| max / RESERVE_PART - call.connection.reserve(max))
    }

    /// There is a connection, and the request waits until the peer takes another one on it.
    pub fn queued(&self) {
        self.step.store(QUEUED, Ordering::Relaxed);
    }

    /// The request leaves, or has left.
    pub fn sent(&self) {
        self.step.store(SENT, Ordering::Relaxed);
    }

    /// The request waits for a connection again.
    pub fn connecting(&self) {
        self.step.store(CONNECTING, Ordering::Relaxed);
    }

    /// The request waits for a connection that takes long to open: longer than a request should
    /// wait that can go to another owner. Requests that come later are told at once.
    pub fn connecting_slowly(&self) {
        self.step.store(CONNECTING_SLOWLY, Ordering::Relaxed);
    }

    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self.step.load(Ordering::Relaxed), CONNECTING | CONNECTING_SLOWLY)
    }

    pub(crate) fn is_connecting_slowly(&self) -> bool {
        self.step.load(Ordering::Relaxed) == CONNECTING_SLOWLY
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.step.load(Ordering::Relaxed) == SENT
    }
}
