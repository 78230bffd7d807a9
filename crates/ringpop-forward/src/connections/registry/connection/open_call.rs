//! Calls that are not over, with what they hold of their server.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use tokio::time::Instant;

use super::{Connection, lock};
use crate::server::drain::Ticket;

/// A call that is not over.
#[derive(Debug)]
pub(crate) struct OpenCall {
    pub(crate) connection: Arc<Connection>,
    /// When anything of its answer passed last.
    answered: AtomicU64,
    /// When anything of its request was read last.
    read: AtomicU64,
    /// Bytes of its request that were read.
    read_bytes: AtomicUsize,
    /// Bytes of a message that were read and of which the rest is still to come.
    unfinished: AtomicUsize,
    /// Its request has a body that is not read to its end.
    has_unread_request: AtomicBool,
    /// It was given up because its request is not read.
    is_shed: AtomicBool,
    /// The task that serves the call, when it waits.
    task: Mutex<Option<Waker>>,
    /// Whether it is among the calls in flight: one of `NO_PLACE`, `HAS_PLACE` and `LEAVES`.
    place: AtomicU8,
}

const NO_PLACE: u8 = 0;
const HAS_PLACE: u8 = 1;
/// It was given up and is told so; its place may be taken already.
const LEAVES: u8 = 2;

impl OpenCall {
    pub(crate) fn begin(connection: Arc<Connection>) -> Arc<Self> {
        connection.open.fetch_add(1, Ordering::Relaxed);
        connection.open_of_address.fetch_add(1, Ordering::Relaxed);
        connection.touch();
        let read = AtomicU64::new(connection.all.millis());
        Arc::new(Self {
            connection,
            answered: AtomicU64::new(0),
            read,
            read_bytes: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            has_unread_request: AtomicBool::new(false),
            is_shed: AtomicBool::new(false),
            task: Mutex::default(),
            place: AtomicU8::new(NO_PLACE),
        })
    }

    pub(crate) fn touch(&self) {
        self.connection.touch();
        self.answered.store(self.connection.all.millis(), Ordering::Relaxed);
    }

    /// When anything of its answer passed last.
    pub(crate) fn answered(&self) -> Instant {
        self.connection.all.instant(self.answered.load(Ordering::Relaxed))
    }

    /// Takes note that the request has a body.
    pub(crate) fn begin_request(self: &Arc<Self>) {
        self.has_unread_request.store(true, Ordering::Relaxed);
        self.connection.add_call(self);
    }

    /// Takes note that so many bytes of the request were read.
    pub(crate) fn read_request(&self, bytes: usize) {
        self.read.store(self.connection.all.millis(), Ordering::Relaxed);
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.connection.release_request(bytes);
    }

    /// Takes note of so many bytes that somebody holds of a message that is not whole.
    pub(crate) fn hold_unfinished(&self, bytes: usize) {
        match self.unfinished.swap(bytes, Ordering::Relaxed) {
            before if before == bytes => {}
            before => self.connection.replace_request(before, bytes),
        }
    }

    /// Takes note that the request was read to its end.
    pub(crate) fn end_request(&self) {
        self.has_unread_request.store(false, Ordering::Relaxed);
    }

    pub(crate) fn has_unread_request(&self) -> bool {
        self.has_unread_request.load(Ordering::Relaxed) && !self.is_shed()
    }

    /// When anything of its request was read last.
    pub(crate) fn read(&self) -> Instant {
        self.connection.all.instant(self.read.load(Ordering::Relaxed))
    }

    /// Gives the call up, whatever it waits for.
    pub(crate) fn shed(&self) {
        self.is_shed.store(true, Ordering::Release);
        self.begin_to_leave();
        if let Some(task) = lock(&self.task).take() {
            task.wake();
        }
    }

    pub(crate) fn is_shed(&self) -> bool {
        self.is_shed.load(Ordering::Acquire)
    }

    /// Leaves the task that is woken when the call is given up. Gives whether it has been
    /// meanwhile.
    pub(crate) fn wait(&self, waker: &Waker) -> bool {
        let mut task = lock(&self.task);
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
        drop(task);
        self.is_shed()
    }

    /// Whether giving the call up makes room among the calls in flight.
    pub(crate) fn has_place(&self) -> bool {
        self.place.load(Ordering::Acquire) == HAS_PLACE
    }

    /// The call is given up: its place may be taken before it has left.
    pub(crate) fn begin_to_leave(&self) {
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
        // Before the call stops to count as leaving, or others would find it inside and not about
        // to leave.
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
        self.connection.forget_read(*self.read_bytes.get_mut());
        self.connection.open.fetch_sub(1, Ordering::Relaxed);
        self.connection.open_of_address.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::connections::ServerLimits;
    use crate::connections::registry::Connections;
    use crate::server::drain::{Gate, Refusal};

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
