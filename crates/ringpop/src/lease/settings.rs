//! Settings of leases.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{LEASE_SLOTS_MAX, LEASE_TTL};

/// Settings of the [leases](crate::Leases) of a member. All members of a cluster need the same
/// number of slots.
///
/// ```
/// # use std::time::Duration;
/// use ringpop::LeaseSettings;
///
/// // Others may take over after 15 s; this process stops 4 s before that.
/// let settings = LeaseSettings::new(256).ttl(Duration::from_secs(15)).margin(Duration::from_secs(4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseSettings {
    pub(super) slots: u32,
    pub(super) ttl: Duration,
    pub(super) margin: Duration,
    /// The faults that the checker of the tests has to find.
    #[cfg(test)]
    pub(super) bug: super::tests::Bug,
}

impl LeaseSettings {
    /// So many slots, 1 to 4,096, with leases of 15 s that this process counts as ended 3 s
    /// before.
    #[must_use]
    pub const fn new(slots: u32) -> Self {
        Self {
            slots,
            ttl: Duration::from_secs(15),
            margin: Duration::from_secs(3),
            #[cfg(test)]
            bug: super::tests::Bug::None,
        }
    }

    /// How long the leases of a process last at the store after it was heard of last: 1 s to an
    /// hour. A member that dies is replaced after this time.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long before that this process counts them as ended: from a hundredth of the time to half
    /// of it. It covers clocks that run at different speeds, and work that was begun just before.
    #[must_use]
    pub const fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    pub(crate) fn check(&self) -> Result<(), LeaseSettingsError> {
        if !(1..=LEASE_SLOTS_MAX).contains(&self.slots) {
            return Err(LeaseSettingsError::Slots { slots: self.slots });
        }
        if !LEASE_TTL.contains(&self.ttl) {
            return Err(LeaseSettingsError::Ttl { ttl: self.ttl });
        }
        if !(self.ttl / 100..=self.ttl / 2).contains(&self.margin) {
            return Err(LeaseSettingsError::Margin { margin: self.margin, ttl: self.ttl });
        }
        Ok(())
    }

    /// When leases end by the clock of this process that were renewed by a call sent then.
    pub(super) fn end_of(&self, sent: Instant) -> Instant {
        #[cfg(test)]
        match self.bug {
            super::tests::Bug::CountsFromTheAnswer => return Instant::now() + self.ttl,
            super::tests::Bug::LooksAtNoClock => return sent + self.ttl * 1000,
            super::tests::Bug::None => {}
        }
        sent + (self.ttl - self.margin)
    }

    /// Three renewals fit into the time.
    pub(super) fn renew_interval(&self) -> Duration {
        (self.ttl - self.margin) / 3
    }

    /// The pause before what failed is tried again.
    pub(super) fn retry_interval(&self) -> Duration {
        self.renew_interval() / 4
    }

    /// How long a call may take: another one fits before the end.
    pub(super) fn call_limit(&self) -> Duration {
        self.renew_interval()
    }
}

/// Why settings of leases are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseSettingsError {
    /// There are no slots, or too many.
    #[error("the leases have {slots} slots, it must be 1 to {LEASE_SLOTS_MAX}")]
    Slots {
        /// The given number.
        slots: u32,
    },
    /// The time is too short or too long.
    #[error("the leases last {ttl:?}, it must be from {:?} to {:?}", LEASE_TTL.start(), LEASE_TTL.end())]
    Ttl {
        /// The given time.
        ttl: Duration,
    },
    /// The margin is not a part of the time.
    #[error("the margin of the leases is {margin:?}, it must be from {:?} to {:?}", *.ttl / 100, *.ttl / 2)]
    Margin {
        /// The given margin.
        margin: Duration,
        /// The time of which it is a part.
        ttl: Duration,
    },
}
