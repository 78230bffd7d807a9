//! Local health: which backends this process leaves alone for a while, from its own experience with
//! them.
//!
//! A backend that fails several times in a row is quarantined for a window of time. A success
//! clears everything. Nothing here moves a point of a ring: health only decides where a walk may
//! stop, so a backend that comes back finds its keys as it left them.
//!
//! All that is known of a backend is one atomic word. Asking reads it, reporting replaces it, and
//! nobody waits.

mod cap;
mod config;
mod rules;
mod state;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

pub use self::config::{HealthConfig, HealthConfigError};
pub(crate) use self::rules::Rules;
use self::state::State;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};

/// How a request to a backend ended, as far as the backend's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The backend answered. It clears the quarantine and forgets all failures.
    Success,
    /// The backend did not answer, or answered that it cannot serve.
    Failure,
}

/// Remembers the local health of backends by id, also of those that are gone and may come back.
///
/// It reads no clock: callers give the time.
///
/// ```
/// use hashring::{HealthConfig, LocalHealth, Outcome};
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let config = HealthConfig::default().with_threshold(2).with_window(Duration::from_secs(10));
/// let health = LocalHealth::new(config, start)?;
/// let backend = health.track("backend-1");
///
/// backend.report(Outcome::Failure, start);
/// assert!(!backend.is_quarantined(start));
/// backend.report(Outcome::Failure, start);
/// assert!(backend.is_quarantined(start + Duration::from_secs(9)));
/// assert!(!backend.is_quarantined(start + Duration::from_secs(11)));
/// # Ok::<(), hashring::HealthConfigError>(())
/// ```
pub struct LocalHealth {
    rules: Arc<Rules>,
    capacity: usize,
    cells: Mutex<BTreeMap<Box<str>, Arc<AtomicU64>>>,
}

impl LocalHealth {
    /// Health by these rules. `now` is the moment from which its times are counted; earlier ones
    /// are taken for it.
    ///
    /// # Errors
    ///
    /// [`HealthConfigError`] if a value is out of its range.
    pub fn new(config: HealthConfig, now: Instant) -> Result<Self, HealthConfigError> {
        config.check()?;
        Ok(Self {
            capacity: config.capacity,
            rules: Arc::new(Rules::new(&config, now)),
            cells: Mutex::new(BTreeMap::new()),
        })
    }

    /// The health of a backend: the record of this id, or a clean one. Keep the handle; it asks and
    /// reports without a lock.
    ///
    /// At most [`HealthConfig::with_capacity`] backends are remembered. Beyond that those are
    /// forgotten whose handles are gone: first the ones in good standing, then the quarantined. If
    /// all handles are alive, the new backend gets a working handle, but its record ends with it.
    pub fn track(&self, id: &str) -> BackendHealth {
        let mut cells = lock(&self.cells);
        let cell = match cells.get(id) {
            Some(cell) => Arc::clone(cell),
            None => {
                let cell = Arc::new(AtomicU64::new(State::CLEAN.pack()));
                self.make_room(&mut cells);
                if cells.len() < self.capacity {
                    cells.insert(id.into(), Arc::clone(&cell));
                }
                cell
            }
        };
        BackendHealth { rules: Arc::clone(&self.rules), cell, salt: Rules::salt(id) }
    }

    /// Says which backends requests are spread over. The
    /// [bound](HealthConfig::with_max_quarantined_percent) on quarantines is a part of these, and
    /// those of others count no more. A [`Selector`](crate::Selector) does it by itself.
    pub fn set_listed<'a>(&self, listed: impl IntoIterator<Item = &'a BackendHealth>) {
        self.rules.cap().set_listed(listed.into_iter().map(|health| &health.cell));
    }

    /// How many quarantines did not begin because as many ran as may. A number that grows says that
    /// many backends fail at the same time, or that what fails is not the backends.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.rules.cap().withheld()
    }

    /// The number of backends that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.cells).len()
    }

    /// Whether no backend is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn make_room(&self, cells: &mut BTreeMap<Box<str>, Arc<AtomicU64>>) {
        let is_held = |cell: &Arc<AtomicU64>| Arc::strong_count(cell) > 1;
        if cells.len() >= self.capacity {
            cells.retain(|_, cell| {
                is_held(cell) || cell.load(Ordering::Relaxed) != State::CLEAN.pack()
            });
        }
        if cells.len() >= self.capacity {
            cells.retain(|_, cell| is_held(cell));
        }
    }

    pub(crate) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }
}

