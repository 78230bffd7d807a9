//! Counters of everything that forwarding decided.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`Forwarder`](crate::Forwarder) has done since it was built. Every figure but the gauges only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls of routed methods that were handled in this process.
    pub local: u64,
    /// Calls that were answered by another process.
    pub forwarded: u64,
    /// Calls that failed here: no owner could be asked, or asked again.
    pub failed: u64,
    /// Further attempts after one that was never sent.
    pub retries_never_sent: u64,
    /// Further attempts after one that was refused before a handler saw it.
    pub retries_refused: u64,
    /// Further attempts after one that was answered UNAVAILABLE.
    pub retries_unavailable: u64,
    /// Further attempts after one that may have been executed.
    pub retries_ambiguous: u64,
    /// Further attempts after one that was not answered in its time.
    pub retries_unanswered: u64,
    /// Further attempts that went to another owner than the one before.
    pub rerouted: u64,
    /// Failed attempts that were the last, because the call may have been executed and must not run twice.
    pub not_retried_maybe_executed: u64,
    /// Failed attempts that were the last, because more of the request was sent than is kept for a replay.
    pub not_retried_not_replayable: u64,
    /// Failed attempts that were the last, because the retry budget of the destination was spent.
    pub not_retried_budget_spent: u64,
    /// Failed attempts that were the last, because the owner asked not to be asked again.
    pub not_retried_pushed_back: u64,
    /// Failed attempts that were the last that the policy allows.
    pub not_retried_attempts_spent: u64,
    /// Failed attempts that were the last, because the deadline left no time for another one.
    pub not_retried_no_time_left: u64,
    /// Calls that found as many others in flight to their owner as may be.
    pub not_retried_overloaded: u64,
    /// Attempts beside one that was slow; see [`Policy::hedge_after`](crate::Policy::hedge_after).
    pub hedges: u64,
    /// Hedges that answered before the slow attempt did.
    pub hedges_won: u64,
    /// Hedges that were not sent, because the retry budget of the slow destination did not pay for them.
    pub hedges_unaffordable: u64,
    /// Calls that went past an owner in doubt; see [`Forwarder::set_peer_state`](crate::Forwarder::set_peer_state).
    pub doubtful_skips: u64,
    /// Calls that were refused because the drain had ended or too many were in flight.
    pub refused: u64,
    /// Calls that were refused because their key was missing or unreadable.
    pub bad_keys: u64,
    /// Direct requests that were refused because of their keys or their size.
    pub bad_direct_requests: u64,
    /// Calls that this process would have sent on, had they not come as far as they may, or been here before.
    pub loops_stopped: u64,
    /// Hop headers from senders that are not trusted, or that could not be read.
    pub bad_hop_headers: u64,
    /// Forwarded calls whose sender saw another epoch of the ring.
    pub epochs_differed: u64,
    /// Forwarded calls that this process does not own in the way their sender thought.
    pub keys_differed: u64,
    /// Forwarded calls that were refused because their sender sees another ring.
    pub refused_ring_differs: u64,
    /// Forwarded calls that were refused because this process is no owner of their key.
    pub refused_not_owner: u64,
    /// Forwarded calls that were refused because they had been here before, or had travelled too far unbelieved.
    pub refused_loop: u64,
    /// Calls that were answered DEADLINE_EXCEEDED here, handled in this process or forwarded.
    pub deadlines_exceeded: u64,
    /// Calls that were given up because their first message did not come in time.
    pub first_messages_late: u64,
    /// Calls whose own request broke off before an owner had all of it.
    pub broken_requests: u64,
    /// Responses of owners that broke off, or ended without a status, after they had begun.
    pub broken_responses: u64,
    /// Requests that were not kept to be sent again, because all calls together keep as much as they may.
    pub replays_unkept: u64,
    /// Timeouts of callers that could not be read, so that their calls have no deadline.
    pub bad_timeouts: u64,
    /// Streams that were ended because their key had moved; see [`Routes::end_when_moved`](crate::Routes::end_when_moved).
    pub streams_moved: u64,
    /// Dials that failed.
    pub dial_failures: u64,
    /// Connections to peers that ended because a PING was not answered.
    pub pings_unanswered: u64,
    /// Connections that peers ended because they got more PINGs than they want.
    pub pings_unwanted: u64,
    /// How often a peer was found to be unreachable, so that calls skip it.
    pub circuits_opened: u64,
    /// Calls that skipped an unreachable peer without waiting for it.
    pub circuit_skips: u64,
    /// Requests that were not sent because their header list is larger than their owner takes, and responses whose header
    /// list, or trailers, are larger than is taken here.
    pub header_lists_exceeded: u64,
    /// Gauge: peers that are skipped at this moment.
    pub circuits_open: u64,
    /// Gauge: calls of routed methods in flight.
    pub in_flight: u64,
    /// Gauge: bytes of requests that are kept so that they can be sent again.
    pub replay_bytes: u64,
    /// Gauge: open connections to peers.
    pub connections: u64,
}

