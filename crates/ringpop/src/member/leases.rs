//! Leases on the slots that a member owns.

use std::sync::Arc;

use super::Ringpop;
use crate::lease::{self, LeaseSettings, LeaseSettingsError, LeaseStore, Leases, Teller};

impl Ringpop {
    /// Takes leases for the slots that this member owns, from a store that decides. For services
    /// that need at most one writer; without it, availability comes first. See [`Leases`] for an
    /// example.
    ///
    /// Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range.
    pub fn leases(
        &self,
        store: impl LeaseStore,
        settings: LeaseSettings,
    ) -> Result<Leases, LeaseSettingsError> {
        settings.check()?;
        let teller = Teller::new(self.0.listeners.clone(), Arc::clone(&self.0.problems));
        let (views, holder) = (Arc::clone(&self.0.views), self.whoami().to_owned());
        let stats = Arc::clone(&self.0.own_stats.leases);
        Ok(lease::start(store, views as _, holder, settings, stats, teller))
    }
}
