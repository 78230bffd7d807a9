//! The problems of a member, for as long as they last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swim_core::Address;

use crate::event::{Event, Listeners};
use crate::problem::{Problem, ProblemKind};

/// The problems that one member has now.
#[derive(Debug)]
pub(crate) struct Problems {
    /// Tells the members of one process apart in the log.
    member: Address,
    current: Mutex<BTreeMap<ProblemKind, Problem>>,
    listeners: Listeners,
}

impl Problems {
    pub(crate) const fn new(member: Address, listeners: Listeners) -> Self {
        Self { member, current: Mutex::new(BTreeMap::new()), listeners }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProblemKind, Problem>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A problem begins or has changed. Told when it was not told before.
    pub(crate) fn begin(&self, problem: Problem) {
        let before = self.lock().insert(problem.kind(), problem.clone());
        if before.as_ref() != Some(&problem) {
            tracing::warn!(member = %self.member, "{problem}");
            self.listeners.tell(Event::ProblemBegan(problem));
        }
    }

    /// A problem is over, if there was one.
    pub(crate) fn end(&self, kind: ProblemKind) {
        let ended = self.lock().remove(&kind);
        if let Some(problem) = ended {
            tracing::info!(member = %self.member, %problem, "a problem is over");
            self.listeners.tell(Event::ProblemEnded(problem));
        }
    }

    pub(crate) fn list(&self) -> Vec<Problem> {
        self.lock().values().cloned().collect()
    }
}
