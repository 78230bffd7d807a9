//! Counters of everything that forwarding decided.

use std::sync::atomic::{AtomicU64, Ordering};

/// Names the figures of a part once, for the struct that users read, its iterator, and the counters
/// behind it.
macro_rules! counters {
    (
        $(#[$about:meta])*
        pub struct $stats:ident;
        counted in $counters:ident { $($(#[doc = $doc:literal])* $counted:ident,)* }
        read from elsewhere { $($(#[doc = $other_doc:literal])* $other:ident,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $stats {
            $($(#[doc = $doc])* pub $counted: u64,)*
            $($(#[doc = $other_doc])* pub $other: u64,)*
        }

        impl $stats {
            /// All figures by name, in order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [
                    $((stringify!($counted), self.$counted),)*
                    $((stringify!($other), self.$other),)*
                ]
                .into_iter()
            }
        }

        impl $stats {
            /// What each figure means, by name, in order of declaration: the text of its field.
            pub fn descriptions() -> impl Iterator<Item = (&'static str, &'static str)> {
                [
                    $((stringify!($counted), concat!($($doc),*)),)*
                    $((stringify!($other), concat!($($other_doc),*)),)*
                ]
                .into_iter()
            }
        }

        /// The counters behind the figures. They are statistics and order nothing, hence relaxed.
        #[derive(Debug, Default)]
        pub(crate) struct $counters {
            $(pub(crate) $counted: $crate::stats::Counter,)*
        }

        impl $counters {
            /// Everything that is counted here; the rest is left to its owners.
            pub(crate) fn snapshot(&self) -> $stats {
                $stats { $($counted: self.$counted.get(),)* ..$stats::default() }
            }
        }
    };
}

pub(crate) use counters;

counters! {
    /// What a [`Forwarder`](crate::Forwarder) has done since it was built. Every figure but the
    /// gauges only grows.
    pub struct Stats;
    counted in Counters {
        /// Calls of routed methods that were handled in this process.
        local,
        /// Calls that were answered by another process.
        forwarded,
        /// Calls that failed here: no owner could be asked, or asked again.
        failed,
        /// Further attempts after one that was never sent.
        retries_never_sent,
        /// Further attempts after one that was refused before a handler saw it.
        retries_refused,
        /// Further attempts after one that was answered UNAVAILABLE.
        retries_unavailable,
        /// Further attempts after one that may have been executed.
        retries_ambiguous,
        /// Further attempts after one that was not answered in its time.
        retries_unanswered,
        /// Further attempts that went to another owner than the one before.
        rerouted,
        /// Failed attempts that were the last, because the call may have been executed and must not
        /// run twice.
        not_retried_maybe_executed,
        /// Failed attempts that were the last, because more of the request was sent than is kept
        /// for a replay.
        not_retried_not_replayable,
        /// Failed attempts that were the last, because the retry budget of the destination was
        /// spent.
        not_retried_budget_spent,
        /// Failed attempts that were the last, because the owner asked not to be asked again.
        not_retried_pushed_back,
        /// Failed attempts that were the last that the policy allows.
        not_retried_attempts_spent,
        /// Failed attempts that were the last, because the deadline left no time for another one.
        not_retried_no_time_left,
        /// Calls that found as many others in flight to their owner as may be.
        not_retried_overloaded,
        /// Attempts beside one that was slow; see
        /// [`Policy::hedge_after`](crate::Policy::hedge_after).
        hedges,
        /// Hedges that answered before the slow attempt did.
        hedges_won,
        /// Hedges that were not sent, because the retry budget of the slow destination did not pay
        /// for them.
        hedges_unaffordable,
        /// Calls that went past an owner in doubt; see
        /// [`ForwarderControl::set_peer_state`](crate::ForwarderControl::set_peer_state).
        doubtful_skips,
        /// Calls that were refused because the drain had ended or too many were in flight.
        refused,
        /// Calls that waited here because their key was about to move; see
        /// [`Resolver::hold`](crate::Resolver::hold).
        held,
        /// Calls whose key was about to move, and that could not wait for it or not long enough.
        held_refused,
        /// Calls that were refused because their key was missing or unreadable.
        bad_keys,
        /// Direct requests that were refused because of their keys or their size.
        bad_direct_requests,
        /// Calls that this process would have sent on, had they not come as far as they may, or
        /// been here before.
        loops_stopped,
        /// Hop headers from senders that are not trusted, or that could not be read.
        bad_hop_headers,
        /// Forwarded calls whose sender saw another epoch of the ring.
        epochs_differed,
        /// Forwarded calls that this process does not own in the way their sender thought.
        keys_differed,
        /// Forwarded calls that were refused because their sender sees another ring.
        refused_ring_differs,
        /// Forwarded calls that were refused because this process is no owner of their key.
        refused_not_owner,
        /// Forwarded calls that were refused because they had been here before, or had been
        /// forwarded too far unbelieved.
        refused_loop,
        /// Calls that were answered DEADLINE_EXCEEDED here, handled in this process or forwarded.
        deadlines_exceeded,
        /// Calls that were given up because their first message did not come in time.
        first_messages_late,
        /// Calls whose own request broke off before an owner had all of it.
        broken_requests,
        /// Responses of owners that broke off, or ended without a status, after they had begun.
        broken_responses,
        /// Timeouts of callers that could not be read, so their calls have no deadline.
        bad_timeouts,
        /// Streams that were ended because their key had moved; see
        /// [`Routes::end_when_moved`](crate::Routes::end_when_moved).
        streams_moved,
    }
    read from elsewhere {
        /// Requests that were not kept to be sent again, because all calls together keep as much as
        /// they may.
        replays_unkept,
        /// Dials that failed.
        dial_failures,
        /// Connections to peers that ended because a PING was not answered.
        pings_unanswered,
        /// Connections that peers ended because they got more PINGs than they want.
        pings_unwanted,
        /// How often a peer was found to be unreachable, so calls skip it.
        circuits_opened,
        /// Calls that skipped an unreachable peer without waiting for it.
        circuit_skips,
        /// Requests that were not sent because their header list is larger than their owner takes,
        /// and responses whose header list, or trailers, are larger than is taken here.
        header_lists_exceeded,
        /// Gauge: peers that are skipped at this moment.
        circuits_open,
        /// Gauge: calls of routed methods in flight.
        in_flight,
        /// Gauge: bytes of requests that are kept so that they can be sent again.
        replay_bytes,
        /// Gauge: open connections to peers.
        connections,
    }
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
