//! What may be sent again, to whom and when: one table, without input or output.
//!
//! Two questions decide. Could the failed attempt have been executed? And is an owner left that was
//! not tried? A request that was never executed moves on at once and for free; one that may have
//! been executed moves on only when executing it twice is harmless; one that was answered stays
//! answered.

use std::time::Duration;

use http::HeaderMap;

use crate::error::ConfigError;
use crate::limits::{
    ATTEMPT_TIMEOUT, ATTEMPT_TIMEOUT_MAX, ATTEMPT_TIMEOUT_MIN, ATTEMPTS_LIMIT,
    ATTEMPTS_MAX_DEFAULT, BACKOFF_JITTER, BACKOFF_LIMIT, GRPC_PUSHBACK_HEADER, OWNERS_DEFAULT,
    OWNERS_LIMIT, RETRY_TOKENS, RETRY_TOKENS_LIMIT, SCHEDULE_LEN_LIMIT, SCHEDULE_MS,
};
use crate::range::{duration_in_range, in_range};

/// Who is asked after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryTarget {
    /// The next of the first `owners` owners of the key, each once before the first is asked again.
    /// Availability over consistency: while an owner is unreachable, its keys are served by their
    /// next owner.
    ///
    /// Owners that cannot be reached do not count: they are walked past, as far as there are
    /// members, so a key is served while one of them lives.
    NextOwner {
        /// How many owners are asked, 1 to 16.
        owners: usize,
    },
    /// The owner of the key at that moment, which is the same owner until the ring changes. For
    /// state that must not be in two places.
    Reroute,
}

impl RetryTarget {
    /// Whether owners that cannot be reached are walked past.
    pub(crate) fn walks(self) -> bool {
        matches!(self, Self::NextOwner { .. })
    }

    pub(crate) fn owners(self) -> usize {
        match self {
            Self::NextOwner { owners } => owners,
            Self::Reroute => 1,
        }
    }
}

impl Default for RetryTarget {
    /// The next owner, out of three.
    fn default() -> Self {
        Self::NextOwner { owners: OWNERS_DEFAULT }
    }
}

/// How long to wait before each further round over the owners.
///
/// Moving on to an owner that was not tried yet needs no wait. Only when all were tried, or when
/// the failed attempt may have been executed, the next entry is waited for, with 20 % of jitter. A
/// change of the ring ends the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Schedule {
    /// Waits for each entry in turn, and for the last one from then on. No entry means no wait.
    pub fn new(waits: impl IntoIterator<Item = Duration>) -> Self {
        Self(waits.into_iter().collect())
    }

    /// What ringpop-go waits: 3, 6 and 12 seconds.
    #[must_use]
    pub fn ringpop_go() -> Self {
        Self::new([3, 6, 12].map(Duration::from_secs))
    }

    /// What ringpop-node waits: nothing, 1 second and 3.5 seconds.
    #[must_use]
    pub fn ringpop_node() -> Self {
        Self::new([0, 1000, 3500].map(Duration::from_millis))
    }

    /// The wait before round `round` (0 is the first wait). `unit` is a random number from 0 to 1
    /// that places the wait within its jitter.
    fn wait(&self, round: u32, unit: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let base = self.0.get(last.min(round as usize)).copied().unwrap_or_default();
        base.mul_f64(1.0 + BACKOFF_JITTER * (2.0 * unit.clamp(0.0, 1.0) - 1.0))
    }
}

impl Default for Schedule {
    /// 0, 50, 200 and 1000 milliseconds.
    fn default() -> Self {
        Self::new(SCHEDULE_MS.map(Duration::from_millis))
    }
}

/// When and where a failed call is sent again.
///
/// ```
/// use ringpop_forward::{Policy, RetryTarget, Schedule};
///
/// let policy = Policy::default()
///     .max_attempts(3)
///     .target(RetryTarget::Reroute)
///     .schedule(Schedule::ringpop_node());
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    max_attempts: u32,
    target: RetryTarget,
    schedule: Schedule,
    tokens: u32,
    attempt_timeout: Option<Duration>,
    hedge_after: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_attempts: ATTEMPTS_MAX_DEFAULT,
            target: RetryTarget::default(),
            schedule: Schedule::default(),
            tokens: RETRY_TOKENS,
            attempt_timeout: Some(ATTEMPT_TIMEOUT),
            hedge_after: None,
        }
    }
}

