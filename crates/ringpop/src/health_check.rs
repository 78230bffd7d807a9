//! The health check of the application, and how many of its answers turn a member.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::limits::{HEALTH_CHECK_COUNT_MAX, HEALTH_CHECK_TIMES};

pub(crate) type Outcome = Result<(), String>;
type Check = dyn Fn() -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

/// Whether this process can do its work, as the application finds out. A member whose check fails
/// lives on, answers pings, and is off the ring until the check passes again.
///
/// The check is a function that is called again and again. It fails with an error, when it panics,
/// and when it gives no answer in time; one that never answers is not called a second time beside
/// itself, and counts as failed at each interval until it ends.
///
/// It must not depend on what may be blocked: it runs in a task of its own on the runtime of the
/// member, so a handler that waits for a lock for ever does not hold it up, and a check that asks
/// for the same lock finds out. Threads of the runtime that are all blocked hold up gossip as well,
/// and the other members find out.
///
/// A member is off the ring at the latest after [`off_within`](Self::off_within) and the time in
/// which the change spreads. At most half of the members are off for their health
/// ([`UNHEALTHY_PART_MAX`](crate::limits::UNHEALTHY_PART_MAX)): those whose checks failed first.
///
/// ```
/// # use std::time::Duration;
/// # use ringpop::{HealthCheck, Ringpop};
/// async fn database_answers() -> Result<(), std::io::Error> {
///     Ok(()) // asks the database for something small
/// }
///
/// let check = HealthCheck::new(database_answers)
///     .interval(Duration::from_secs(1))
///     .timeout(Duration::from_millis(500))
///     .failures(3)
///     .successes(5);
/// assert_eq!(check.off_within(), Duration::from_millis(4_500));
/// let builder = Ringpop::builder("rides").health_check(check);
/// ```
#[derive(Clone)]
pub struct HealthCheck {
    check: Arc<Check>,
    interval: Duration,
    timeout: Duration,
    failures: u32,
    successes: u32,
}

impl HealthCheck {
    /// A check that asks `check`, each second, for at most a second; two failures in a row take the
    /// member off the ring, and three successes put it back.
    #[must_use]
    pub fn new<F, E>(check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let check = move || {
            let answer = check();
            let told = async move { answer.await.map_err(|error| error.to_string()) };
            Box::pin(told) as Pin<Box<dyn Future<Output = Outcome> + Send>>
        };
        Self {
            check: Arc::new(check),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            failures: 2,
            successes: 3,
        }
    }

    /// The pause between two checks: 10 ms to an hour.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long an answer may take: 10 ms to an hour.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Failures in a row that take the member off the ring: 1 to 100.
    #[must_use]
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Successes in a row that put it back: 1 to 100.
    #[must_use]
    pub const fn successes(mut self, successes: u32) -> Self {
        self.successes = successes;
        self
    }

    pub(crate) const fn pause(&self) -> Duration {
        self.interval
    }

    /// The longest time from a fault to the label that takes the member off the ring: each failure
    /// after a pause, and without an answer. [`Duration::MAX`] when it is longer than that.
    #[must_use]
    pub fn off_within(&self) -> Duration {
        // `check` has not looked at the settings yet: they may be of any size.
        self.interval.saturating_add(self.timeout).saturating_mul(self.failures)
    }

    pub(crate) fn check(&self) -> Result<(), HealthCheckError> {
        for (field, time) in [("interval", self.interval), ("timeout", self.timeout)] {
            if !HEALTH_CHECK_TIMES.contains(&time) {
                return Err(HealthCheckError::Time { field, time });
            }
        }
        for (field, count) in [("failures", self.failures), ("successes", self.successes)] {
            if !(1..=HEALTH_CHECK_COUNT_MAX).contains(&count) {
                return Err(HealthCheckError::Count { field, count });
            }
        }
        Ok(())
    }

    /// Asks once. `unanswered` is the call that has not ended yet, if there is one.
    pub(crate) async fn ask(&self, unanswered: &mut Option<JoinHandle<Outcome>>) -> Outcome {
        let limit = self.timeout;
        let late = || Err(format!("no answer within {limit:?}"));
        if unanswered.as_ref().is_some_and(|task| !task.is_finished()) {
            return late();
        }
        let mut task = tokio::spawn((self.check)());
        match timeout(limit, &mut task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("the check panicked".to_owned()),
            Err(_) => {
                task.abort();
                *unanswered = Some(task);
                late()
            }
        }
    }
}

