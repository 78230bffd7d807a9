//! Counts calls in flight and, at the end of a process's life, lets no more in.
//!
//! The order of a stop without loss: leave the ring;
//! [`drain`](crate::ForwarderControl::drain), so calls that others still send here are forwarded to
//! their new owner; when the others have heard of the leave,
//! [`refuse_new_work`](crate::ForwarderControl::refuse_new_work), which makes senders move on;
//! await [`drained`](crate::Forwarder::drained); stop the server.

use std::sync::Arc;

use crate::sync::{AtomicBool, AtomicU64, Notify, Ordering};

/// The highest bit of the gate's word; the others count.
const CLOSED: u64 = 1 << 63;

/// Lets calls in and counts them.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The closed bit and the count share a word, so a call either is counted before the gate
    /// closes or sees that it is closed.
    word: AtomicU64,
    draining: AtomicBool,
    idle: Notify,
}

impl Gate {
    /// Lets one call in, unless the gate is closed or `limit` calls are inside.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> Result<Ticket, Refusal> {
        let ticket = Ticket(Arc::clone(self));
        let before = self.word.fetch_add(1, Ordering::AcqRel);
        match before & !CLOSED {
            _ if before & CLOSED != 0 => Err(Refusal::Draining),
            inside if inside >= limit as u64 => Err(Refusal::Overloaded),
            _ => Ok(ticket),
        }
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.drain();
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.word.load(Ordering::Acquire) & !CLOSED
    }

    /// Resolves at a moment when nothing is in flight.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Registered before the count is read, or the last ticket could drop in between
            // unheard.
            idle.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// Why a call was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Draining,
    Overloaded,
}

impl Refusal {
    /// As the header of the refusal says it.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Overloaded => "overloaded",
        }
    }
}

/// One call in flight; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Gate>);

impl Drop for Ticket {
    fn drop(&mut self) {
        let before = self.0.word.fetch_sub(1, Ordering::AcqRel);
        if before & !CLOSED == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
