//! The connections to each peer: opened when first needed, by one dial however many wait for it,
//! and closed when idle, broken or forgotten.

mod destinations;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::activity::{Activity, HeaderLists, NoTurn, StreamGuard};
use super::circuit::{Circuit, Permission};
use super::config::{H2Config, LONGEST};
use super::connection::{Driver, Ended, Keepalive, Opened, PeerConnection, handshake};
use super::dial::{Connector, DialError};
use super::{Class, Progress, SendError, TransportStats};
use crate::limits::{DIAL_PATIENCE, RESERVE_PART};
use crate::resolver::Peer;

/// Connections by peer address.
pub(crate) struct Pool {
    peers: DashMap<Box<str>, Arc<PeerPool>>,
    shared: Arc<Shared>,
}

/// What every dial needs.
struct Shared {
    connector: Box<dyn Connector>,
    config: H2Config,
    next_id: AtomicU64,
    dial_failures: AtomicU64,
    pings_unanswered: AtomicU64,
    pings_unwanted: AtomicU64,
    connections: AtomicU64,
    circuits_opened: AtomicU64,
    circuit_skips: AtomicU64,
    /// Shared with the responses of every connection.
    header_lists_exceeded: Arc<AtomicU64>,
}

/// The connections to one peer.
pub(crate) struct PeerPool {
    circuit: Mutex<Circuit>,
    unary: ClassPool,
    stream: ClassPool,
    /// How often the peer said that it gets too many PINGs. Each time doubles the time between two
    /// of them (gRFC A8).
    pings_unwanted: AtomicU32,
    /// The peer is dead: its connections and dials end.
    abandoned: Notify,
}

/// The calls of one class to one peer.
struct ClassPool {
    /// Calls that may still begin.
    permits: Arc<Semaphore>,
    slot: Mutex<Slot>,
}

/// The place of one connection.
enum Slot {
    Empty,
    Dialing(watch::Receiver<DialState>),
    Open(PeerConnection),
    /// The peer was forgotten; holders of this dial no more.
    Forgotten,
}

/// A connection, and whose it is.
pub(crate) struct Checkout {
    pub(crate) connection: PeerConnection,
    pub(crate) peer_pool: Arc<PeerPool>,
}

type DialResult = Result<PeerConnection, DialError>;

/// What the calls that wait for a dial learn of it.
enum DialState {
    Begun,
    /// It takes longer than a call should wait that can go elsewhere.
    Slow,
    Done(DialResult),
}

impl Pool {
    pub(crate) fn new(connector: Box<dyn Connector>, config: H2Config) -> Self {
        let shared = Shared {
            connector,
            config,
            next_id: AtomicU64::new(0),
            dial_failures: AtomicU64::new(0),
            pings_unanswered: AtomicU64::new(0),
            pings_unwanted: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            circuits_opened: AtomicU64::new(0),
            circuit_skips: AtomicU64::new(0),
            header_lists_exceeded: Arc::default(),
        };
        Self { peers: DashMap::new(), shared: Arc::new(shared) }
    }

    /// A connection to `peer`, dialled now if there is none.
    pub(crate) async fn checkout(
        &self,
        peer: &Peer,
        class: Class,
        progress: &Progress,
    ) -> Result<Checkout, SendError> {
        let peer_pool = self.peer(peer).map_err(SendError::never_sent)?;
        let connection = self.connection(&peer_pool, peer, class, progress).await;
        Ok(Checkout { connection: connection.map_err(SendError::never_sent)?, peer_pool })
    }

    /// Reserves a call on the connection: waits until the peer takes another stream on it, and
    /// counts the call among those in flight. `None` when the connection takes no more.
    pub(crate) async fn reserve_stream(
        &self,
        checkout: &Checkout,
        class: Class,
        progress: &Progress,
    ) -> Result<Option<StreamGuard>, SendError> {
        let Checkout { connection, peer_pool } = checkout;
        let limit = self.shared.config.limit(class);
        let waiting_max = limit + progress.reserve(limit);
        let turn = match connection.activity.turn(&connection.sender, waiting_max, progress).await {
            Ok(turn) => turn,
            Err(NoTurn::Over) => return Ok(None),
            Err(NoTurn::Crowded) => {
                let why = format!("{limit} calls wait for their turn there, as many as may");
                return Err(SendError::overloaded(why));
            }
        };
        // No queue: a call that waits for its turn at a slow peer holds memory here and is late
        // there.
        let full = || {
            SendError::overloaded(format!("{limit} calls to it are in flight, as many as may be"))
        };
        let permits = Arc::clone(&peer_pool.class_pool(class).permits);
        let permit = Arc::clone(&permits).try_acquire_owned().map_err(|_| full())?;
        // Those that are left then are for callers who hold few.
        let left = permits.available_permits();
        let reserved = limit / RESERVE_PART;
        if left < reserved && left + progress.reserve(limit) < reserved {
            return Err(full());
        }
        Ok(Some(StreamGuard { turn, _permit: permit }))
    }