impl Policy {
    /// Attempts per call, the first included: 1 (no retry) to 16, by default 5. Walking past an
    /// owner that cannot be reached does not count.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// Who is asked after a failure, by default the next of three owners.
    #[must_use]
    pub fn target(mut self, target: RetryTarget) -> Self {
        self.target = target;
        self
    }

    /// How long to wait when every owner was tried, by default 0, 50, 200 and then 1000 ms; up to
    /// 16 entries of up to 60 s.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Tokens of the retry budget of each destination, 0 to 1,000,000, by default 2,048. A retry of
    /// what may have been executed costs the destination that failed one, ten calls that it answers
    /// earn it one, and only half of them may be spent; 0 allows no such retry.
    #[must_use]
    pub fn retry_tokens(mut self, tokens: u32) -> Self {
        self.tokens = tokens;
        self
    }

    /// How long one attempt may wait for a response from the time at which it left, 1 ms to 1 h, by
    /// default 10 minutes. Then it is cancelled at the owner and counts as one that may have been
    /// executed. An attempt that waits as long for a connection, or for its turn on one, was never
    /// sent, and the next owner is asked.
    ///
    /// The response of an idempotent unary call counts when all of it is here (up to 64 KiB), that
    /// of another call when it begins.
    ///
    /// Meant for methods that answer quickly or not at all: an owner that hangs then costs its
    /// callers this much, and after several in a row its connections are tested.
    #[must_use]
    pub fn attempt_timeout(mut self, attempt_timeout: Duration) -> Self {
        self.attempt_timeout = Some(attempt_timeout);
        self
    }

    /// Lets an attempt wait as long as its call does.
    #[must_use]
    pub fn no_attempt_timeout(mut self) -> Self {
        self.attempt_timeout = None;
        self
    }

    /// After how long without an answer the next owner is asked beside the first one, 1 ms to 1 h,
    /// by default never. The first good answer counts, and the other attempt is cancelled at its
    /// owner.
    ///
    /// Only calls that may be executed twice are hedged: unary, idempotent, small enough to be kept
    /// for a replay, and not forwarded by another member before. A hedge goes to another process
    /// and counts as an attempt; it costs the destination that is slow a token of its retry budget,
    /// so that hedges cannot storm: beyond a burst, at most one for ten answers. With
    /// [`RetryTarget::Reroute`] there is nobody else to ask.
    ///
    /// A delay near the 95th percentile of what the methods take hedges one call in twenty; a much
    /// shorter one doubles the load. When an answer of the next owner may be older than that of the
    /// owner, hedging trades freshness for time. A [`RingChannel`](crate::RingChannel) hedges as
    /// well; when its backends are members, they send the hedge on to the slow owner, so there it
    /// is the members that should hedge.
    #[must_use]
    pub fn hedge_after(mut self, delay: Duration) -> Self {
        self.hedge_after = Some(delay);
        self
    }

    pub(crate) fn hedge(&self) -> Option<Duration> {
        self.hedge_after
    }

    pub(crate) fn attempts_max(&self) -> u32 {
        self.max_attempts
    }

    pub(crate) fn attempt_limit(&self) -> Option<Duration> {
        self.attempt_timeout
    }

    pub(crate) fn owners(&self) -> usize {
        self.target.owners()
    }

    pub(crate) fn walks(&self) -> bool {
        self.target.walks()
    }

    pub(crate) fn tokens(&self) -> u32 {
        self.tokens
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        in_range("max_attempts", self.max_attempts.into(), 1, ATTEMPTS_LIMIT.into())?;
        in_range("target: owners", self.owners() as u64, 1, OWNERS_LIMIT as u64)?;
        in_range("schedule: entries", self.schedule.0.len() as u64, 0, SCHEDULE_LEN_LIMIT as u64)?;
        in_range("retry_tokens", self.tokens.into(), 0, RETRY_TOKENS_LIMIT.into())?;
        for &wait in &self.schedule.0 {
            duration_in_range("schedule", wait, Duration::ZERO, BACKOFF_LIMIT)?;
        }
        let times = [("attempt_timeout", self.attempt_timeout), ("hedge_after", self.hedge_after)];
        for (field, time) in times {
            let Some(time) = time else { continue };
            duration_in_range(field, time, ATTEMPT_TIMEOUT_MIN, ATTEMPT_TIMEOUT_MAX)?;
        }
        Ok(())
    }
}

