//! How many backends may be in quarantine at the same time.
//!
//! Local health knows only what this process saw. What looks like the failure of many backends may
//! be one key that fails everywhere, or the process's own network. Taking away many backends for it
//! puts their load on the others, so a bound holds over all of them together, as in Envoy
//! (`max_ejection_percent`, panic threshold) and in gRPC's proposal A50.

use super::{HealthConfig, state::State};
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, lock};

/// The bound, and the quarantines that run.
#[derive(Debug)]
pub(crate) struct Cap {
    percent: u8,
    min_eligible: usize,
    panic_percent: u8,
    quarantines: Mutex<Quarantines>,
    /// Until when so few backends are eligible that quarantines are not looked at.
    panic_until_ms: AtomicU64,
    /// Quarantines that did not begin because of the bound.
    withheld: AtomicU64,
}

/// The quarantines that run, as far as they are known to.
#[derive(Debug)]
pub(super) struct Quarantines {
    /// How many backends the bound is a share of; `None` as long as nobody has said.
    listed: Option<usize>,
    /// Records of quarantined backends. Some may be over: they are looked for when it matters.
    running: Vec<Arc<AtomicU64>>,
}

impl Cap {
    pub(super) fn new(config: &HealthConfig) -> Self {
        Self {
            percent: config.max_quarantined_percent,
            min_eligible: config.min_eligible,
            panic_percent: config.panic_percent,
            quarantines: Mutex::new(Quarantines { listed: None, running: Vec::new() }),
            panic_until_ms: AtomicU64::new(0),
            withheld: AtomicU64::new(0),
        }
    }

    /// Keeps other quarantines from beginning while it is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, Quarantines> {
        lock(&self.quarantines)
    }

    /// Whether the backend of `cell` may be quarantined now; if not, that is counted.
    pub(super) fn has_room(
        &self,
        quarantines: &mut Quarantines,
        cell: &Arc<AtomicU64>,
        now_ms: u64,
    ) -> bool {
        quarantines.running.retain(|other| !Arc::ptr_eq(other, cell) && runs(other, now_ms));
        let has_room = quarantines.running.len() < self.most(quarantines.listed);
        if !has_room {
            self.withheld.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Takes note that the backend of `cell` is quarantined.
    pub(super) fn begin(&self, quarantines: &mut Quarantines, cell: &Arc<AtomicU64>, now_ms: u64) {
        if quarantines.listed.is_none() {
            // Nothing is counted, and what nobody asks for must not be kept alive.
            return;
        }
        quarantines.running.push(Arc::clone(cell));
        self.look_for_panic(quarantines, now_ms);
    }

    /// Takes note that a quarantine has ended before its time.
    pub(super) fn end(&self, cell: &Arc<AtomicU64>, now_ms: u64) {
        let mut quarantines = self.lock();
        quarantines.running.retain(|other| !Arc::ptr_eq(other, cell));
        self.look_for_panic(&mut quarantines, now_ms);
    }

    /// Sets of which backends the bound is a share. Quarantines of others do not count any more.
    pub(super) fn set_listed<'a>(&self, cells: impl Iterator<Item = &'a Arc<AtomicU64>>) {
        let cells: Vec<_> = cells.collect();
        let mut quarantines = self.lock();
        quarantines.listed = Some(cells.len());
        // Few as a rule: their number is bounded by this very list.
        quarantines.running.retain(|running| cells.iter().any(|cell| Arc::ptr_eq(cell, running)));
        // Reports are on the path of requests and allocate nothing.
        let most = self.most(quarantines.listed);
        let lacking = most.saturating_sub(quarantines.running.len());
        quarantines.running.reserve(lacking);
    }

    /// Whether so few backends are eligible that quarantines are not to be looked at.
    pub(crate) fn panics(&self, now_ms: u64) -> bool {
        now_ms < self.panic_until_ms.load(Ordering::Acquire)
    }

    pub(super) fn withheld(&self) -> u64 {
        self.withheld.load(Ordering::Relaxed)
    }

    /// How many of so many backends may be in quarantine.
    fn most(&self, listed: Option<usize>) -> usize {
        let Some(listed) = listed else { return usize::MAX };
        if self.percent == 0 {
            return 0;
        }
        let share = share_of(self.percent, listed).max(1);
        share.min(listed.saturating_sub(self.min_eligible))
    }

    /// Finds out until when too many are in quarantine, if they are.
    fn look_for_panic(&self, quarantines: &mut Quarantines, now_ms: u64) {
        quarantines.running.retain(|cell| runs(cell, now_ms));
        let Some(listed) = quarantines.listed else { return };
        // As many may be missing before it is time for panic.
        let bearable = share_of(100 - self.panic_percent, listed);
        let too_many = quarantines.running.len().saturating_sub(bearable);
        quarantines.running.sort_unstable_by_key(|cell| ends_at(cell));
        let until_ms =
            too_many.checked_sub(1).map_or(0, |last| ends_at(&quarantines.running[last]));
        self.panic_until_ms.store(until_ms, Ordering::Release);
    }
}

/// So much of `whole`, rounded down.
fn share_of(percent: u8, whole: usize) -> usize {
    (whole as u128 * u128::from(percent) / 100) as usize
}

fn ends_at(cell: &AtomicU64) -> u64 {
    State::unpack(cell.load(Ordering::Acquire)).until_ms()
}

fn runs(cell: &AtomicU64, now_ms: u64) -> bool {
    State::unpack(cell.load(Ordering::Acquire)).is_quarantined(now_ms)
}
