//! What happens to calls, told as it happens to an exporter.
//!
//! The crate has no metrics library of its own: an [`Observer`] translates. With feature `metrics`
//! there is one, `MetricsObserver`, under Ringpop's names.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::resolver::Peer;
use crate::retry::policy::FailureClass;

/// Hears what happens to the calls of a forwarder. See
/// [`Builder::observer`](crate::Builder::observer).
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use ringpop_forward::{ForwardEvent, Observer};
///
/// #[derive(Default)]
/// struct Retries(AtomicU64);
///
/// impl Observer for Retries {
///     fn event(&self, event: &ForwardEvent<'_>) {
///         if let ForwardEvent::Retried { .. } = event {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Takes note. Runs on the request path: it must not block, and should not allocate.
    fn event(&self, event: &ForwardEvent<'_>);
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn event(&self, event: &ForwardEvent<'_>) {
        (**self).event(event);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn event(&self, event: &ForwardEvent<'_>) {
        (**self).event(event);
    }
}

/// Something that happened to a call of a routed method.
///
/// `method` is the path of the method as the route table has it, and `_OTHER` for routes without a
/// path, so callers cannot invent names for it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ForwardEvent<'a> {
    /// Another member forwarded a call here.
    Received {
        /// The method.
        method: &'a str,
        /// How often the call was forwarded so far.
        hops: u8,
    },
    /// The sender of a forwarded call sees another ring.
    RingDiffers,
    /// This process does not own the key of a forwarded call in the way its sender thinks.
    KeyDiffers,
    /// A call was refused before a handler saw it.
    Refused {
        /// `draining`, `overloaded`, `ring-differs`, `not-owner` or `loop`.
        reason: &'static str,
    },
    /// A call had no key, or one that cannot be read.
    BadKey,
    /// It was decided where a call with this key goes. Keys are bytes of callers, and may be
    /// secret.
    Placed {
        /// The key.
        key: &'a [u8],
        /// Whether the call is handled in this process.
        here: bool,
    },
    /// A call is handled in this process.
    Handled {
        /// The method.
        method: &'a str,
        /// How often the call was forwarded before.
        hops: u8,
    },
    /// An attempt at an owner begins.
    Sent {
        /// The method.
        method: &'a str,
        /// The owner.
        peer: &'a Peer,
        /// 1 for the first attempt of the call.
        attempt: u32,
    },
    /// An attempt at an owner has ended: with the head of a response, or without one.
    AttemptEnded {
        /// The method.
        method: &'a str,
        /// The owner.
        peer: &'a Peer,
        /// 1 for the first attempt of the call.
        attempt: u32,
        /// How long it took.
        took: Duration,
        /// How it ended.
        end: AttemptEnd,
    },
    /// A failed attempt is followed by another one.
    Retried {
        /// How the failed attempt ended.
        class: FailureClass,
        /// Where the next one goes.
        to: RetriedAt,
    },
    /// A failed attempt is the last of its call.
    NotRetried {
        /// How the attempt ended.
        class: FailureClass,
        /// Why there is no other: `maybe-executed`, `not-replayable`, `budget-spent`,
        /// `pushed-back`, `attempts-spent`, `no-time-left`, `overloaded`, `broken-request` or
        /// `committed`.
        reason: &'static str,
    },
    /// An attempt is slow, and another one begins beside it; see
    /// [`Policy::hedge_after`](crate::Policy::hedge_after).
    Hedged {
        /// The method.
        method: &'a str,
    },
    /// The attempt that was made beside a slow one has answered before it.
    HedgeWon {
        /// The method.
        method: &'a str,
    },
    /// A call was answered by an owner, which may have answered with an error.
    Forwarded {
        /// The method.
        method: &'a str,
        /// Attempts made.
        attempts: u32,
    },
    /// A call failed here: no owner could be asked, or asked again.
    Failed {
        /// The method.
        method: &'a str,
        /// Attempts made; 0 when the deadline cut the call off.
        attempts: u32,
        /// Every attempt that the policy allows was made. Otherwise another one would not have been
        /// safe, or in time.
        exhausted: bool,
    },
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptEnd {
    /// With a response for the caller.
    Answered,
    /// Without one.
    Failed(FailureClass),
    /// Nobody waited for it any more: the deadline passed, the caller went away, or an attempt
    /// beside it has answered.
    Abandoned,
}

/// Where a further attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetriedAt {
    /// To the owner that was asked last.
    SameOwner,
    /// To another owner.
    OtherOwner,
    /// To this process.
    Here,
    /// Nowhere yet: no owner is known.
    Nowhere,
}

/// The label of calls whose route has no path.
pub(crate) const OTHER_METHOD: &str = "_OTHER";

/// The observer of a forwarder, if it has one.
#[derive(Default)]
pub(crate) struct Observing(Option<Box<dyn Observer>>);

impl Observing {
    pub(crate) fn with(observer: impl Observer) -> Self {
        Self(Some(Box::new(observer)))
    }

    pub(crate) fn tell(&self, event: ForwardEvent<'_>) {
        if let Some(observer) = &self.0 {
            observer.event(&event);
        }
    }

    /// Tells that an attempt begins, and later, even if it is dropped, that it has ended.
    pub(crate) fn attempt<'a>(
        &'a self,
        method: &'a str,
        peer: &'a Peer,
        attempt: u32,
    ) -> Option<Attempt<'a>> {
        let observer = self.0.as_deref()?;
        observer.event(&ForwardEvent::Sent { method, peer, attempt });
        let begun = Instant::now();
        Some(Attempt { observer, method, peer, attempt, begun, end: AttemptEnd::Abandoned })
    }
}

/// An attempt that is watched.
pub(crate) struct Attempt<'a> {
    observer: &'a dyn Observer,
    method: &'a str,
    peer: &'a Peer,
    attempt: u32,
    begun: Instant,
    end: AttemptEnd,
}

impl Attempt<'_> {
    pub(crate) fn ended(mut self, end: AttemptEnd) {
        self.end = end;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Self { method, peer, attempt, end, .. } = *self;
        let took = self.begun.elapsed();
        self.observer.event(&ForwardEvent::AttemptEnded { method, peer, attempt, took, end });
    }
}