/// How an attempt ended without a response that the caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureClass {
    /// Nothing was sent: no owner, no connection, or the connection took no more requests.
    NeverSent,
    /// It was sent, and the peer says that no handler saw it: GOAWAY below its last stream,
    /// REFUSED_STREAM, or a refusal by the peer's own forwarder.
    Refused,
    /// The peer answered nothing but the status UNAVAILABLE. Its handler may have run.
    Unavailable,
    /// The connection broke before a response. Whether the handler ran is unknown.
    Ambiguous,
    /// No response came within the time of an attempt. Whether the handler ran is unknown.
    Unanswered,
    /// The peer, or a proxy in front of it, answered a gRPC call with an HTTP error and without a
    /// gRPC status, and gRPC maps that error to UNAVAILABLE: 429, 502, 503 or 504. A handler may
    /// have run.
    HttpError,
    /// As many calls are in flight as may be: to the peer, by our own limit, or at the peer, which
    /// says so. No handler saw the call, and the next owner is not asked either: the load of one
    /// owner must not become the load of all.
    Overloaded,
    /// A response has begun.
    Committed,
    /// The caller's own request failed: it was cancelled or its body broke.
    Caller,
}

impl FailureClass {
    /// Whether a handler may have run.
    pub(crate) fn may_be_executed(self) -> bool {
        matches!(self, Self::Unavailable | Self::Ambiguous | Self::Unanswered | Self::HttpError)
    }
}

/// How one attempt ended, as a [`Resolver`](crate::Resolver) learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// The peer answered, with whatever status.
    Answered,
    /// It did not, or answered that it cannot.
    Failed(FailureClass),
}

/// What the end of an attempt says about the peer that was asked.
///
/// A peer should be avoided for its own faults, and not for those of a call, of its caller, or
/// of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// It serves.
    Serves,
    /// It does not serve, whatever it is asked.
    Fails,
    /// The call failed there, which may be for the sake of its key: a handler that cannot get at
    /// one shard of its data, or that dies of one request, fails at every peer. Failures of
    /// different keys say that it is the peer.
    FailsForKey,
    /// Nothing.
    Nothing,
}

impl AttemptOutcome {
    /// The table. What a resolver makes of it is its own affair;
    /// [`SelectorResolver`](crate::SelectorResolver), with feature `hashring`, counts failures by
    /// it.
    ///
    /// | outcome | says |
    /// |---|---|
    /// | answered, with whatever status but UNAVAILABLE | it serves |
    /// | never sent: no connection, or one that took no request | it fails |
    /// | an HTTP error instead of a gRPC status | it fails |
    /// | UNAVAILABLE by its handler | it fails for this key |
    /// | the connection broke; no answer in time | it fails for this key |
    /// | refused: GOAWAY, REFUSED_STREAM, about to stop | nothing |
    /// | overloaded, by its limit or by ours | nothing |
    /// | a fault of the caller; a response that had begun | nothing |
    #[must_use]
    pub fn evidence(self) -> Evidence {
        use FailureClass::{
            Ambiguous, Caller, Committed, HttpError, NeverSent, Overloaded, Refused, Unanswered,
            Unavailable,
        };
        match self {
            Self::Answered => Evidence::Serves,
            Self::Failed(NeverSent | HttpError) => Evidence::Fails,
            Self::Failed(Unavailable | Ambiguous | Unanswered) => Evidence::FailsForKey,
            Self::Failed(Refused | Overloaded | Committed | Caller) => Evidence::Nothing,
        }
    }
}

/// What a server says about being asked again (gRPC proposal A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushback {
    /// After this time.
    After(Duration),
    /// Not at all.
    Never,
}

impl Pushback {
    /// Reads the header of a failed response. A negative number means never, and so does any other
    /// text.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(GRPC_PUSHBACK_HEADER)?;
        let number = value.to_str().ok().and_then(|text| text.parse::<u32>().ok());
        Some(number.map_or(Self::Never, |ms| Self::After(Duration::from_millis(ms.into()))))
    }
}

