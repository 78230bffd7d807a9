//! A shutdown under way, and what it ends with.

use tokio::sync::watch;
use tokio::time::Instant;

/// How a shutdown went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Members that confirmed that they know of the leave.
    pub told: usize,
    /// Requests that were still under way when the time was over, and were
    /// cut off.
    pub cut_off: u64,
}

/// A shutdown that was begun.
#[derive(Debug)]
pub(crate) struct Shutdown {
    /// The earliest time that anybody gave.
    pub(super) deadline: watch::Sender<Instant>,
    pub(super) report: watch::Receiver<Option<ShutdownReport>>,
}
