//! The circuit of one destination: whether it is dialled, skipped, or tried in the background.
//!
//! A destination that cannot be reached costs the calls that found it out, and no others. While its
//! circuit is open they are told at once, so they move on to the next owner; whether it is
//! back is found out by a dial that nobody waits for.

use std::sync::Arc;

use tokio::time::Instant;

use super::dial::DialError;
use crate::limits::{BACKOFF_JITTER, DIAL_BACKOFF_MAX, DIAL_BACKOFF_MIN, UNANSWERED_MAX};

/// The state of one destination.
#[derive(Debug, Default)]
pub(crate) struct Circuit {
    state: State,
    /// Failures in a row; each doubles the time until the next try.
    failures: u32,
    /// Attempts in a row that were given up without an answer.
    unanswered: u32,
}

#[derive(Debug, Default)]
enum State {
    /// As far as known, the destination can be reached.
    #[default]
    Closed,
    /// It could not be reached; nobody tries before `until`.
    Open { until: Instant, cause: Arc<DialError> },
    /// It is tried in the background. A try that has not reported by `until` is lost, and another
    /// one may begin.
    HalfOpen { until: Instant, cause: Arc<DialError> },
}

/// What a call may do.
#[derive(Clone, Debug)]
pub(crate) enum Permission {
    /// Dial, and wait for it.
    Dial,
    /// Dial for the sake of others, and move on.
    Probe(DialError),
    /// Move on.
    Skip(DialError),
}

impl Circuit {
    /// Asks for a connection where there is none.
    pub(crate) fn ask(&mut self, now: Instant) -> Permission {
        let (due, cause) = match &self.state {
            State::Closed => return Permission::Dial,
            State::Open { until, cause } | State::HalfOpen { until, cause } => {
                (now >= *until, Arc::clone(cause))
            }
        };
        let skipped = DialError::Skipped(Arc::clone(&cause));
        if !due {
            return Permission::Skip(skipped);
        }
        self.state = State::HalfOpen { until: now + DIAL_BACKOFF_MAX, cause };
        Permission::Probe(skipped)
    }

    /// Whether calls wait for a dial that is under way.
    pub(crate) fn waits_for_dial(&self) -> Result<(), DialError> {
        match &self.state {
            State::Closed => Ok(()),
            State::Open { cause, .. } | State::HalfOpen { cause, .. } => {
                Err(DialError::Skipped(Arc::clone(cause)))
            }
        }
    }

    /// A dial succeeded, and the peer answered on the connection.
    pub(crate) fn on_dialled(&mut self) {
        *self = Self::default();
    }

    /// A dial failed. `unit` is a random number from 0 to 1 for the jitter, which keeps the members
    /// of a cluster from dialling a restarted one in step. True if the circuit was closed before.
    pub(crate) fn on_failed_dial(&mut self, cause: DialError, now: Instant, unit: f64) -> bool {
        let was_closed = matches!(self.state, State::Closed);
        let doublings = self.failures.min(16);
        let base = DIAL_BACKOFF_MIN.saturating_mul(1 << doublings).min(DIAL_BACKOFF_MAX);
        let wait = base.mul_f64(1.0 + BACKOFF_JITTER * (2.0 * unit - 1.0));
        self.failures = self.failures.saturating_add(1);
        self.state = State::Open { until: now + wait, cause: Arc::new(cause) };
        was_closed
    }

    /// The peer answered a call.
    pub(crate) fn on_answer(&mut self) {
        self.unanswered = 0;
    }

    /// A call was given up because no answer came in its time. True if that opens the circuit: then
    /// the connections are to be given up too, because new ones must prove that the peer still
    /// answers.
    pub(crate) fn on_unanswered(&mut self, now: Instant) -> bool {
        self.unanswered += 1;
        if self.unanswered < UNANSWERED_MAX || !matches!(self.state, State::Closed) {
            return false;
        }
        self.unanswered = 0;
        self.state = State::Open { until: now, cause: Arc::new(DialError::Unanswered) };
        true
    }

