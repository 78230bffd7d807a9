//! The clocks and the seed of a process: the only place that reads them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use swim_core::{Address, Init, Instant, Labels};
use tokio::time::Instant as Clock;

/// The moment at which the machine of this process begins, and its seed.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    clock: Clock,
    unix_ms: u64,
    seed: u64,
}

/// The operating system gives no random numbers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct NoRandomness(#[from] getrandom::Error);

impl Start {
    /// Reads both clocks and draws a seed from the operating system.
    ///
    /// A wall clock before 1970 counts as 1970: the machine raises its
    /// incarnation above whatever the cluster remembers of its address anyway.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random numbers.
    pub fn now() -> Result<Self, NoRandomness> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        // Zero stands for "none" where seeds are compared.
        Ok(Self { clock: Clock::now(), unix_ms, seed: getrandom::u64()?.max(1) })
    }

    /// A start with a given seed and wall clock (milliseconds since the Unix
    /// epoch), for tests that must run the same each time.
    #[must_use]
    pub fn fixed(seed: u64, unix_ms: u64) -> Self {
        Self { clock: Clock::now(), unix_ms, seed }
    }

    /// The seed: different in each process, and never zero when it was drawn.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The time that the machine calls zero.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// What a [`Node`](swim_core::Node) of this process is made from: no identity
    /// of its own and no labels; set these fields where wanted.
    pub fn init(&self, app: impl Into<Arc<str>>, address: Address) -> Init {
        Init {
            app: app.into(),
            address,
            identity: None,
            labels: Labels::default(),
            seed: self.seed,
            now: Instant::ZERO,
            unix_ms: self.unix_ms,
        }
    }
}
