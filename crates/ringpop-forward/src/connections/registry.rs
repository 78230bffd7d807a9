//! All connections of a server, and the shedding of calls when they hold too much.

pub(super) mod connection;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use self::connection::waiting::{For, Idle, Shed};
use self::connection::{Connection, Restore, lock};
use super::limits::ServerLimits;
use crate::limits::{ACCEPT_LOG_INTERVAL, SHED_BATCH, SWEEP_INTERVAL_MIN, UNREAD_GRACE};
use crate::log_limit::LogLimit;
use crate::stats::counters;

/// The connections of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(super) limits: ServerLimits,
    begun: Instant,
    next_id: AtomicU64,
    by_address: Mutex<HashMap<IpAddr, Vec<Arc<Connection>>>>,
    /// Calls that may have to wait for their caller.
    pub(super) registered: AtomicUsize,
    /// Bytes of answers that were handed to HTTP/2 and are not written yet.
    pub(super) in_transport: AtomicUsize,
    /// Bytes of answers that wait to be read, or more: as they were counted last, and all that came
    /// since.
    held: AtomicUsize,
    /// Bytes of requests that have come in and were not read.
    pub(super) unread_requests: AtomicI64,
    /// Calls in flight that were given up, and have not left yet.
    pub(super) leaving: AtomicUsize,
    /// When waiting calls were looked at last.
    swept: AtomicU64,
    counters: Counters,
    log: Mutex<LogLimit>,
}

counters! {
    /// What a server took back from its callers.
    pub struct ServerStats;
    counted in Counters {
        /// Connections that were refused because their address has as many as it may, all of them
        /// with calls.
        connections_refused,
        /// Connections that were closed: in favour of a newer one of the same address, or because
        /// nobody reads them.
        connections_closed,
        /// Connections that were ended because they carried control frames and little else.
        floods_ended,
        /// How often a connection was not read for a while, because more of its streams were reset
        /// than responses paid for.
        resets_delayed,
        /// Calls that were given up before anything of their request had come.
        half_open_shed,
        /// Calls that were given up because their request did not go on, or was not read by its
        /// handler.
        uploads_shed,
        /// Answers that were given up because they were not read.
        answers_shed,
        /// Requests that were refused because of the size of their header list.
        header_lists_refused,
        /// Calls that were refused because nobody reads the answers on their connection.
        unread_refused,
    }
    read from elsewhere {
        /// Gauge: calls that wait for their caller now and then.
        waiting_calls,
        /// Gauge: bytes of answers that wait to be written.
        unwritten_bytes,
        /// Gauge: bytes of requests that have come in and were not read by their handlers.
        unread_request_bytes,
    }
}

impl ServerStats {
    /// The names of those figures that may fall.
    #[cfg(feature = "metrics")]
    pub(crate) const GAUGES: [&str; 3] =
        ["waiting_calls", "unwritten_bytes", "unread_request_bytes"];
}

