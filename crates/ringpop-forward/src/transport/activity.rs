//! What happens on one connection: how many streams are open, who waits for one, and how many calls
//! were given up.
//!
//! One connection carries the calls of many callers, and HTTP/2 servers count what happens on it. A
//! caller that gives up must not cost the others their calls. Two counts matter:
//!
//! * A server keeps a stream that was reset before it took it, and ends the connection when these
//!   are too many: hyper and tonic at 20. How many of our resets it may not have seen yet is known:
//!   it takes streams in their order, so an answer on a later one proves that it has seen them.
//!   Beyond half of that figure no further call uses the connection, and those that are given up on
//!   it are reset only when the server has seen others, or after some time.
//! * h2 counts frames that come for calls long given up. A connection on which many were given up
//!   is replaced in time.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::Progress;
use crate::header_list;
use crate::limits::{
    RESET_DELAY_MAX, RESETS_PER_CONNECTION, RESETS_UNSEEN_MAX, TURN_CHECK_INTERVAL,
};

/// How large header lists may be on a connection.
#[derive(Debug, Default)]
pub(crate) struct HeaderLists {
    /// Of a request: what the peer announces.
    pub(crate) request_max: usize,
    /// Of a response: the direction read here.
    pub(crate) response_max: usize,
    /// Requests and responses of all connections that were larger.
    pub(crate) exceeded: Arc<AtomicU64>,
}

impl HeaderLists {
    pub(crate) fn count_exceeded(&self) {
        self.exceeded.fetch_add(1, Ordering::Relaxed);
    }

    /// What takes the place of these fields of a response if they are too large; a status when they
    /// say nothing of the outcome.
    pub(crate) fn bound(&self, headers: &HeaderMap) -> Option<Result<HeaderMap, Status>> {
        let (size, limit) = (header_list::size_of_response(headers), self.response_max);
        (size >= limit).then(|| {
            self.count_exceeded();
            let too_large = || header_list::response_too_large(size, limit);
            header_list::cut(headers, size, limit).ok_or_else(too_large)
        })
    }
}

/// What happens on a connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    pub(crate) header_lists: HeaderLists,
    streams: AtomicUsize,
    uses: AtomicU64,
    /// Calls that wait for a stream.
    waiting: AtomicUsize,
    /// A stream was freed, or the connection is over.
    freed: Notify,
    is_over: AtomicBool,
    /// No further call uses the connection.
    is_retired: AtomicBool,
    /// The last stream that the peer is known to have taken.
    taken: AtomicU32,
    /// `resets.unseen`, to be read without the lock.
    unseen: AtomicUsize,
    resets: Mutex<Resets>,
    /// The peer has seen every reset.
    all_seen: Notify,
}

/// Streams that were reset because their calls were given up.
#[derive(Debug, Default)]
struct Resets {
    /// How many of them the peer may not have seen, as streams that were taken back before it took
    /// them.
    unseen: usize,
    /// The last of these.
    last: u32,
    /// All of them.
    total: usize,
}

/// A connection on which no further stream is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// It is over, or given up.
    Over,
    /// As many calls as may wait for a stream already.
    Crowded,
}

impl Activity {
    pub(crate) fn new(header_lists: HeaderLists) -> Self {
        Self { header_lists, ..Self::default() }
    }

    /// Waits until the peer takes another stream. At most `waiting_max` calls wait. A caller who
    /// holds many streams leaves some of those that the peer takes to others.
    pub(crate) async fn turn(
        self: &Arc<Self>,
        sender: &SendRequest<Bytes>,
        waiting_max: usize,
        progress: &Progress,
    ) -> Result<Turn, NoTurn> {
        if self.waiting.load(Ordering::Acquire) == 0
            && let Some(turn) = self.try_turn(sender, progress)
        {
            return Ok(turn);
        }
        let waiting = Waiting::begin(&self.waiting);
        if waiting.others >= waiting_max {
            return Err(NoTurn::Crowded);
        }
        loop {
            let freed = self.freed.notified();
            if self.is_over.load(Ordering::Acquire) || self.is_retired() || is_closing(sender) {
                return Err(NoTurn::Over);
            }
            if let Some(turn) = self.try_turn(sender, progress) {
                // The peer may have allowed more than one stream more.
                self.freed.notify_one();
                return Ok(turn);
            }
            let _ = timeout(TURN_CHECK_INTERVAL, freed).await;
        }
    }

    fn try_turn(
        self: &Arc<Self>,
        sender: &SendRequest<Bytes>,
        progress: &Progress,
    ) -> Option<Turn> {
        let max = sender.current_max_send_streams();
        let max = max - progress.left_to_others(max);
        let add = |streams| (streams < max).then_some(streams + 1);
        self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        self.uses.fetch_add(1, Ordering::AcqRel);
        Some(Turn { activity: Arc::clone(self) })
    }