    async fn connection(
        &self,
        peer_pool: &Arc<PeerPool>,
        peer: &Peer,
        class: Class,
        progress: &Progress,
    ) -> DialResult {
        let mut waiting = match self.begin(peer_pool, peer, class)? {
            Begun::Open(connection) => return Ok(connection),
            Begun::Dialing(waiting) => waiting,
        };
        loop {
            match &*waiting.borrow_and_update() {
                DialState::Begun => {}
                DialState::Slow => progress.connecting_slowly(),
                DialState::Done(result) => return result.clone(),
            }
            waiting.changed().await.map_err(|_| DialError::Abandoned)?;
        }
    }

    /// Gives a connection up that does not take requests any more.
    pub(crate) fn discard(&self, peer: &Peer, class: Class, id: u64) {
        if let Some(peer_pool) = self.peers.get(peer.address()) {
            peer_pool.clear(class, id);
        }
    }

    pub(crate) fn forget(&self, peer: &Peer) {
        if let Some((_, peer_pool)) = self.peers.remove(peer.address()) {
            for class in [Class::Unary, Class::Stream] {
                *lock(peer_pool.slot(class)) = Slot::Forgotten;
            }
        }
    }

    /// Ends what there is with `peer` at once.
    pub(crate) fn abandon(&self, peer: &Peer) {
        let peer_pool = self.peers.get(peer.address()).map(|peer_pool| Arc::clone(&peer_pool));
        self.forget(peer);
        if let Some(peer_pool) = peer_pool {
            peer_pool.abandoned.notify_waiters();
        }
    }

    /// `peer` was heard from elsewhere.
    pub(crate) fn on_sign_of_life(&self, peer: &Peer) {
        if let Some(peer_pool) = self.peers.get(peer.address()) {
            lock(&peer_pool.circuit).on_sign_of_life(Instant::now());
        }
    }

    /// A call to `peer` was answered.
    pub(crate) fn on_answer(&self, peer_pool: &PeerPool) {
        lock(&peer_pool.circuit).on_answer();
    }

    /// A call to `peer` was not answered in its time.
    pub(crate) fn on_unanswered(&self, peer: &Peer) {
        let Some(peer_pool) = self.peers.get(peer.address()) else { return };
        if lock(&peer_pool.circuit).on_unanswered(Instant::now()) {
            self.shared.circuits_opened.fetch_add(1, Ordering::Relaxed);
            peer_pool.clear_open();
        }
    }

    pub(crate) fn stats(&self) -> TransportStats {
        let open = self.peers.iter().filter(|peer_pool| lock(&peer_pool.circuit).is_open()).count();
        TransportStats {
            dial_failures: self.shared.dial_failures.load(Ordering::Relaxed),
            pings_unanswered: self.shared.pings_unanswered.load(Ordering::Relaxed),
            pings_unwanted: self.shared.pings_unwanted.load(Ordering::Relaxed),
            connections: self.shared.connections.load(Ordering::Relaxed),
            circuits_opened: self.shared.circuits_opened.load(Ordering::Relaxed),
            circuit_skips: self.shared.circuit_skips.load(Ordering::Relaxed),
            circuits_open: open as u64,
            header_lists_exceeded: self.shared.header_lists_exceeded.load(Ordering::Relaxed),
        }
    }

    fn peer(&self, peer: &Peer) -> Result<Arc<PeerPool>, DialError> {
        if let Some(peer_pool) = self.peers.get(peer.address()) {
            return Ok(Arc::clone(&peer_pool));
        }
        let max = self.shared.config.peers;
        if self.peers.len() >= max {
            self.peers.retain(|_, peer_pool| !peer_pool.is_empty());
            if self.peers.len() >= max {
                return Err(DialError::TooManyPeers(max));
            }
        }
        let entry = self
            .peers
            .entry(peer.address().into())
            .or_insert_with(|| PeerPool::new(&self.shared.config));
        Ok(Arc::clone(&entry))
    }

