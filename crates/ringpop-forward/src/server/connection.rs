//! One connection, as far as its server has to know it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use http::Extensions;
use tokio::time::Instant;

use super::connections::Connections;
use super::waiting::Waiting;
use crate::constants::{FEW_PART, FREED_UNREAD_MAX, RESERVE_PART, SEND_BUFFER_PER_CONNECTION};
use crate::drain::Ticket;

/// Puts what a server usually knows of a connection into the extensions of its requests.
pub(crate) type Restore = Box<dyn Fn(&mut Extensions) + Send + Sync>;

/// A connection with its calls.
pub(crate) struct Connection {
    pub(crate) all: Arc<Connections>,
    pub(super) id: u64,
    pub(super) address: IpAddr,
    restore: Restore,
    /// Calls that are not over.
    pub(super) open: AtomicUsize,
    /// Those of all connections of the address.
    pub(super) open_of_address: Arc<AtomicUsize>,
    /// Those of them that have handed out a piece of their answer and wait to be asked for the next one.
    pub(super) unread: AtomicUsize,
    /// Answers that were freed because they were not read, and whose end has not been read either.
    pub(super) freed_unread: AtomicUsize,
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
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Connection");
        debug.field("address", &self.address).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(
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
        }
    }

    pub(super) fn restore(&self, extensions: &mut Extensions) {
        (self.restore)(extensions);
    }

    /// Takes note that a request or a piece of an answer passes.
    pub(super) fn touch(&self) {
        self.progress.store(self.all.millis(), Ordering::Relaxed);
    }

    /// Milliseconds since a request or a piece of an answer passed.
    pub(super) fn idle_millis(&self) -> u64 {
        self.all.millis().saturating_sub(self.progress.load(Ordering::Relaxed))
    }

    /// Milliseconds for which the socket has taken nothing although there is something to write.
    pub(super) fn blocked_millis(&self) -> u64 {
        match self.write_blocked.load(Ordering::Relaxed) {
            0 => 0,
            since => self.all.millis().saturating_sub(since),
        }
    }

    pub(super) fn write_is_blocked(&self) {
        if self.write_blocked.load(Ordering::Relaxed) == 0 {
            self.write_blocked.store(self.all.millis(), Ordering::Relaxed);
        }
    }

    pub(super) fn has_written(&self) {
        self.write_blocked.store(0, Ordering::Relaxed);
    }

    /// How many places beyond `limit` a call of this connection may take, because its caller holds few: a caller that takes
    /// all there are keeps no other one out.
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

    /// Whether nobody reads what is answered on it.
    pub(super) fn is_unread(&self) -> bool {
        self.freed_unread.load(Ordering::Relaxed) >= FREED_UNREAD_MAX
    }

    pub(super) fn in_transport(&self) -> usize {
        self.in_transport.load(Ordering::Relaxed)
    }

    /// Whether the transport holds as much of this connection as it may. Then `waker` is told when it has room.
    pub(super) fn is_full(&self, waker: &Waker) -> bool {
        if self.in_transport() < SEND_BUFFER_PER_CONNECTION {
            return false;
        }
        lock(&self.held_back).push(waker.clone());
        // A write before the waker was left woke nobody.
        self.in_transport() >= SEND_BUFFER_PER_CONNECTION
    }

    pub(super) fn take_into_transport(&self, bytes: usize) {
        self.in_transport.fetch_add(bytes, Ordering::Relaxed);
        self.all.in_transport.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn leave_transport(&self, bytes: usize) {
        self.all.in_transport.fetch_sub(bytes, Ordering::Relaxed);
        let before = self.in_transport.fetch_sub(bytes, Ordering::AcqRel);
        let is_full = |held: usize| held >= SEND_BUFFER_PER_CONNECTION;
        if is_full(before) && !is_full(before - bytes) {
            std::mem::take(&mut *lock(&self.held_back)).into_iter().for_each(Waker::wake);
        }
    }

    /// Ends the connection: its next read or write fails.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        if let Some(task) = lock(&self.task).take() {
            task.wake();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Leaves who is to be woken when the connection is ended. Gives whether it has been meanwhile.
    pub(super) fn wait(&self, waker: &Waker) -> bool {
        let mut task = lock(&self.task);
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
        drop(task);
        self.has_ended()
    }

    pub(super) fn register(self: &Arc<Self>, waiting: Arc<Waiting>) -> Registration {
        let id = self.all.next_id();
        lock(&self.waiting).insert(id, waiting);
        self.all.registered.fetch_add(1, Ordering::Relaxed);
        Registration { id, connection: Arc::clone(self) }
    }

    /// Every call that waits for its caller, or may.
    pub(super) fn waiting(&self) -> Vec<Arc<Waiting>> {
        lock(&self.waiting).values().map(Arc::clone).collect()
    }
}