impl Connections {
    pub(crate) fn new(limits: ServerLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            begun: Instant::now(),
            next_id: AtomicU64::new(0),
            by_address: Mutex::default(),
            registered: AtomicUsize::new(0),
            in_transport: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            unread_requests: AtomicI64::new(0),
            leaving: AtomicUsize::new(0),
            swept: AtomicU64::new(0),
            counters: Counters::default(),
            log: Mutex::new(LogLimit::new(ACCEPT_LOG_INTERVAL)),
        })
    }

    pub(crate) fn stats(&self) -> ServerStats {
        ServerStats {
            waiting_calls: self.registered.load(Ordering::Relaxed) as u64,
            unwritten_bytes: self.in_transport.load(Ordering::Relaxed) as u64,
            unread_request_bytes: self.unread_requests() as u64,
            ..self.counters.snapshot()
        }
    }

    /// Milliseconds since the beginning; never zero, which stands for never.
    pub(super) fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    pub(super) fn instant(&self, millis: u64) -> Instant {
        self.begun + Duration::from_millis(millis)
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a new connection in, in the place of an idle one if its address has as many as it may.
    /// `None` when all of them have calls.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        restore: Restore,
    ) -> Option<Arc<Connection>> {
        let mut by_address = lock(&self.by_address);
        let ours = by_address.entry(address).or_default();
        if ours.len() >= self.limits.connections_per_address {
            let idle = (0..ours.len()).filter(|&i| ours[i].open.load(Ordering::Relaxed) == 0);
            let Some(idlest) = idle.max_by_key(|&i| ours[i].idle_millis()) else {
                self.counters.connections_refused.add_one();
                drop(by_address);
                self.warn(address, "has as many connections as it may, all with calls");
                return None;
            };
            self.close(&ours.swap_remove(idlest));
        }
        let open = ours.first().map(|other| Arc::clone(&other.open_of_address)).unwrap_or_default();
        let id = self.next_id();
        let connection = Arc::new(Connection::new(Arc::clone(self), id, address, open, restore));
        ours.push(Arc::clone(&connection));
        Some(connection)
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, connection: &Connection) {
        let mut by_address = lock(&self.by_address);
        if let Some(ours) = by_address.get_mut(&connection.address) {
            ours.retain(|other| other.id != connection.id);
            if ours.is_empty() {
                by_address.remove(&connection.address);
            }
        }
    }

    fn close(&self, connection: &Connection) {
        self.counters.connections_closed.add_one();
        connection.end();
    }

    pub(super) fn count_flood(&self, connection: &Connection) {
        self.counters.floods_ended.add_one();
        self.warn(
            connection.address,
            "sends control frames and little else; its connection was ended",
        );
    }

    pub(super) fn count_resets(&self, connection: &Connection) {
        self.counters.resets_delayed.add_one();
        self.warn(
            connection.address,
            "resets its streams too often; its connection is slowed down",
        );
    }

    /// Bytes of requests that have come in and were not read by their handlers.
    fn unread_requests(&self) -> usize {
        usize::try_from(self.unread_requests.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether so many bytes of requests are not read that connections have to wait.
    pub(super) fn has_far_too_much_unread(&self) -> bool {
        self.unread_requests() > far_beyond(self.limits.request_bytes)
    }

    /// Looks soon for calls to give up when too many bytes of requests are not read.
    pub(super) fn sweep_if_unread(&self) {
        if self.unread_requests() > self.limits.request_bytes {
            self.sweep_soon();
        }
    }

    pub(super) fn count_shed(&self, shed: Shed) {
        let (Shed::TimedOut(waited_for) | Shed::Overloaded(waited_for)) = shed;
        match waited_for {
            For::Begin => self.counters.half_open_shed.add_one(),
            For::Upload | For::Handler => self.counters.uploads_shed.add_one(),
            For::Read => self.counters.answers_shed.add_one(),
        }
    }

    pub(super) fn count_unread_refused(&self) {
        self.counters.unread_refused.add_one();
    }

    pub(super) fn count_header_list(&self) {
        self.counters.header_lists_refused.add_one();
    }

    /// A line about a caller, at most one in ten seconds for all of them.
    fn warn(&self, address: IpAddr, what: &str) {
        if let Some(held_back) = lock(&self.log).pass() {
            tracing::warn!(%address, held_back, "a client {what}");
        }
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.by_address).values().flatten().map(Arc::clone).collect()
    }

    /// Calls that wait for their caller at this moment: those first that are shed first.
    fn idle(&self) -> Vec<Idle> {
        let all = self.all();
        let waiting = all.iter().flat_map(|connection| connection.waiting());
        let mut idle: Vec<_> = waiting.filter_map(|waiting| waiting.idle()).collect();
        idle.sort_by_key(|idle| (idle.waits_for, idle.since));
        idle
    }

    /// Gives up some of the calls in flight that wait for their callers, because more than `limit`
    /// are needed: those first whose callers hold many, because the message of an honest call may
    /// be on its way. A call on whose behalf this is done has the `reserve` of its caller, and
    /// takes nothing from callers that hold less.
    pub(crate) fn shed_idlest(&self, limit: usize, reserve: usize) {
        let of_caller = |idle: &Idle| idle.waiting.call.connection.reserve(limit);
        let mut idle = self.idle();
        idle.retain(|idle| idle.waiting.call.has_place() && of_caller(idle) <= reserve);
        idle.sort_by_key(of_caller);
        idle.truncate(SHED_BATCH);
        shed(&idle, Shed::Overloaded);
    }

    /// Calls in flight that were given up and have been told so. They leave in a moment.
    pub(crate) fn leaving(&self) -> usize {
        self.leaving.load(Ordering::Acquire)
    }

    /// Takes note of an answer that waits to be read. The excess is freed at once: answers may come
    /// faster than a timer looks at them.
    pub(super) fn hold(&self, bytes: usize) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held > far_beyond(self.limits.unread_bytes) {
            self.sweep();
        } else {
            self.sweep_soon();
        }
    }

    /// Looks for what waits too long or is too much, unless that was done a moment ago.
    pub(super) fn sweep_soon(&self) {
        let (now, last) = (self.millis(), self.swept.load(Ordering::Relaxed));
        let is_soon = now.saturating_sub(last) < SWEEP_INTERVAL_MIN.as_millis() as u64;
        let claim = self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
        if !is_soon && claim.is_ok() {
            self.sweep();
        }
    }

    /// Looks for what waits too long or is too much.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let (late, mut idle): (Vec<_>, Vec<_>) = self.idle().into_iter().partition(|idle| {
            let limit = match idle.waits_for {
                For::Begin | For::Upload | For::Handler => self.limits.upload_idle_timeout,
                For::Read => self.limits.unread_timeout,
            };
            now.duration_since(idle.since) >= limit
        });
        shed(&late, Shed::TimedOut);
        let half_open = idle.iter().filter(|idle| idle.waits_for == For::Begin).count();
        let beyond = half_open.saturating_sub(self.limits.half_open_calls);
        shed(&idle[..beyond], Shed::Overloaded);
        let uploads: Vec<_> = idle.extract_if(.., |idle| idle.waits_for == For::Upload).collect();
        self.shed_uploads(&uploads, now);
        idle.retain(|idle| idle.waits_for == For::Read);
        self.shed_unread(&idle, now);
        self.close_unread();
    }

    /// Frees unread answers, oldest first, as far as there are too many bytes of them.
    fn shed_unread(&self, unread: &[Idle], now: Instant) {
        let mut bytes: usize = unread.iter().map(|idle| idle.bytes).sum();
        let soft = self.limits.unread_bytes;
        // Once it is far too much, enough is freed to have peace for a while.
        let is_far_beyond = bytes > far_beyond(soft);
        let mut count = 0;
        for idle in unread {
            let has_grace = now.duration_since(idle.since) < UNREAD_GRACE && !is_far_beyond;
            if bytes <= soft || has_grace {
                break;
            }
            bytes -= idle.bytes;
            count += 1;
        }
        shed(&unread[..count], Shed::Overloaded);
        self.held.store(bytes, Ordering::Relaxed);
    }

    /// Gives up calls whose requests take too many bytes: first those of whose message the rest
    /// does not come, then those whose request is not read; of either, the idlest first.
    fn shed_uploads(&self, uploads: &[Idle], now: Instant) {
        let mut bytes = self.unread_requests();
        let limit = self.limits.request_bytes;
        let is_far_beyond = bytes > far_beyond(limit);
        let has_grace = |since: Instant| now.duration_since(since) < UNREAD_GRACE && !is_far_beyond;
        for idle in uploads.iter().filter(|idle| idle.bytes > 0) {
            if bytes <= limit || has_grace(idle.since) {
                break;
            }
            bytes = bytes.saturating_sub(idle.bytes);
            idle.waiting.shed(Shed::Overloaded(For::Upload));
        }
        if bytes > limit {
            self.shed_unread_requests(bytes - limit, has_grace);
        }
    }

    /// Gives up calls whose requests are not read, on the connections first that hold most, as many
    /// as hold `excess` bytes. How much each of them holds is known of all calls of a connection
    /// together.
    fn shed_unread_requests(&self, mut excess: usize, has_grace: impl Fn(Instant) -> bool) {
        let mut connections = self.all();
        connections.sort_by_key(|connection| Reverse(connection.unread_requests()));
        for connection in connections {
            let mut calls = connection.calls_with_unread_request();
            if excess == 0 || calls.is_empty() {
                continue;
            }
            let average = connection.unread_requests().div_ceil(calls.len());
            calls.sort_by_key(|call| call.read());
            for call in calls {
                if excess == 0 || average == 0 || has_grace(call.read()) {
                    break;
                }
                excess = excess.saturating_sub(average);
                call.shed();
                self.count_shed(Shed::Overloaded(For::Handler));
            }
        }
    }

    /// Closes connections on which nobody reads: nothing but unread answers is left on them, or the
    /// socket takes nothing while all of them together hold too much.
    fn close_unread(&self) {
        let timeout = self.limits.unread_timeout.as_millis() as u64;
        let answers = self.in_transport.load(Ordering::Relaxed) > self.limits.unread_bytes;
        for connection in self.all() {
            let (open, unread) = (
                connection.open.load(Ordering::Relaxed),
                connection.unread.load(Ordering::Relaxed),
            );
            let is_unread = open > 0 && unread >= open && connection.idle_millis() >= timeout;
            let holds_too_much =
                answers && connection.in_transport() > 0 || connection.has_too_much_unread();
            let is_stuck =
                holds_too_much && connection.blocked_millis() >= UNREAD_GRACE.as_millis() as u64;
            if (is_unread || is_stuck) && !connection.has_ended() {
                self.close(&connection);
                self.warn(
                    connection.address,
                    "does not read its answers; its connection was ended",
                );
            }
        }
    }
}

/// Bytes of unread answers beyond which even those are freed that were read a moment ago: half as
/// many again. With what streams themselves cost, 5,000 unread answers then take less than 200 MB.
const fn far_beyond(unread_bytes: usize) -> usize {
    unread_bytes.saturating_add(unread_bytes / 2)
}

fn shed(idle: &[Idle], why: fn(For) -> Shed) {
    idle.iter().for_each(|idle| idle.waiting.shed(why(idle.waits_for)));
}