    /// Takes what the slot has, or begins a dial as far as the circuit lets.
    fn begin(
        &self,
        peer_pool: &Arc<PeerPool>,
        peer: &Peer,
        class: Class,
    ) -> Result<Begun, DialError> {
        let mut slot = lock(peer_pool.slot(class));
        let permission = match &*slot {
            Slot::Open(connection) if !connection.activity.is_retired() => {
                return Ok(Begun::Open(connection.clone()));
            }
            Slot::Forgotten => return Err(DialError::Abandoned),
            // A dial whose connector panicked left its place behind, and its channel closed.
            Slot::Dialing(waiting) if waiting.has_changed().is_ok() => {
                lock(&peer_pool.circuit).waits_for_dial().inspect_err(|_| self.count_skip())?;
                return Ok(Begun::Dialing(waiting.clone()));
            }
            Slot::Open(_) | Slot::Dialing(_) | Slot::Empty => {
                lock(&peer_pool.circuit).ask(Instant::now())
            }
        };
        if let Permission::Skip(cause) = permission {
            self.count_skip();
            return Err(cause);
        }
        let (done, waiting) = watch::channel(DialState::Begun);
        *slot = Slot::Dialing(waiting.clone());
        let dial = Dial {
            shared: Arc::clone(&self.shared),
            peer_pool: Arc::clone(peer_pool),
            peer: peer.clone(),
            class,
        };
        // A task of its own, so a caller that gives up takes no dial down that others wait
        // for.
        tokio::spawn(dial.run(done));
        match permission {
            Permission::Probe(cause) => {
                self.count_skip();
                Err(cause)
            }
            _ => Ok(Begun::Dialing(waiting)),
        }
    }

