//! Calls for keys that are about to move to another owner.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringpop_forward::{Changed, Held, Owner, Owners, Resolver};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::Status;

use crate::bind_error::BindError;
use crate::hand_off::PlannedMove;
use crate::limits::{HAND_OFF_LIMIT_MAX, MOVING_CALLS, MOVING_CALLS_MAX};
use crate::view::Views;

/// What becomes of calls whose keys are about to move away from a member that
/// [hands their state over](crate::hand_off); set by
/// [`Builder::while_moving`](crate::Builder::while_moving).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileMoving {
    /// The old owner serves them until the ring changes. Its hook sends on what they write
    /// meanwhile, as [`hand_off::Map`](crate::hand_off::Map) does.
    #[default]
    Serve,
    /// Those that come after the hand-off began wait for its end, and the new owner serves them:
    /// the state stands still while it is copied. Calls under way at the beginning end where they
    /// are. A call that may not wait, or waited in vain, gets ABORTED: it was not executed, and the
    /// caller may send it again. The counters `forward.held` and `forward.held_refused` tell of
    /// both.
    Wait {
        /// How long a call may wait: 1 ms to
        /// [`HAND_OFF_LIMIT_MAX`](crate::limits::HAND_OFF_LIMIT_MAX). Its own deadline holds as
        /// well.
        limit: Duration,
        /// How many may wait at a time, up to
        /// [`MOVING_CALLS_MAX`](crate::limits::MOVING_CALLS_MAX). Each holds its request in memory.
        calls_max: usize,
    },
}

impl WhileMoving {
    /// Calls wait so long, [`MOVING_CALLS`](crate::limits::MOVING_CALLS) of them at a time.
    #[must_use]
    pub const fn wait(limit: Duration) -> Self {
        Self::Wait { limit, calls_max: MOVING_CALLS }
    }

    pub(crate) fn check(self) -> Result<(), BindError> {
        let Self::Wait { limit, calls_max } = self else { return Ok(()) };
        let in_range = (Duration::from_millis(1)..=HAND_OFF_LIMIT_MAX).contains(&limit)
            && (1..=MOVING_CALLS_MAX).contains(&calls_max);
        if in_range { Ok(()) } else { Err(BindError::WhileMoving { limit, calls_max }) }
    }
}

/// The owners of keys, and the moves for whose end calls wait.
#[derive(Debug)]
pub(crate) struct MovingKeys {
    views: Arc<Views>,
    limit: Duration,
    calls_max: usize,
    /// Whether there are any moves: nearly always there are none.
    is_any: AtomicBool,
    moves: Mutex<Vec<Moving>>,
    /// One for each call that may wait.
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Moving {
    planned: PlannedMove,
    /// Dropped at the end of the move.
    over: watch::Sender<()>,
}

impl MovingKeys {
    /// `None` when no call waits.
    pub(crate) fn new(policy: WhileMoving, views: Arc<Views>) -> Option<Self> {
        let WhileMoving::Wait { limit, calls_max } = policy else { return None };
        let (is_any, moves) = (AtomicBool::new(false), Mutex::default());
        let places = Arc::new(Semaphore::new(calls_max));
        Some(Self { views, limit, calls_max, is_any, moves, places })
    }

    /// Calls for the keys that this member loses wait from now on.
    pub(crate) fn begin(&self, planned: &PlannedMove) {
        let mut moves = self.lock();
        moves.push(Moving { planned: planned.clone(), over: watch::Sender::new(()) });
        self.is_any.store(true, Ordering::Release);
    }

    /// The calls that wait for this move are placed.
    pub(crate) fn end(&self, planned: &PlannedMove) {
        let mut moves = self.lock();
        moves.retain(|moving| !moving.planned.is_same(planned));
        self.is_any.store(!moves.is_empty(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Moving>> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the move that takes a key away from this member.
    fn end_for(&self, key: &[u8]) -> Option<watch::Receiver<()>> {
        let moves = self.lock();
        let moving = moves.iter().find(|moving| moving.planned.receiver(key).is_some())?;
        Some(moving.over.subscribe())
    }
}

impl Resolver for MovingKeys {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        self.views.owners(key, n, out);
    }

    fn member(&self, id: &str) -> Option<Owner> {
        self.views.member(id)
    }

    fn epoch(&self) -> u64 {
        self.views.epoch()
    }

    fn changed(&self, seen: u64) -> Changed {
        self.views.changed(seen)
    }

    fn hold(&self, key: &[u8]) -> Option<Held> {
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        let mut over = self.end_for(key)?;
        let (limit, calls_max) = (self.limit, self.calls_max);
        let place = Arc::clone(&self.places).try_acquire_owned();
        Some(Box::pin(async move {
            let Ok(_place) = place else {
                return Err(Status::aborted(format!(
                    "the key moves to another member, and {calls_max} calls wait for that already; \
                     send this one again"
                )));
            };
            // It never changes: the error is the end of the move.
            let ended = timeout(limit, over.changed()).await;
            ended.map(|_ended| ()).map_err(|_| {
                Status::aborted(format!(
                    "the key moves to another member and had not arrived there after {limit:?}; send \
                     this call again"
                ))
            })
        }))
    }
}
