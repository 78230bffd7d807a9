//! One connection, as far as its server has to know it.

pub(crate) mod content;
pub(crate) mod open_call;
pub(crate) mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use http::Extensions;

use self::open_call::OpenCall;
use self::waiting::Waiting;
use super::Connections;
use crate::limits::{
    FEW_PART, FREED_UNREAD_MAX, RESERVE_PART, SEND_BUFFER_PER_CONNECTION, STREAM_WINDOW_BYTES,
};

/// Puts what a server usually knows of a connection into the extensions of its requests.
pub(crate) type Restore = Box<dyn Fn(&mut Extensions) + Send + Sync>;

/// A connection with its calls.
pub(crate) struct Connection {
    pub(crate) all: Arc<Connections>,
    pub(crate) id: u64,
    pub(crate) address: IpAddr,
    restore: Restore,
    /// Calls that are not over.
    pub(crate) open: AtomicUsize,
    /// Those of all connections of the address.
    pub(crate) open_of_address: Arc<AtomicUsize>,
    /// Those of them that have handed out a piece of their answer and wait to be asked for the next
    /// one.
    pub(crate) unread: AtomicUsize,
    /// Answers that were freed because they were not read, and whose end has not been read either.
    pub(crate) freed_unread: AtomicUsize,
    /// When a request or a piece of an answer passed last.
    progress: AtomicU64,
    /// Bytes of answers that were handed out and are not written yet.
    in_transport: AtomicUsize,
    /// Since when the socket takes nothing; zero while it does.
    write_blocked: AtomicU64,
    ended: AtomicBool,
    /// The task of the connection, when it waits.
    task: Mutex<Option<Waker>>,
    /// Answers that wait for the transport to have room.
    held_back: Mutex<Vec<Waker>>,
    /// Calls that wait for their caller now and then.
    waiting: Mutex<BTreeMap<u64, Arc<Waiting>>>,
    /// Bytes of requests that have come in and were not read. They are not known before a call has
    /// shown that its request is read through this crate.
    unread_requests: AtomicI64,
    counts_requests: AtomicBool,
    /// Calls with requests, and some that are over.
    calls: Mutex<Vec<Weak<OpenCall>>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Connection");
        debug.field("address", &self.address).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn new(
        all: Arc<Connections>,
        id: u64,
        address: IpAddr,
        open_of_address: Arc<AtomicUsize>,
        restore: Restore,
    ) -> Self {
        let progress = AtomicU64::new(all.millis());
        Self {
            all,
            id,
            address,
            restore,
            open: AtomicUsize::new(0),
            open_of_address,
            unread: AtomicUsize::new(0),
            freed_unread: AtomicUsize::new(0),
            progress,
            in_transport: AtomicUsize::new(0),
            write_blocked: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            task: Mutex::default(),
            held_back: Mutex::default(),
            waiting: Mutex::default(),
            unread_requests: AtomicI64::new(0),
            counts_requests: AtomicBool::new(false),
            calls: Mutex::default(),
        }
    }

    pub(crate) fn restore(&self, extensions: &mut Extensions) {
        (self.restore)(extensions);
    }

    /// Takes note that a request or a piece of an answer passes.
    pub(crate) fn touch(&self) {
        self.progress.store(self.all.millis(), Ordering::Relaxed);
    }

    /// Milliseconds since a request or a piece of an answer passed.
    pub(crate) fn idle_millis(&self) -> u64 {
        self.all.millis().saturating_sub(self.progress.load(Ordering::Relaxed))
    }

    /// Milliseconds for which the socket has taken nothing although there is something to write.
    pub(crate) fn blocked_millis(&self) -> u64 {
        match self.write_blocked.load(Ordering::Relaxed) {
            0 => 0,
            since => self.all.millis().saturating_sub(since),
        }
    }

    pub(crate) fn write_is_blocked(&self) {
        if self.write_blocked.load(Ordering::Relaxed) == 0 {
            self.write_blocked.store(self.all.millis(), Ordering::Relaxed);
        }
    }

    pub(crate) fn has_written(&self) {
        self.write_blocked.store(0, Ordering::Relaxed);
    }

    /// How many places beyond `limit` a call of this connection may take, because its caller holds
    /// few: a caller that takes all there are keeps no other one out.
    pub(crate) fn reserve(&self, limit: usize) -> usize {
        let holds_few = |open: &AtomicUsize| open.load(Ordering::Relaxed) <= limit / FEW_PART + 1;
        if holds_few(&self.open_of_address) {
            limit / RESERVE_PART
        } else if holds_few(&self.open) {
            limit / RESERVE_PART / 2
        } else {
            0
        }
    }

    /// Whether nobody reads its answers.
    pub(crate) fn is_unread(&self) -> bool {
        self.freed_unread.load(Ordering::Relaxed) >= FREED_UNREAD_MAX
    }

    pub(crate) fn in_transport(&self) -> usize {
        self.in_transport.load(Ordering::Relaxed)
    }

    /// Whether the transport holds as much of this connection as it may. Then `waker` is told when
    /// it has room.
    pub(crate) fn is_full(&self, waker: &Waker) -> bool {
        if self.in_transport() < SEND_BUFFER_PER_CONNECTION {
            return false;
        }
        lock(&self.held_back).push(waker.clone());
        // A write before the waker was left woke nobody.
        self.in_transport() >= SEND_BUFFER_PER_CONNECTION
    }