/// The state of a call when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryContext {
    pub(crate) class: FailureClass,
    /// Executing the call twice is harmless.
    pub(crate) idempotent: bool,
    /// The whole request can be produced again.
    pub(crate) replayable: bool,
    /// Attempts made so far, the failed one included, but for those that only walked past an owner
    /// that cannot be reached.
    pub(crate) attempts: u32,
    /// Waits made so far.
    pub(crate) waits: u32,
    /// An owner is left that was not tried in this round.
    pub(crate) untried: bool,
    /// Time left until the deadline, if there is one.
    pub(crate) remaining: Option<Duration>,
    /// The retry budget pays for another attempt at what may have been executed.
    pub(crate) affordable: bool,
    /// What the server wants, if it said so.
    pub(crate) pushback: Option<Pushback>,
    /// A random number from 0 to 1 for the jitter.
    pub(crate) jitter: f64,
}

/// What to do about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Ask the next owner now.
    NextOwner,
    /// Wait, then look up again and begin a new round.
    Wait(Duration),
    /// Answer with the failure.
    GiveUp(GiveUp),
}

/// Why a failed call is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveUp {
    Committed,
    Caller,
    Overloaded,
    NotReplayable,
    MaybeExecuted,
    BudgetSpent,
    PushedBack,
    AttemptsSpent,
    NoTimeLeft,
}

impl GiveUp {
    /// As figures name it.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Caller => "broken-request",
            Self::Overloaded => "overloaded",
            Self::NotReplayable => "not-replayable",
            Self::MaybeExecuted => "maybe-executed",
            Self::BudgetSpent => "budget-spent",
            Self::PushedBack => "pushed-back",
            Self::AttemptsSpent => "attempts-spent",
            Self::NoTimeLeft => "no-time-left",
        }
    }

    /// The end of the sentence that the caller reads.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Committed => "a response had begun",
            Self::Caller => "the request itself failed",
            Self::Overloaded => "the next owner is not asked instead",
            Self::PushedBack => "not sent again, because the owner asks not to",
            Self::BudgetSpent => "not sent again, because too many calls failed lately",
            Self::NotReplayable => {
                "not sent again, because more of the request was sent than is kept for a replay"
            }
            Self::MaybeExecuted => {
                "not sent again, because it may have been executed and the method is not marked idempotent"
            }
            Self::AttemptsSpent => "no attempt is left",
            Self::NoTimeLeft => "the deadline leaves no time for another attempt",
        }
    }
}

/// The table. The order of the rows matters: the first that applies decides.
pub(crate) fn decide(policy: &Policy, now: &RetryContext) -> Decision {
    use FailureClass::{
        Ambiguous, Caller, Committed, HttpError, NeverSent, Overloaded, Refused, Unanswered,
        Unavailable,
    };

    match now.class {
        Committed => return Decision::GiveUp(GiveUp::Committed),
        Caller => return Decision::GiveUp(GiveUp::Caller),
        Overloaded => return Decision::GiveUp(GiveUp::Overloaded),
        Ambiguous | Unanswered | Unavailable | HttpError if !now.idempotent => {
            return Decision::GiveUp(GiveUp::MaybeExecuted);
        }
        NeverSent | Refused | Ambiguous | Unanswered | Unavailable | HttpError => {}
    }
    if !now.replayable {
        return Decision::GiveUp(GiveUp::NotReplayable);
    }
    if now.pushback == Some(Pushback::Never) {
        return Decision::GiveUp(GiveUp::PushedBack);
    }
    if now.remaining.is_some_and(|left| left.is_zero()) {
        return Decision::GiveUp(GiveUp::NoTimeLeft);
    }
    if now.class == NeverSent && now.untried {
        return Decision::NextOwner;
    }
    if now.attempts >= policy.max_attempts {
        return Decision::GiveUp(GiveUp::AttemptsSpent);
    }
    if now.class.may_be_executed() && !now.affordable {
        return Decision::GiveUp(GiveUp::BudgetSpent);
    }
    if !now.class.may_be_executed() && now.untried {
        return Decision::NextOwner;
    }
    let wait = match now.pushback {
        Some(Pushback::After(wait)) => wait,
        _ => policy.schedule.wait(now.waits, now.jitter),
    };
    match now.remaining {
        Some(left) if wait >= left => Decision::GiveUp(GiveUp::NoTimeLeft),
        // Without a deadline, a server does not decide how long its callers wait.
        None if wait > BACKOFF_LIMIT.mul_f64(1.0 + BACKOFF_JITTER) => {
            Decision::GiveUp(GiveUp::PushedBack)
        }
        _ => Decision::Wait(wait),
    }
}

#[cfg(test)]
mod tests;