/// The place of a call among those that wait for their caller; left when this is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    id: u64,
    connection: Arc<Connection>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let removed = lock(&self.connection.waiting).remove(&self.id);
        // Dropped outside of the lock: with an answer may go the request of its call, which waits in the same list.
        if removed.is_some() {
            self.connection.all.registered.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A call that is not over.
#[derive(Debug)]
pub(crate) struct OpenCall {
    pub(crate) connection: Arc<Connection>,
    /// When anything of its answer passed last.
    answered: AtomicU64,
    /// Whether it is among the calls in flight: one of `NO_PLACE`, `HAS_PLACE` and `LEAVES`.
    place: AtomicU8,
}

const NO_PLACE: u8 = 0;
const HAS_PLACE: u8 = 1;
/// It was given up and is told so; its place may be taken already.
const LEAVES: u8 = 2;

impl OpenCall {
    pub(super) fn begin(connection: Arc<Connection>) -> Arc<Self> {
        connection.open.fetch_add(1, Ordering::Relaxed);
        connection.open_of_address.fetch_add(1, Ordering::Relaxed);
        connection.touch();
        Arc::new(Self { connection, answered: AtomicU64::new(0), place: AtomicU8::new(NO_PLACE) })
    }

    pub(super) fn touch(&self) {
        self.connection.touch();
        self.answered.store(self.connection.all.millis(), Ordering::Relaxed);
    }

    /// When anything of its answer passed last.
    pub(super) fn answered(&self) -> Instant {
        self.connection.all.instant(self.answered.load(Ordering::Relaxed))
    }

    /// Whether giving the call up makes room among the calls in flight.
    pub(super) fn has_place(&self) -> bool {
        self.place.load(Ordering::Acquire) == HAS_PLACE
    }

    /// The call is given up: its place may be taken before it has left.
    pub(super) fn begin_to_leave(&self) {
        let leaving = &self.connection.all.leaving;
        // Counted first, because it may leave at any moment.
        leaving.fetch_add(1, Ordering::AcqRel);
        if !self.change_place(HAS_PLACE, LEAVES) {
            leaving.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn change_place(&self, from: u8, to: u8) -> bool {
        self.place.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The place of a call among those in flight; left when this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    ticket: Option<Ticket>,
    /// `None` on connections that this crate has not accepted.
    call: Option<Arc<OpenCall>>,
}

impl InFlight {
    pub(crate) fn new(ticket: Ticket, call: Option<Arc<OpenCall>>) -> Self {
        let call = call.filter(|call| call.change_place(NO_PLACE, HAS_PLACE));
        Self { ticket: Some(ticket), call }
    }

    pub(crate) fn call(&self) -> Option<&Arc<OpenCall>> {
        self.call.as_ref()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Before the call stops to count as leaving, or others would find it inside and not about to leave.
        self.ticket = None;
        if let Some(call) = &self.call
            && call.place.swap(NO_PLACE, Ordering::AcqRel) == LEAVES
        {
            call.connection.all.leaving.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.connection.open.fetch_sub(1, Ordering::Relaxed);
        self.connection.open_of_address.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the lock guards is whole at any time.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request of an accepted connection carries in its extensions, so that its server recognizes the connection.
#[derive(Clone, Debug)]
pub struct ConnectionHandle {
    pub(super) connection: Arc<Connection>,
    /// Set for each request when it arrives. A handler may keep the extensions of a request longer than the call lasts.
    pub(super) call: Weak<OpenCall>,
}

impl ConnectionHandle {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, call: Weak::new() }
    }

    /// The call of this request.
    pub(crate) fn call(&self) -> Option<Arc<OpenCall>> {
        self.call.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::drain::{Gate, Refusal};
    use crate::server::ServerLimits;

    fn begin(all: &Arc<Connections>) -> Arc<OpenCall> {
        OpenCall::begin(connect(all, &Arc::default()))
    }

    fn connect(all: &Arc<Connections>, open_of_address: &Arc<AtomicUsize>) -> Arc<Connection> {
        let address = Ipv4Addr::LOCALHOST.into();
        let (all, open_of_address) = (Arc::clone(all), Arc::clone(open_of_address));
        let id = all.next_id();
        Arc::new(Connection::new(all, id, address, open_of_address, Box::new(|_| {})))
    }

    #[test]
    fn those_who_hold_few_places_get_some_of_the_reserve() {
        let all = Connections::new(ServerLimits::default());
        let (here, there) = (Arc::default(), Arc::default());
        let (greedy, modest) = (connect(&all, &here), connect(&all, &here));
        let begin = |connection: &Arc<Connection>| OpenCall::begin(Arc::clone(connection));
        let many: Vec<_> = (0..100).map(|_| begin(&greedy)).collect();
        let one = begin(&modest);
        assert_eq!(greedy.reserve(640), 0);
        assert_eq!(modest.reserve(640), 40, "its address holds many");
        assert_eq!(connect(&all, &there).reserve(640), 80);
        assert_eq!(connect(&all, &there).reserve(7), 0, "there is none");
        drop((many, one));
        assert_eq!(greedy.reserve(640), 80);
        assert_eq!(here.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_place_of_a_call_that_was_given_up_is_free_before_it_has_left() {
        let all = Connections::new(ServerLimits::default());
        let gate = Arc::new(Gate::default());
        let enter = || gate.enter(1 + all.leaving());
        let call = begin(&all);
        let first = InFlight::new(enter().unwrap(), Some(Arc::clone(&call)));
        assert_eq!(enter().unwrap_err(), Refusal::Overloaded);
        call.begin_to_leave();
        // Given up once more, while its answer is not read: still one place.
        call.begin_to_leave();
        let second = enter().unwrap();
        assert_eq!(enter().unwrap_err(), Refusal::Overloaded);
        drop(first);
        assert_eq!(all.leaving(), 0);
        assert_eq!(enter().unwrap_err(), Refusal::Overloaded, "the second one is inside");
        drop(second);
        assert!(enter().is_ok());
    }

    #[test]
    fn a_call_that_is_not_in_flight_makes_no_room() {
        let all = Connections::new(ServerLimits::default());
        let call = begin(&all);
        call.begin_to_leave();
        assert!(!call.has_place());
        assert_eq!(all.leaving(), 0);
    }
}
