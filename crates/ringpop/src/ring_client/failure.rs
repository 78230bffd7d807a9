//! Why a client cannot be set up, and why it has no ring or no news of it.

use std::error::Error as _;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashring::BuildError;
use ringpop_forward::{ConfigError, LogLimit};
use tokio::time::Instant;
use tonic::Status;

use crate::limits::RING_CLIENT_LOG_INTERVAL;

/// Why a [`RingClient`](crate::RingClient) cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingClientError {
    /// The name of the application is one that no member has.
    #[error(transparent)]
    App(#[from] swim_core::ConfigError),
    /// The client was given an empty name.
    #[error(
        "the name of the client is empty; give it one, or leave it out for that of the application"
    )]
    NameEmpty,
    /// The forwarder cannot be set up.
    #[error(transparent)]
    Forwarder(#[from] ConfigError),
    /// An empty ring cannot be made.
    #[error(transparent)]
    Ring(#[from] BuildError),
}

/// Refuses the names of applications that members refuse, and an empty name of the client.
pub(super) fn check_names(app: &str, name: Option<&str>) -> Result<(), RingClientError> {
    swim_core::check_app(app)?;
    match name {
        Some("") => Err(RingClientError::NameEmpty),
        _ => Ok(()),
    }
}

/// Why a call failed. A member that answered is quoted; a connection that failed has causes.
pub(super) fn explain(status: &Status) -> String {
    match status.source() {
        None if !status.message().is_empty() => format!("it says: {}", status.message()),
        _ => ringpop_forward::explain_failure(status),
    }
}

/// Why a [`RingClient`](crate::RingClient) got no ring, or no news of it, where it asked last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingClientFailure {
    /// The address of the member that was asked; `None` when discovery gave nobody to ask.
    pub member: Option<String>,
    /// The cause, for people.
    pub cause: String,
    /// How long ago it failed.
    pub age: Duration,
}

impl fmt::Display for RingClientFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            Some(member) => write!(f, "{member} was asked last: {}", self.cause),
            None => write!(f, "discovery gives nobody to ask: {}", self.cause),
        }
    }
}

/// The failures of one client.
#[derive(Debug)]
pub(super) struct Failures(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// Watches at members that failed.
    count: u64,
    last: Option<Last>,
    log: LogLimit,
}

impl Default for Failures {
    fn default() -> Self {
        let log = LogLimit::new(RING_CLIENT_LOG_INTERVAL);
        Self(Mutex::new(Inner { count: 0, last: None, log }))
    }
}

#[derive(Debug)]
struct Last {
    member: Option<String>,
    cause: String,
    at: Instant,
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of_member(&self, address: String, cause: String) {
        let mut inner = self.lock();
        inner.count += 1;
        inner.last = Some(Last { member: Some(address), cause, at: Instant::now() });
    }

    pub(super) fn of_discovery(&self, cause: String) {
        self.lock().last = Some(Last { member: None, cause, at: Instant::now() });
    }

    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    pub(super) fn last(&self) -> Option<RingClientFailure> {
        let inner = self.lock();
        let Last { member, cause, at } = inner.last.as_ref()?;
        let (member, cause) = (member.clone(), cause.clone());
        Some(RingClientFailure { member, cause, age: at.elapsed() })
    }

    /// The last failure in words, and how many times it was not logged before; `None` when the log
    /// has had a line within [`RING_CLIENT_LOG_INTERVAL`].
    pub(super) fn to_log(&self) -> Option<(String, u64)> {
        let held_back = self.lock().log.pass()?;
        let last = self.last();
        let cause = last.map_or_else(|| "nobody is listed".to_owned(), |last| last.to_string());
        Some((cause, held_back))
    }
}

#[cfg(test)]
mod tests {
    use swim_core::limits::APP_BYTES_MAX;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_kept_and_logged_now_and_then() {
        let failures = Failures::default();
        assert_eq!((failures.count(), failures.last()), (0, None));
        failures.of_member("10.0.0.1:7100".to_owned(), "it is silent".to_owned());
        let cause = "10.0.0.1:7100 was asked last: it is silent".to_owned();
        assert_eq!(failures.to_log(), Some((cause, 0)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((failures.to_log(), failures.to_log()), (None, None));
        assert_eq!(failures.last().map(|last| last.age), Some(Duration::from_secs(5)));
        failures.of_discovery("no such file".to_owned());
        tokio::time::advance(RING_CLIENT_LOG_INTERVAL).await;
        let cause = "discovery gives nobody to ask: no such file".to_owned();
        assert_eq!(failures.to_log(), Some((cause, 2)));
        assert_eq!(failures.count(), 1, "discovery is no member");
    }

    #[test]
    fn names_that_no_application_has_are_refused() {
        let max = "a".repeat(APP_BYTES_MAX);
        assert!(check_names(&max, None).is_ok() && check_names("rides", Some("mine")).is_ok());
        for (app, name, part) in [
            ("", None, "application name has 0 bytes, it must have between 1 and 128"),
            (&*format!("{max}a"), None, "application name has 129 bytes"),
            ("rides", Some(""), "the name of the client is empty"),
        ] {
            let error = check_names(app, name).expect_err("it is wrong").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