    /// The peer was heard from: the next caller may try.
    pub(crate) fn on_sign_of_life(&mut self, now: Instant) {
        if let State::Open { until, .. } = &mut self.state {
            *until = now;
            self.failures = 0;
        }
    }

    /// Whether calls are kept away.
    pub(crate) fn is_open(&self) -> bool {
        self.cause().is_some()
    }

    /// Why calls are kept away, if they are.
    pub(crate) fn cause(&self) -> Option<&DialError> {
        match &self.state {
            State::Closed => None,
            State::Open { cause, .. } | State::HalfOpen { cause, .. } => Some(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failed(circuit: &mut Circuit, now: Instant) -> bool {
        circuit.on_failed_dial(DialError::Abandoned, now, 0.5)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_longer_with_each_failure_and_closes_on_success() {
        let mut circuit = Circuit::default();
        let mut now = Instant::now();
        assert!(matches!(circuit.ask(now), Permission::Dial));
        for (failures, expected_ms) in
            [50, 100, 200, 400, 800, 1600, 2000, 2000].into_iter().enumerate()
        {
            assert_eq!(failed(&mut circuit, now), failures == 0, "opened once");
            assert!(circuit.is_open());
            let wait = Duration::from_millis(expected_ms);
            assert!(matches!(
                circuit.ask(now + wait - Duration::from_millis(1)),
                Permission::Skip(_)
            ));
            now += wait;
            assert!(matches!(circuit.ask(now), Permission::Probe(_)));
        }
        circuit.on_dialled();
        assert!(!circuit.is_open());
        assert!(matches!(circuit.ask(now), Permission::Dial));
        failed(&mut circuit, now);
        let wait = Duration::from_millis(50);
        assert!(matches!(circuit.ask(now + wait), Permission::Probe(_)), "the doubling began anew");
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_probes_and_nobody_waits_for_it() {
        let mut circuit = Circuit::default();
        let now = Instant::now();
        assert!(circuit.waits_for_dial().is_ok(), "the first dial is waited for");
        failed(&mut circuit, now);
        let later = now + DIAL_BACKOFF_MAX;
        assert!(matches!(circuit.ask(later), Permission::Probe(_)));
        for _ in 0..3 {
            assert!(matches!(circuit.ask(later), Permission::Skip(_)));
            assert!(circuit.waits_for_dial().is_err());
        }
        let much_later = later + DIAL_BACKOFF_MAX;
        assert!(matches!(circuit.ask(much_later), Permission::Probe(_)), "the probe was lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_life_ends_the_wait_for_the_next_try() {
        let mut circuit = Circuit::default();
        let now = Instant::now();
        for _ in 0..8 {
            failed(&mut circuit, now);
        }
        assert!(matches!(circuit.ask(now), Permission::Skip(_)));
        circuit.on_sign_of_life(now);
        assert!(matches!(circuit.ask(now), Permission::Probe(_)));
        circuit.on_sign_of_life(now);
        assert!(matches!(circuit.ask(now), Permission::Skip(_)), "one try is under way");
        failed(&mut circuit, now);
        let wait = Duration::from_millis(50);
        assert!(matches!(circuit.ask(now + wait), Permission::Probe(_)), "the doubling began anew");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_do_not_come_open_it_unless_one_comes_between() {
        let mut circuit = Circuit::default();
        let now = Instant::now();
        for _ in 1..UNANSWERED_MAX {
            assert!(!circuit.on_unanswered(now));
        }
        circuit.on_answer();
        for _ in 1..UNANSWERED_MAX {
            assert!(!circuit.on_unanswered(now));
        }
        assert!(circuit.on_unanswered(now));
        assert!(!circuit.on_unanswered(now), "it is open already");
        // At once, because the peer may only have been slow.
        assert!(matches!(circuit.ask(now), Permission::Probe(_)));
    }
}