    /// The connection is over: callers that wait for a stream get none.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.freed.notify_waiters();
        self.all_seen.notify_waiters();
    }

    /// Whether no further call should use the connection.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Whether no stream is open and none began since `uses` was read.
    pub(crate) fn is_idle_since(&self, uses: u64) -> bool {
        self.is_idle() && self.uses() == uses
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.streams.load(Ordering::Acquire) == 0
    }

    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Acquire)
    }

    /// The peer has begun to answer on `stream`, so it has taken that one and every one before it.
    pub(crate) fn on_answer(&self, stream: u32) {
        self.taken.fetch_max(stream, Ordering::Relaxed);
        if self.unseen.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut resets = lock(&self.resets);
        if stream > resets.last {
            resets.unseen = 0;
            self.unseen.store(0, Ordering::Release);
            drop(resets);
            self.all_seen.notify_waiters();
        }
    }

    /// A stream of which the answer has begun is reset.
    pub(crate) fn on_reset(&self) {
        self.count_reset(&mut lock(&self.resets));
    }

    /// Gives up a stream of which no answer has begun. It is reset at once, or when that costs
    /// others nothing.
    pub(crate) fn give_up(self: &Arc<Self>, response: ResponseFuture, turn: Turn) {
        let stream = response.stream_id().as_u32();
        let mut resets = lock(&self.resets);
        self.count_reset(&mut resets);
        let is_taken = stream <= self.taken.load(Ordering::Relaxed);
        if is_taken || self.may_reset(&mut resets, stream) {
            return;
        }
        drop(resets);
        // Without a runtime nobody drives the connection either.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(Arc::clone(self).reset_later(response, stream, turn));
        }
    }

    fn count_reset(&self, resets: &mut Resets) {
        resets.total += 1;
        if resets.total >= RESETS_PER_CONNECTION / 2 {
            self.retire();
        }
    }

    /// Notes that `stream` is reset, if the peer is not overtaxed by that.
    fn may_reset(&self, resets: &mut Resets, stream: u32) -> bool {
        if resets.unseen >= RESETS_UNSEEN_MAX {
            self.retire();
            return false;
        }
        resets.unseen += 1;
        resets.last = resets.last.max(stream);
        self.unseen.store(resets.unseen, Ordering::Release);
        true
    }

    fn retire(&self) {
        if !self.is_retired.swap(true, Ordering::AcqRel) {
            tracing::debug!(
                "many calls were given up on a peer connection, further ones use another"
            );
            self.freed.notify_waiters();
        }
    }

    /// Holds a stream that nobody waits for until it can be reset: dropping the response does that.
    async fn reset_later(self: Arc<Self>, mut response: ResponseFuture, stream: u32, turn: Turn) {
        let seen = async {
            loop {
                let all_seen = self.all_seen.notified();
                if self.is_over.load(Ordering::Acquire)
                    || self.may_reset(&mut lock(&self.resets), stream)
                {
                    return;
                }
                all_seen.await;
            }
        };
        tokio::select! {
            () = seen => {}
            answer = &mut response => if answer.is_ok() {
                self.on_answer(stream);
            },
            () = sleep(RESET_DELAY_MAX) => {}
        }
        drop((response, turn));
    }
}

/// Whether the connection takes no further streams, for example because the peer said GOAWAY.
fn is_closing(sender: &SendRequest<Bytes>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    matches!(sender.clone().poll_ready(&mut context), std::task::Poll::Ready(Err(_)))
}

/// Counts a call that waits.
struct Waiting<'a> {
    waiting: &'a AtomicUsize,
    others: usize,
}

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, others: waiting.fetch_add(1, Ordering::AcqRel) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One stream on a connection.
#[derive(Debug)]
pub(crate) struct Turn {
    activity: Arc<Activity>,
}

impl Turn {
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.activity.streams.fetch_sub(1, Ordering::AcqRel);
        if self.activity.waiting.load(Ordering::Acquire) > 0 {
            self.activity.freed.notify_one();
        }
    }
}

/// A call in flight: its stream, and its place among those that may be in flight to the peer.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    pub(crate) turn: Turn,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// No foreign code runs under the lock, so a poisoned one guards whole data.
fn lock(resets: &Mutex<Resets>) -> MutexGuard<'_, Resets> {
    resets.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity() -> Arc<Activity> {
        Arc::default()
    }

    fn turn(activity: &Arc<Activity>) -> Turn {
        activity.streams.fetch_add(1, Ordering::AcqRel);
        activity.uses.fetch_add(1, Ordering::AcqRel);
        Turn { activity: Arc::clone(activity) }
    }

    #[test]
    fn a_connection_is_idle_when_no_stream_is_open_and_none_began() {
        let activity = activity();
        let first = turn(&activity);
        let uses = activity.uses();
        assert!(!activity.is_idle_since(uses), "a stream is open");
        drop(first);
        assert!(activity.is_idle_since(uses));
        drop(turn(&activity));
        assert!(!activity.is_idle_since(uses), "a stream came and went");
    }

    #[test]
    fn resets_are_seen_when_a_later_stream_is_answered() {
        let activity = activity();
        let may_reset = |stream| activity.may_reset(&mut lock(&activity.resets), stream);
        for stream in 0..RESETS_UNSEEN_MAX as u32 {
            assert!(may_reset(2 * stream + 1));
        }
        assert!(!activity.is_retired());
        let last = 2 * RESETS_UNSEEN_MAX as u32 - 1;
        assert!(!may_reset(last + 2), "the peer may have seen none of them");
        assert!(activity.is_retired(), "further calls would add to them");
        activity.on_answer(last - 2);
        assert!(!may_reset(last + 2), "the last may not have been seen");
        activity.on_answer(last + 2);
        assert!(may_reset(last + 4));
    }

    #[test]
    fn a_connection_on_which_many_calls_were_given_up_is_retired() {
        let activity = activity();
        for _ in 1..RESETS_PER_CONNECTION / 2 {
            activity.on_reset();
        }
        assert!(!activity.is_retired());
        activity.on_reset();
        assert!(activity.is_retired());
    }
}