    pub(crate) fn take_into_transport(&self, bytes: usize) {
        self.in_transport.fetch_add(bytes, Ordering::Relaxed);
        self.all.in_transport.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn leave_transport(&self, bytes: usize) {
        self.all.in_transport.fetch_sub(bytes, Ordering::Relaxed);
        let before = self.in_transport.fetch_sub(bytes, Ordering::AcqRel);
        let is_full = |held: usize| held >= SEND_BUFFER_PER_CONNECTION;
        if is_full(before) && !is_full(before - bytes) {
            std::mem::take(&mut *lock(&self.held_back)).into_iter().for_each(Waker::wake);
        }
    }

    /// Bytes of requests that have come in on this connection and were not read by their handlers.
    pub(crate) fn unread_requests(&self) -> usize {
        usize::try_from(self.unread_requests.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Takes note of so many bytes of a request that came in. Gives how many of them count.
    pub(crate) fn hold_request(&self, bytes: usize) -> usize {
        if !self.counts_requests.load(Ordering::Relaxed) {
            return 0;
        }
        self.change_unread_requests(signed(bytes));
        self.all.sweep_if_unread();
        bytes
    }

    /// Takes note of so many bytes of requests that were read, or whose streams are closed.
    pub(crate) fn release_request(&self, bytes: usize) {
        self.change_unread_requests(-signed(bytes));
    }

    /// Takes note that a request holds so many bytes in the place of those before.
    pub(crate) fn replace_request(&self, before: usize, after: usize) {
        self.change_unread_requests(signed(after) - signed(before));
        self.all.sweep_if_unread();
    }

    /// Takes back that so many bytes were read, because the stream that they came on is closed.
    pub(crate) fn forget_read(&self, bytes: usize) {
        self.change_unread_requests(signed(bytes));
    }

    fn change_unread_requests(&self, bytes: i64) {
        self.unread_requests.fetch_add(bytes, Ordering::Relaxed);
        self.all.unread_requests.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether nothing more is to be read from it for a moment: there are far too many bytes of
    /// unread requests, and it holds more of them than one ordinary request may.
    pub(crate) fn has_too_much_unread(&self) -> bool {
        self.unread_requests() > STREAM_WINDOW_BYTES as usize && self.all.has_far_too_much_unread()
    }

    /// Takes note of a call whose request has a body.
    pub(crate) fn add_call(&self, call: &Arc<OpenCall>) {
        self.counts_requests.store(true, Ordering::Relaxed);
        let mut calls = lock(&self.calls);
        // Each look at all of them is paid for by as many calls that were added.
        if calls.len() > 2 * self.open.load(Ordering::Relaxed) + CALLS_FORGOTTEN_MIN {
            calls.retain(|call| call.strong_count() > 0);
        }
        calls.push(Arc::downgrade(call));
    }

    /// Calls whose request is not read to its end.
    pub(crate) fn calls_with_unread_request(&self) -> Vec<Arc<OpenCall>> {
        let calls = lock(&self.calls);
        let calls: Vec<_> = calls.iter().filter_map(Weak::upgrade).collect();
        calls.into_iter().filter(|call| call.has_unread_request()).collect()
    }

    /// Ends the connection: its next read or write fails.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        if let Some(task) = lock(&self.task).take() {
            task.wake();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Leaves who is to be woken when the connection is ended. Gives whether it has been meanwhile.
    pub(crate) fn wait(&self, waker: &Waker) -> bool {
        let mut task = lock(&self.task);
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
        drop(task);
        self.has_ended()
    }

    pub(crate) fn register(self: &Arc<Self>, waiting: Arc<Waiting>) -> Registration {
        let id = self.all.next_id();
        lock(&self.waiting).insert(id, waiting);
        self.all.registered.fetch_add(1, Ordering::Relaxed);
        Registration { id, connection: Arc::clone(self) }
    }

    /// Every call that waits for its caller, or may.
    pub(crate) fn waiting(&self) -> Vec<Arc<Waiting>> {
        lock(&self.waiting).values().map(Arc::clone).collect()
    }
}

/// The place of a call among those that wait for their caller; left when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    id: u64,
    connection: Arc<Connection>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let removed = lock(&self.connection.waiting).remove(&self.id);
        // Dropped outside of the lock: with an answer may go the request of its call, which waits
        // in the same list.
        if removed.is_some() {
            self.connection.all.registered.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The list of a connection's calls is not cleaned up for fewer.
const CALLS_FORGOTTEN_MIN: usize = 32;

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What the lock guards is whole at any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request of an accepted connection carries in its extensions, so its server
/// recognizes the connection.
#[derive(Clone, Debug)]
pub struct ConnectionHandle {
    pub(crate) connection: Arc<Connection>,
    /// Set for each request when it arrives. A handler may keep the extensions of a request longer
    /// than the call lasts.
    pub(crate) call: Weak<OpenCall>,
}

impl ConnectionHandle {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, call: Weak::new() }
    }

    /// The call of this request.
    pub(crate) fn call(&self) -> Option<Arc<OpenCall>> {
        self.call.upgrade()
    }
}
