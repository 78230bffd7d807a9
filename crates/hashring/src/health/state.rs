//! The record of one backend, in 64 bits.

/// The record of a backend. It fits one atomic word, so a report can never be seen by half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Milliseconds since the start at which the last quarantine ends; 0 if there was none since
    /// the last success.
    pub(super) until_ms: u64,
    /// Quarantines since the last success.
    pub(super) quarantines: u8,
    /// Failures in a row that count towards the next quarantine.
    pub(super) failures: u16,
}

/// 34 years of milliseconds.
const UNTIL_BITS: u32 = 40;
pub(super) const UNTIL_MAX_MS: u64 = (1 << UNTIL_BITS) - 1;

impl State {
    /// No failure since the last success.
    pub(crate) const CLEAN: Self = Self { until_ms: 0, quarantines: 0, failures: 0 };

    pub(crate) const fn pack(self) -> u64 {
        self.until_ms
            | (self.quarantines as u64) << UNTIL_BITS
            | (self.failures as u64) << (UNTIL_BITS + u8::BITS)
    }

    pub(crate) const fn unpack(packed: u64) -> Self {
        Self {
            until_ms: packed & UNTIL_MAX_MS,
            quarantines: (packed >> UNTIL_BITS) as u8,
            failures: (packed >> (UNTIL_BITS + u8::BITS)) as u16,
        }
    }

    pub(crate) fn until_ms(self) -> u64 {
        self.until_ms
    }

    pub(crate) fn is_quarantined(self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }
}
