//! Rolls from version to version.

use std::time::Duration;

use super::Builder;
use crate::bind_error::BindError;
use crate::limits::{ROLL_WAIT, ROLL_WAIT_MAX, VERSION_LABEL};

impl Builder {
    /// The version of this process, as a label `version`, and that it takes part in version-aware
    /// rolls: a new member that finds members of another version on the ring stands by without
    /// keys, and the next one of those that leaves hands its place on the ring over to it. Each key
    /// moves once in a roll, and not twice; see `docs/state.md`. Any text will do: versions are
    /// compared for equality only. Default: no version, and each member joins and leaves by itself.
    ///
    /// All members should have one; a member without takes part in nothing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::Ringpop;
    /// let builder = Ringpop::builder("rides")
    ///     .version(env!("CARGO_PKG_VERSION"))
    ///     .roll_wait(Duration::from_secs(120)); // the pods of this roll start slowly
    /// ```
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.labels.push((VERSION_LABEL.to_owned(), version.into()));
        self.hand_off.roll_wait.get_or_insert(ROLL_WAIT);
        self
    }

    /// How long this member stands by in a [version-aware](Self::version) roll before it takes its
    /// share of the keys from all others: at most [`ROLL_WAIT_MAX`], and longer than the pause
    /// between two steps of the roll. Zero: it stands by for nobody, and still hands its own place
    /// over. Default: [`ROLL_WAIT`].
    pub const fn roll_wait(mut self, wait: Duration) -> Self {
        self.hand_off.roll_wait = Some(wait);
        self
    }

    pub(super) fn check_roll(&self) -> Result<(), BindError> {
        let Some(wait) = self.hand_off.roll_wait else { return Ok(()) };
        if !self.labels.iter().any(|(key, _)| key == VERSION_LABEL) {
            return Err(BindError::RollWithoutVersion);
        }
        if wait > ROLL_WAIT_MAX {
            return Err(BindError::RollWait { wait });
        }
        Ok(())
    }
}