    fn count_skip(&self) {
        self.shared.circuit_skips.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Pool {
    /// Ends every connection and dial when the calls on them have ended.
    fn drop(&mut self) {
        for entry in &self.peers {
            for class in [Class::Unary, Class::Stream] {
                *lock(entry.slot(class)) = Slot::Forgotten;
            }
        }
    }
}

enum Begun {
    Open(PeerConnection),
    Dialing(watch::Receiver<DialState>),
}

impl PeerPool {
    fn new(config: &H2Config) -> Arc<Self> {
        let class_pool = |class| ClassPool {
            permits: Arc::new(Semaphore::new({
                let limit = config.limit(class);
                limit + limit / RESERVE_PART
            })),
            slot: Mutex::new(Slot::Empty),
        };
        Arc::new(Self {
            circuit: Mutex::default(),
            unary: class_pool(Class::Unary),
            stream: class_pool(Class::Stream),
            pings_unwanted: AtomicU32::new(0),
            abandoned: Notify::new(),
        })
    }

    /// When PINGs are sent to this peer.
    fn keepalive(&self, config: &H2Config) -> Keepalive {
        let doublings = self.pings_unwanted.load(Ordering::Relaxed).min(16);
        let interval = config.keepalive_interval.saturating_mul(1 << doublings).min(LONGEST);
        Keepalive {
            interval,
            timeout: config.keepalive_timeout,
            when_idle: config.keepalive_when_idle,
        }
    }

    fn class_pool(&self, class: Class) -> &ClassPool {
        match class {
            Class::Unary => &self.unary,
            Class::Stream => &self.stream,
        }
    }

    fn slot(&self, class: Class) -> &Mutex<Slot> {
        &self.class_pool(class).slot
    }

    fn is_empty(&self) -> bool {
        [Class::Unary, Class::Stream]
            .iter()
            .all(|&class| matches!(*lock(self.slot(class)), Slot::Empty))
    }

    /// Empties every slot that holds a connection; the calls on it go on.
    fn clear_open(&self) {
        for class in [Class::Unary, Class::Stream] {
            let mut slot = lock(self.slot(class));
            if matches!(*slot, Slot::Open(_)) {
                *slot = Slot::Empty;
            }
        }
    }

    /// Empties the slot if it still holds connection `id`.
    fn clear(&self, class: Class, id: u64) {
        let mut slot = lock(self.slot(class));
        if matches!(&*slot, Slot::Open(connection) if connection.id == id) {
            *slot = Slot::Empty;
        }
    }

    /// Empties the slot if connection `id` in it is idle.
    fn clear_if_idle(&self, class: Class, id: u64, uses_before: u64) -> bool {
        let mut slot = lock(self.slot(class));
        match &*slot {
            Slot::Open(connection)
                if connection.id == id && connection.activity.is_idle_since(uses_before) =>
            {
                *slot = Slot::Empty;
                true
            }
            _ => false,
        }
    }
}

/// One dial, and then the life of the connection that it opened.
struct Dial {
    shared: Arc<Shared>,
    peer_pool: Arc<PeerPool>,
    peer: Peer,
    class: Class,
}

impl Dial {
    async fn run(self, state: watch::Sender<DialState>) {
        let limit = self.shared.config.connect_timeout;
        let peer_pool = Arc::clone(&self.peer_pool);
        let mut abandoned = pin!(peer_pool.abandoned.notified());
        let opened = tokio::select! {
            opened = timeout(limit, self.open(limit)) => {
                opened.unwrap_or_else(|_| Err(DialError::Timeout(limit)))
            }
            never = tell_when_slow(&state) => match never {},
            () = &mut abandoned => return,
            // Nobody waits any more, and the place in the pool is gone: the pool was dropped, or
            // the peer forgotten.
            () = state.closed() => return,
        };
        let (connection, driver) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.fail(error, &state),
        };
        if !self.publish(&connection) {
            return;
        }
        let id = connection.id;
        let activity = Arc::clone(&connection.activity);
        // The result is handed over and dropped here: a sender kept alive would keep the connection
        // open.
        let _ = state.send(DialState::Done(Ok(connection)));
        drop(state);
        let open = Open::new(&self.shared);
        let mut uses = activity.uses();
        let evict_if_idle = || {
            let before = std::mem::replace(&mut uses, activity.uses());
            self.peer_pool.clear_if_idle(self.class, id, before)
        };
        let config = &self.shared.config;
        let keepalive = self.peer_pool.keepalive(config);
        let ended = tokio::select! {
            ended = driver.run(config, keepalive, &activity, evict_if_idle) => ended,
            () = abandoned => Ended::Closed,
        };
        self.note_end(ended);
        drop(open);
        activity.end();
        self.peer_pool.clear(self.class, id);
    }

    fn note_end(&self, ended: Ended) {
        match ended {
            Ended::Closed => {}
            Ended::Unanswered => {
                self.shared.pings_unanswered.fetch_add(1, Ordering::Relaxed);
            }
            Ended::TooManyPings => {
                self.shared.pings_unwanted.fetch_add(1, Ordering::Relaxed);
                self.peer_pool.pings_unwanted.fetch_add(1, Ordering::Relaxed);
                let interval = self.peer_pool.keepalive(&self.shared.config).interval;
                tracing::warn!(
                    peer = self.peer.address(),
                    ?interval,
                    "peer wants fewer PINGs; the next connection sends them half as often"
                );
            }
        }
    }

    async fn open(&self, limit: Duration) -> Result<(PeerConnection, Driver), DialError> {
        let io = self.shared.connector.connect_within(&self.peer, limit).await;
        let io = io.map_err(|error| DialError::Connect(Arc::new(error)))?;
        let window = self.shared.config.response_window(self.class);
        let Opened { sender, driver, header_list_max } = handshake(io, window).await?;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let header_lists = HeaderLists {
            request_max: header_list_max,
            response_max: self.shared.config.header_list_bytes as usize,
            exceeded: Arc::clone(&self.shared.header_lists_exceeded),
        };
        let activity = Arc::new(Activity::new(header_lists));
        Ok((PeerConnection { id, sender, activity }, driver))
    }

    /// Puts the connection where callers find it. False if the peer was forgotten meanwhile.
    fn publish(&self, connection: &PeerConnection) -> bool {
        lock(&self.peer_pool.circuit).on_dialled();
        let mut slot = lock(self.peer_pool.slot(self.class));
        let wanted = matches!(*slot, Slot::Dialing(_));
        if wanted {
            *slot = Slot::Open(connection.clone());
        }
        wanted
    }

    fn fail(&self, error: DialError, state: &watch::Sender<DialState>) {
        tracing::debug!(peer = self.peer.address(), %error, "dial failed");
        self.shared.dial_failures.fetch_add(1, Ordering::Relaxed);
        let (now, jitter) = (Instant::now(), fastrand::f64());
        if lock(&self.peer_pool.circuit).on_failed_dial(error.clone(), now, jitter) {
            self.shared.circuits_opened.fetch_add(1, Ordering::Relaxed);
        }
        let mut slot = lock(self.peer_pool.slot(self.class));
        if matches!(*slot, Slot::Dialing(_)) {
            *slot = Slot::Empty;
        }
        drop(slot);
        let _ = state.send(DialState::Done(Err(error)));
    }
}

/// Tells the calls that wait for a dial when it is slow, those too that come later. Never resolves.
async fn tell_when_slow(state: &watch::Sender<DialState>) -> Infallible {
    sleep(DIAL_PATIENCE).await;
    let _ = state.send(DialState::Slow);
    std::future::pending().await
}

/// Counts an open connection.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// No lock of the pool is held while foreign code runs, so a poisoned one guards whole data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