impl fmt::Debug for LocalHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHealth")
            .field("rules", &self.rules)
            .field("backends", &self.len())
            .finish()
    }
}

/// The health of one backend; made by [`LocalHealth::track`]. Clones share one record.
#[derive(Clone)]
pub struct BackendHealth {
    rules: Arc<Rules>,
    cell: Arc<AtomicU64>,
    /// Makes the jitter of backends differ.
    salt: u64,
}

impl BackendHealth {
    /// Whether the backend is to be left alone at this time.
    #[must_use]
    pub fn is_quarantined(&self, now: Instant) -> bool {
        self.is_quarantined_at(self.rules.millis(now))
    }

    /// The same for a time that is already converted, once for a whole walk.
    #[inline]
    pub(crate) fn is_quarantined_at(&self, now_ms: u64) -> bool {
        State::unpack(self.cell.load(Ordering::Acquire)).is_quarantined(now_ms)
    }

    /// For how much longer the backend is quarantined, `None` if it is not.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let (state, now_ms) =
            (State::unpack(self.cell.load(Ordering::Acquire)), self.rules.millis(now));
        state.is_quarantined(now_ms).then(|| Duration::from_millis(state.until_ms() - now_ms))
    }

    /// Takes note of how a request ended. The answer is the window of the quarantine if this report
    /// began one.
    ///
    /// Failures during a quarantine are not counted: they are late answers to earlier requests.
    /// After a quarantine has expired, one more failure begins the next one, until there is a
    /// success.
    #[expect(clippy::must_use_candidate, reason = "most callers only report")]
    pub fn report(&self, outcome: Outcome, now: Instant) -> Option<Duration> {
        match outcome {
            Outcome::Success => {
                // Nearly all reports are successes of backends in good standing. Those must not
                // take the cache line away from the readers on other processors.
                if self.cell.load(Ordering::Acquire) != State::CLEAN.pack() {
                    let before = self.cell.swap(State::CLEAN.pack(), Ordering::AcqRel);
                    let now_ms = self.rules.millis(now);
                    if State::unpack(before).is_quarantined(now_ms) {
                        self.rules.cap().end(&self.cell, now_ms);
                    }
                }
                None
            }
            Outcome::Failure => self.fail(self.rules.millis(now)),
        }
    }

    fn fail(&self, now_ms: u64) -> Option<Duration> {
        let mut packed = self.cell.load(Ordering::Acquire);
        loop {
            let (next, window_ms) =
                self.rules.after_failure(State::unpack(packed), now_ms, self.salt);
            if window_ms.is_some() {
                return self.fail_once_too_often(now_ms);
            }
            match self.replace(packed, next) {
                Ok(_) => return None,
                Err(newer) => packed = newer,
            }
        }
    }

    /// Begins a quarantine if there may be one more. Quarantines begin one after another.
    fn fail_once_too_often(&self, now_ms: u64) -> Option<Duration> {
        let cap = self.rules.cap();
        let mut quarantines = cap.lock();
        let has_room = cap.has_room(&mut quarantines, &self.cell, now_ms);
        let mut packed = self.cell.load(Ordering::Acquire);
        loop {
            let state = State::unpack(packed);
            let (next, window_ms) = match self.rules.after_failure(state, now_ms, self.salt) {
                (_, Some(_)) if !has_room => (Rules::after_withheld(state), None),
                after => after,
            };
            match self.replace(packed, next) {
                Ok(_) => {
                    if next.is_quarantined(now_ms) {
                        cap.begin(&mut quarantines, &self.cell, now_ms);
                    }
                    return window_ms.map(Duration::from_millis);
                }
                Err(newer) => packed = newer,
            }
        }
    }

    fn replace(&self, packed: u64, next: State) -> Result<u64, u64> {
        self.cell.compare_exchange(packed, next.pack(), Ordering::AcqRel, Ordering::Acquire)
    }
}

impl fmt::Debug for BackendHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BackendHealth")
            .field(&State::unpack(self.cell.load(Ordering::Relaxed)))
            .finish()
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