impl Stats {
    /// All figures by name, in order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("local", self.local),
            ("forwarded", self.forwarded),
            ("failed", self.failed),
            ("retries_never_sent", self.retries_never_sent),
            ("retries_refused", self.retries_refused),
            ("retries_unavailable", self.retries_unavailable),
            ("retries_ambiguous", self.retries_ambiguous),
            ("retries_unanswered", self.retries_unanswered),
            ("rerouted", self.rerouted),
            ("not_retried_maybe_executed", self.not_retried_maybe_executed),
            ("not_retried_not_replayable", self.not_retried_not_replayable),
            ("not_retried_budget_spent", self.not_retried_budget_spent),
            ("not_retried_pushed_back", self.not_retried_pushed_back),
            ("not_retried_attempts_spent", self.not_retried_attempts_spent),
            ("not_retried_no_time_left", self.not_retried_no_time_left),
            ("not_retried_overloaded", self.not_retried_overloaded),
            ("hedges", self.hedges),
            ("hedges_won", self.hedges_won),
            ("hedges_unaffordable", self.hedges_unaffordable),
            ("doubtful_skips", self.doubtful_skips),
            ("refused", self.refused),
            ("bad_keys", self.bad_keys),
            ("bad_direct_requests", self.bad_direct_requests),
            ("loops_stopped", self.loops_stopped),
            ("bad_hop_headers", self.bad_hop_headers),
            ("epochs_differed", self.epochs_differed),
            ("keys_differed", self.keys_differed),
            ("refused_ring_differs", self.refused_ring_differs),
            ("refused_not_owner", self.refused_not_owner),
            ("refused_loop", self.refused_loop),
            ("deadlines_exceeded", self.deadlines_exceeded),
            ("first_messages_late", self.first_messages_late),
            ("broken_requests", self.broken_requests),
            ("broken_responses", self.broken_responses),
            ("replays_unkept", self.replays_unkept),
            ("bad_timeouts", self.bad_timeouts),
            ("streams_moved", self.streams_moved),
            ("dial_failures", self.dial_failures),
            ("pings_unanswered", self.pings_unanswered),
            ("pings_unwanted", self.pings_unwanted),
            ("circuits_opened", self.circuits_opened),
            ("circuit_skips", self.circuit_skips),
            ("header_lists_exceeded", self.header_lists_exceeded),
            ("circuits_open", self.circuits_open),
            ("in_flight", self.in_flight),
            ("replay_bytes", self.replay_bytes),
            ("connections", self.connections),
        ]
        .into_iter()
    }
}

/// The counters behind [`Stats`]. They are statistics and order nothing, hence relaxed.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) local: Counter,
    pub(crate) forwarded: Counter,
    pub(crate) failed: Counter,
    pub(crate) retries_never_sent: Counter,
    pub(crate) retries_refused: Counter,
    pub(crate) retries_unavailable: Counter,
    pub(crate) retries_ambiguous: Counter,
    pub(crate) retries_unanswered: Counter,
    pub(crate) rerouted: Counter,
    pub(crate) not_retried_maybe_executed: Counter,
    pub(crate) not_retried_not_replayable: Counter,
    pub(crate) not_retried_budget_spent: Counter,
    pub(crate) not_retried_pushed_back: Counter,
    pub(crate) not_retried_attempts_spent: Counter,
    pub(crate) not_retried_no_time_left: Counter,
    pub(crate) not_retried_overloaded: Counter,
    pub(crate) hedges: Counter,
    pub(crate) hedges_won: Counter,
    pub(crate) hedges_unaffordable: Counter,
    pub(crate) doubtful_skips: Counter,
    pub(crate) refused: Counter,
    pub(crate) bad_keys: Counter,
    pub(crate) bad_direct_requests: Counter,
    pub(crate) loops_stopped: Counter,
    pub(crate) bad_hop_headers: Counter,
    pub(crate) epochs_differed: Counter,
    pub(crate) keys_differed: Counter,
    pub(crate) refused_ring_differs: Counter,
    pub(crate) refused_not_owner: Counter,
    pub(crate) refused_loop: Counter,
    pub(crate) deadlines_exceeded: Counter,
    pub(crate) first_messages_late: Counter,
    pub(crate) broken_requests: Counter,
    pub(crate) broken_responses: Counter,
    pub(crate) bad_timeouts: Counter,
    pub(crate) streams_moved: Counter,
}

impl Counters {
    /// Everything that is counted here; the rest is left to its owners.
    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            local: self.local.get(),
            forwarded: self.forwarded.get(),
            failed: self.failed.get(),
            retries_never_sent: self.retries_never_sent.get(),
            retries_refused: self.retries_refused.get(),
            retries_unavailable: self.retries_unavailable.get(),
            retries_ambiguous: self.retries_ambiguous.get(),
            retries_unanswered: self.retries_unanswered.get(),
            rerouted: self.rerouted.get(),
            not_retried_maybe_executed: self.not_retried_maybe_executed.get(),
            not_retried_not_replayable: self.not_retried_not_replayable.get(),
            not_retried_budget_spent: self.not_retried_budget_spent.get(),
            not_retried_pushed_back: self.not_retried_pushed_back.get(),
            not_retried_attempts_spent: self.not_retried_attempts_spent.get(),
            not_retried_no_time_left: self.not_retried_no_time_left.get(),
            not_retried_overloaded: self.not_retried_overloaded.get(),
            hedges: self.hedges.get(),
            hedges_won: self.hedges_won.get(),
            hedges_unaffordable: self.hedges_unaffordable.get(),
            doubtful_skips: self.doubtful_skips.get(),
            refused: self.refused.get(),
            bad_keys: self.bad_keys.get(),
            bad_direct_requests: self.bad_direct_requests.get(),
            loops_stopped: self.loops_stopped.get(),
            bad_hop_headers: self.bad_hop_headers.get(),
            epochs_differed: self.epochs_differed.get(),
            keys_differed: self.keys_differed.get(),
            refused_ring_differs: self.refused_ring_differs.get(),
            refused_not_owner: self.refused_not_owner.get(),
            refused_loop: self.refused_loop.get(),
            deadlines_exceeded: self.deadlines_exceeded.get(),
            first_messages_late: self.first_messages_late.get(),
            broken_requests: self.broken_requests.get(),
            broken_responses: self.broken_responses.get(),
            bad_timeouts: self.bad_timeouts.get(),
            streams_moved: self.streams_moved.get(),
            ..Stats::default()
        }
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
