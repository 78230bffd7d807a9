//! New settings while the member runs.

use std::sync::Arc;

use super::Node;
use crate::config::Config;
use crate::dialect::Dialect;
use crate::labels::LabelError;
use crate::time::Instant;

/// Refused settings. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// The field describes the transport or the dialect of the cluster.
    #[error("{field} cannot be changed while the member runs; start it with the new value")]
    Fixed {
        /// Name of the field.
        field: &'static str,
    },
    /// The member holds more than the new bound allows.
    #[error("{field} is {value}, but this member holds {held} already; raise the bound")]
    Exceeded {
        /// Name of the field.
        field: &'static str,
        /// The new value.
        value: usize,
        /// The number that the member holds.
        held: usize,
    },
    /// The labels of this member exceed the new limits.
    #[error("label_limits: {0}")]
    Labels(#[from] LabelError),
}

impl Node {
    /// Uses this dialect from now on: for a driver that finds out from the first
    /// answers which one a cluster uses.
    pub fn set_dialect(&mut self, dialect: Arc<dyn Dialect>) {
        self.core.members.set_dialect(dialect);
    }

    /// Replaces the settings while the member runs.
    ///
    /// `late_acks`, `second_path` and `sync_whole_list` cannot change: they
    /// describe the transport and the dialect of the cluster.
    /// Everything else takes effect at once:
    ///
    /// * A suspect, faulty, left or tombstone status ends when the new timeout has
    ///   passed since it began; at once when that is over.
    /// * The next probe, sync and healing come after the new span at the
    ///   latest; those that are due earlier stay so.
    /// * A join under way ends when it has taken `join_duration_max` as a
    ///   whole. Requests under way keep their deadlines.
    /// * Full syncs beyond a lower `sync_jobs_max` are given up.
    /// * Damping that is switched on begins with the votes of the others;
    ///   switched off, it withdraws those of this member.
    /// * Changes that were held back for [`Event::ViewChanged`] are reported when
    ///   `coalescing` changes.
    ///
    /// [`Event::ViewChanged`]: crate::Event::ViewChanged
    ///
    /// # Errors
    ///
    /// When a field differs that cannot change, or the member holds more than
    /// a new bound allows; the error names the field.
    pub fn reconfigure(
        &mut self,
        now: Instant,
        config: impl Into<Arc<Config>>,
    ) -> Result<(), ReconfigureError> {
        self.advance_to(now);
        let config = config.into();
        self.check_new(&config)?;
        let former = std::mem::replace(&mut self.core.config, config);
        self.core.awareness.set_max(self.core.config.awareness_max());
        self.core.rearm_expiries(&former);
        self.join.rearm_limit(&mut self.core);
        self.syncs.give_up_surplus(&mut self.core);
        self.rearm_routine();
        if former.coalescing() != self.core.config.coalescing() {
            self.core.announce_view();
        }
        if former.damping() != self.core.config.damping() {
            self.core.restart_damping();
        }
        Ok(())
    }

    fn check_new(&self, new: &Config) -> Result<(), ReconfigureError> {
        let old = self.config();
        let fixed = [
            ("late_acks", old.late_acks() == new.late_acks()),
            ("second_path", old.second_path() == new.second_path()),
            ("sync_whole_list", old.sync_whole_list() == new.sync_whole_list()),
        ];
        if let Some((field, _)) = fixed.into_iter().find(|(_, same)| !same) {
            return Err(ReconfigureError::Fixed { field });
        }
        let (value, held) = (new.members_max(), self.len());
        if value < held {
            return Err(ReconfigureError::Exceeded { field: "members_max", value, held });
        }
        Ok(self.local().labels.check(&new.label_limits())?)
    }
}
