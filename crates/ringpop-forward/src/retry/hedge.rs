//! Hedging: a second attempt beside one that is slow, and the first good answer counts.
//!
//! Most of the slowest calls of a service are slow by accident: a pause of the owner, a lost
//! packet, a queue. A second owner has no part in that accident, so asking it a little later cuts
//! the tail at the price of a few more calls ("The Tail at Scale", Dean and Barroso, 2013). Only
//! calls that may be executed twice can be hedged.

use std::pin::pin;
use std::time::Duration;

use crate::retry::policy::Policy;

/// The state of a call when an attempt begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HedgeContext {
    /// One message each way.
    pub(crate) unary: bool,
    /// Executing the call twice is harmless.
    pub(crate) idempotent: bool,
    /// No other member has forwarded the call. If every member on the way hedged, attempts would
    /// multiply.
    pub(crate) begins_here: bool,
    /// The request is here and kept, so two attempts can send it.
    pub(crate) whole: bool,
    /// Attempts made so far, this one included.
    pub(crate) attempts: u32,
    /// Time left until the deadline, if there is one.
    pub(crate) remaining: Option<Duration>,
}

/// How long the attempt may go without an answer before the next owner is asked beside it; `None`
/// if nobody is.
pub(crate) fn hedge_after(policy: &Policy, now: &HedgeContext) -> Option<Duration> {
    let delay = policy.hedge()?;
    let may_run_twice = now.unary && now.idempotent && now.begins_here && now.whole;
    let is_in_time = now.remaining.is_none_or(|left| delay < left);
    (may_run_twice && is_in_time && now.attempts < policy.attempts_max()).then_some(delay)
}

/// Which of two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    First,
    Second,
}

/// The end of a race.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raced<T, E> {
    /// Whose result counts.
    pub(crate) side: Side,
    pub(crate) result: Result<T, E>,
    /// The failure of the other one, if it ended before.
    pub(crate) other: Option<E>,
}

/// Awaits two attempts. The first success counts, or else the failure that comes last. An attempt
/// that is still under way is dropped, which cancels it.
pub(crate) async fn race<T, E>(
    first: impl Future<Output = Result<T, E>>,
    second: impl Future<Output = Result<T, E>>,
) -> Raced<T, E> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (side, ended) = tokio::select! {
        ended = &mut first => (Side::First, ended),
        ended = &mut second => (Side::Second, ended),
    };
    match (side, ended) {
        (side, Ok(good)) => Raced { side, result: Ok(good), other: None },
        (Side::First, Err(failure)) => {
            Raced { side: Side::Second, result: second.await, other: Some(failure) }
        }
        (Side::Second, Err(failure)) => {
            Raced { side: Side::First, result: first.await, other: Some(failure) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use proptest::prelude::*;
    use tokio::sync::oneshot;

    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    const READ: HedgeContext = HedgeContext {
        unary: true,
        idempotent: true,
        begins_here: true,
        whole: true,
        attempts: 1,
        remaining: None,
    };

    #[test]
    fn only_reads_that_begin_here_are_hedged_and_only_if_the_policy_says_so() {
        let policy = Policy::default().hedge_after(DELAY);
        assert_eq!(hedge_after(&policy, &READ), Some(DELAY));
        assert_eq!(hedge_after(&Policy::default(), &READ), None);
        for other in [
            HedgeContext { unary: false, ..READ },
            HedgeContext { idempotent: false, ..READ },
            HedgeContext { begins_here: false, ..READ },
            HedgeContext { whole: false, ..READ },
        ] {
            assert_eq!(hedge_after(&policy, &other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn never_past_the_deadline_nor_beyond_the_attempts(
            delay_ms in 1..1000_u64, left_ms in 0..1000_u64, attempts in 1..20_u32, max in 1..=16_u32,
        ) {
            let delay = Duration::from_millis(delay_ms);
            let policy = Policy::default().hedge_after(delay).max_attempts(max);
            let remaining = Some(Duration::from_millis(left_ms));
            let hedged = hedge_after(&policy, &HedgeContext { attempts, remaining, ..READ });
            prop_assert_eq!(hedged.is_some(), delay_ms < left_ms && attempts < max);
        }
    }

    type Attempt = Result<u32, &'static str>;

    #[tokio::test]
    async fn the_first_success_counts_and_nobody_waits_for_the_other() {
        let first = race(ready(Attempt::Ok(1)), pending()).await;
        assert_eq!(first, Raced { side: Side::First, result: Ok(1), other: None });
        let second = race(pending(), ready(Attempt::Ok(2))).await;
        assert_eq!(second, Raced { side: Side::Second, result: Ok(2), other: None });
    }

    #[tokio::test]
    async fn a_failure_waits_for_the_other_attempt() {
        for (failing, answering) in [(Side::First, Side::Second), (Side::Second, Side::First)] {
            let (answer, answered) = oneshot::channel::<u32>();
            let slow = async { Ok(answered.await.unwrap()) };
            let broken = ready(Attempt::Err("broken"));
            // Polled after the race, which has seen the failure by then.
            let later = async { answer.send(7).unwrap() };
            let raced = async {
                match failing {
                    Side::First => race(broken, slow).await,
                    Side::Second => race(slow, broken).await,
                }
            };
            let (raced, ()) = tokio::join!(biased; raced, later);
            assert_eq!(raced, Raced { side: answering, result: Ok(7), other: Some("broken") });
        }
    }

    #[tokio::test]
    async fn of_two_failures_the_last_counts() {
        let (failed, fail) = oneshot::channel::<()>();
        let early = async {
            failed.send(()).unwrap();
            Attempt::Err("early")
        };
        let late = async {
            fail.await.unwrap();
            Attempt::Err("late")
        };
        let raced = race(late, early).await;
        assert_eq!(raced, Raced { side: Side::First, result: Err("late"), other: Some("early") });
    }
}