/// Why a health check cannot be as it was set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HealthCheckError {
    /// A time is out of its range.
    #[error(
        "the health check: {field} is {time:?}, it must be from {:?} to {:?}",
        HEALTH_CHECK_TIMES.start(),
        HEALTH_CHECK_TIMES.end()
    )]
    Time {
        /// The setting.
        field: &'static str,
        /// The given time.
        time: Duration,
    },
    /// A number of answers is out of its range.
    #[error("the health check: {field} is {count}, it must be from 1 to {HEALTH_CHECK_COUNT_MAX}")]
    Count {
        /// The setting.
        field: &'static str,
        /// The given number.
        count: u32,
    },
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interval, timeout, failures, successes, .. } = self;
        f.debug_struct("HealthCheck")
            .field("interval", interval)
            .field("timeout", timeout)
            .field("failures", failures)
            .field("successes", successes)
            .finish_non_exhaustive()
    }
}

/// Whether a member counts as healthy, and how many checks in a row said otherwise.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    is_unhealthy: bool,
    contradictions: u32,
}

impl Standing {
    /// Whether the member counts as healthy after a check.
    pub(crate) const fn after(&mut self, passed: bool, check: &HealthCheck) -> bool {
        if passed != self.is_unhealthy {
            self.contradictions = 0;
        } else {
            self.contradictions += 1;
            let needed = if self.is_unhealthy { check.successes } else { check.failures };
            if self.contradictions >= needed {
                self.is_unhealthy = !self.is_unhealthy;
                self.contradictions = 0;
            }
        }
        !self.is_unhealthy
    }
}

/// Counters of health checks.
#[derive(Debug, Default)]
pub(crate) struct HealthCheckStats {
    passed: AtomicU64,
    failed: AtomicU64,
}

impl HealthCheckStats {
    pub(crate) fn count(&self, outcome: &Outcome) {
        let counter = if outcome.is_ok() { &self.passed } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 2] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [("checks_failed", read(&self.failed)), ("checks_passed", read(&self.passed))]
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn check() -> HealthCheck {
        HealthCheck::new(|| async { Ok::<_, Infallible>(()) })
    }

    #[test]
    fn a_member_turns_after_so_many_in_a_row() {
        let check = check().failures(2).successes(3);
        let mut standing = Standing::default();
        for (passed, healthy) in [
            (true, true),
            (false, true),
            (true, true),
            (false, true),
            (false, false),
            (true, false),
            (true, false),
            (false, false),
            (true, false),
            (true, false),
            (true, true),
            (false, true),
            (false, false),
        ] {
            assert_eq!(standing.after(passed, &check), healthy);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn errors_panics_and_silence_are_failures() {
        let second = Duration::from_secs(1);
        let asked = |check: HealthCheck| async move { check.ask(&mut None).await.unwrap_err() };
        let error = asked(HealthCheck::new(|| async { Err("the disk is full") })).await;
        assert_eq!(error, "the disk is full");
        let panics = HealthCheck::new(|| async {
            assert_eq!(1, 2, "this test has a check panic");
            Ok::<_, Infallible>(())
        });
        assert_eq!(asked(panics).await, "the check panicked");
        let silent = HealthCheck::new(std::future::pending::<Outcome>).timeout(second);
        assert_eq!(asked(silent).await, "no answer within 1s");
        assert_eq!(check().ask(&mut None).await, Ok(()));
    }

    /// One whose thread is blocked cannot be ended: a second one would block a second thread.
    #[tokio::test(start_paused = true)]
    async fn a_check_that_never_answers_is_not_called_again_beside_itself() {
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let check = HealthCheck::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, Infallible>(()) }
        });
        let (gate, mut opened) = tokio::sync::watch::channel(false);
        let never_ends = async move {
            let _ = opened.wait_for(|opened| *opened).await;
            Ok(())
        };
        let mut unanswered = Some(tokio::spawn(never_ends));
        assert!(check.ask(&mut unanswered).await.is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        gate.send_replace(true);
        while !unanswered.as_ref().unwrap().is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(check.ask(&mut unanswered).await, Ok(()));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn settings_out_of_their_range_are_refused_by_name() {
        assert!(check().check().is_ok());
        for (check, part) in [
            (check().interval(Duration::ZERO), "interval is 0ns"),
            (check().timeout(Duration::from_secs(3601)), "timeout is 3601s"),
            (check().failures(0), "failures is 0"),
            (check().successes(101), "successes is 101"),
        ] {
            let error = check.check().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("must be from"), "{error}");
        }
    }

    #[test]
    fn the_time_until_a_member_is_off_is_told_for_settings_of_any_size() {
        let long = Duration::from_secs(u64::MAX / 2);
        for check in [
            check().interval(Duration::MAX),
            check().timeout(Duration::MAX),
            check().interval(long).failures(100),
        ] {
            assert_eq!(check.off_within(), Duration::MAX);
        }
    }
}
