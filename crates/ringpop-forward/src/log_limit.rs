//! Log lines that a peer can cause are written at most once in an interval.

use std::time::Duration;

use tokio::time::Instant;

/// Lets one log line pass in each interval and counts those in between.
///
/// ```
/// use std::time::Duration;
/// use ringpop_forward::LogLimit;
///
/// let mut limit = LogLimit::new(Duration::from_secs(30));
/// assert_eq!([limit.pass(), limit.pass()], [Some(0), None]);
/// ```
#[derive(Debug)]
pub struct LogLimit {
    interval: Duration,
    last: Option<Instant>,
    held_back: u64,
}

impl LogLimit {
    /// At most one line in `interval`.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self { interval, last: None, held_back: 0 }
    }

    /// Whether a line may be written now; gives how many were held back since the last one.
    pub fn pass(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < self.interval) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_between_are_counted() {
        let mut log = LogLimit::new(Duration::from_secs(3600));
        assert_eq!([log.pass(), log.pass(), log.pass()], [Some(0), None, None]);
        log.last = log.last.map(|last| last - Duration::from_secs(3601));
        assert_eq!([log.pass(), log.pass()], [Some(2), None]);
    }
}
