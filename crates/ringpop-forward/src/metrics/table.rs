//! What the figures of an observer mean: the one list that code and pages share.

use std::borrow::Cow;

use metrics::{KeyName, Recorder, SharedString, Unit};

use super::MetricsObserver;

/// The kind of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It may fall.
    Gauge,
    /// A distribution.
    Histogram,
}

impl MetricKind {
    /// The lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    /// Tells the recorder of the process what a figure of this kind means. Its unit follows from
    /// its name: `_seconds`, `_bytes`, and a count for a counter.
    pub fn describe(self, name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) {
        let (name, help) = (name.into(), help.into());
        let unit = match self {
            _ if name.ends_with("_seconds") => Some(Unit::Seconds),
            _ if name.ends_with("_bytes") => Some(Unit::Bytes),
            Self::Counter => Some(Unit::Count),
            _ => None,
        };
        metrics::with_recorder(|recorder| {
            let describe = match self {
                Self::Counter => Recorder::describe_counter,
                Self::Gauge => Recorder::describe_gauge,
                Self::Histogram => Recorder::describe_histogram,
            };
            describe(recorder, KeyName::from(name), unit, SharedString::from(help));
        });
    }
}

/// What a figure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricDescription {
    /// The name, in the form that Prometheus wants. A time ends in `_seconds`, a size in `_bytes`,
    /// a counter in `_total`.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Labels beside `member`.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

impl MetricsObserver {
    /// What an observer records as it happens.
    pub const DESCRIPTIONS: &'static [MetricDescription] = &[
        metric(
            "ringpop_request_proxy_egress_total",
            MetricKind::Counter,
            &["peer"],
            "Attempts sent to an owner; the label peer only if wanted",
        ),
        metric(
            "ringpop_request_proxy_send_success_total",
            MetricKind::Counter,
            &["peer"],
            "Attempts answered",
        ),
        metric(
            "ringpop_request_proxy_send_error_total",
            MetricKind::Counter,
            &["peer", "class"],
            "Attempts that got no answer, by how they failed",
        ),
        metric(
            "ringpop_request_proxy_send_seconds",
            MetricKind::Histogram,
            &["peer"],
            "How long attempts at owners took",
        ),
        metric(
            "ringpop_request_proxy_retry_attempted_total",
            MetricKind::Counter,
            &["class"],
            "Further attempts, by how the attempt before failed",
        ),
        metric(
            "ringpop_request_proxy_retry_succeeded_total",
            MetricKind::Counter,
            &["method"],
            "Calls answered after more than one attempt",
        ),
        metric(
            "ringpop_request_proxy_retry_failed_total",
            MetricKind::Counter,
            &["method"],
            "Calls that failed after every attempt that is allowed",
        ),
        metric(
            "ringpop_request_proxy_retry_aborted_total",
            MetricKind::Counter,
            &["method"],
            "Calls that failed before every attempt was made, because another one was not safe or not in time",
        ),
        metric(
            "ringpop_request_proxy_retry_reroute_local_total",
            MetricKind::Counter,
            &[],
            "Further attempts that were handled here",
        ),
        metric(
            "ringpop_request_proxy_retry_reroute_remote_total",
            MetricKind::Counter,
            &[],
            "Further attempts that went to another owner",
        ),
        metric(
            "ringpop_request_proxy_not_retried_total",
            MetricKind::Counter,
            &["class", "reason"],
            "Failed attempts that were the last of their call",
        ),
        metric(
            "ringpop_request_proxy_hedge_attempted_total",
            MetricKind::Counter,
            &["method"],
            "Attempts beside a slow one",
        ),
        metric(
            "ringpop_request_proxy_hedge_succeeded_total",
            MetricKind::Counter,
            &["method"],
            "Attempts beside a slow one that answered first",
        ),
        metric(
            "ringpop_request_proxy_ingress_total",
            MetricKind::Counter,
            &["method"],
            "Calls that others forwarded here",
        ),
        metric(
            "ringpop_request_proxy_hops",
            MetricKind::Histogram,
            &[],
            "How often calls were forwarded that are handled here",
        ),
        metric(
            "ringpop_request_proxy_checksums_differ_total",
            MetricKind::Counter,
            &[],
            "Forwarded calls whose sender sees another ring",
        ),
        metric(
            "ringpop_request_proxy_keys_differ_total",
            MetricKind::Counter,
            &[],
            "Forwarded calls for a key that is not owned here",
        ),
        metric(
            "ringpop_request_proxy_refused_total",
            MetricKind::Counter,
            &["reason"],
            "Calls refused before a handler saw them",
        ),
        metric(
            "ringpop_request_proxy_bad_key_total",
            MetricKind::Counter,
            &[],
            "Calls without a key that can be read",
        ),
    ];

    /// What [`record`](Self::record) sets besides.
    pub const RECORDED: &'static [MetricDescription] = &[
        metric(
            "ringpop_request_proxy_inflight",
            MetricKind::Gauge,
            &[],
            "Calls of routed methods in flight",
        ),
        metric(
            "ringpop_request_proxy_connections",
            MetricKind::Gauge,
            &[],
            "Open connections to owners",
        ),
        metric(
            "ringpop_request_proxy_replay_bytes",
            MetricKind::Gauge,
            &[],
            "Bytes of requests that are kept to be sent again",
        ),
        metric(
            "ringpop_request_proxy_circuits_open",
            MetricKind::Gauge,
            &[],
            "Owners that calls skip because they cannot be reached",
        ),
        metric(
            "ringpop_request_proxy_doubtful_skips_total",
            MetricKind::Counter,
            &[],
            "Owners that were passed over because their state was in doubt",
        ),
        metric(
            "ringpop_request_proxy_streams_moved_total",
            MetricKind::Counter,
            &[],
            "Streams that were ended because their key moved",
        ),
        metric(
            "ringpop_request_proxy_held_total",
            MetricKind::Counter,
            &[],
            "Calls that waited because their key was about to move",
        ),
        metric(
            "ringpop_request_proxy_held_refused_total",
            MetricKind::Counter,
            &[],
            "Calls whose key was about to move, and that could not wait for it or not long enough",
        ),
        metric(
            "ringpop_request_proxy_hedges_unaffordable_total",
            MetricKind::Counter,
            &[],
            "Attempts beside a slow one that the retry budget did not pay for",
        ),
        metric(
            "ringpop_request_proxy_bad_direct_requests_total",
            MetricKind::Counter,
            &[],
            "Direct requests refused because of their keys or their size",
        ),
        metric(
            "ringpop_request_proxy_loops_stopped_total",
            MetricKind::Counter,
            &[],
            "Calls not sent on because they had come as far as they may",
        ),
        metric(
            "ringpop_request_proxy_bad_hop_headers_total",
            MetricKind::Counter,
            &[],
            "Hop headers that are not believed or cannot be read",
        ),
        metric(
            "ringpop_request_proxy_deadlines_exceeded_total",
            MetricKind::Counter,
            &[],
            "Calls answered DEADLINE_EXCEEDED here",
        ),
        metric(
            "ringpop_request_proxy_broken_requests_total",
            MetricKind::Counter,
            &[],
            "Calls whose own request broke off",
        ),
        metric(
            "ringpop_request_proxy_broken_responses_total",
            MetricKind::Counter,
            &[],
            "Responses of owners that broke off",
        ),
        metric(
            "ringpop_request_proxy_replays_unkept_total",
            MetricKind::Counter,
            &[],
            "Requests not kept to be sent again for want of memory",
        ),
        metric(
            "ringpop_request_proxy_bad_timeouts_total",
            MetricKind::Counter,
            &[],
            "Timeouts of callers that cannot be read",
        ),
        metric(
            "ringpop_request_proxy_first_messages_late_total",
            MetricKind::Counter,
            &[],
            "Calls given up because their first message did not come in time",
        ),
        metric(
            "ringpop_request_proxy_header_lists_exceeded_total",
            MetricKind::Counter,
            &[],
            "Header lists larger than the other side takes",
        ),
        metric(
            "ringpop_request_proxy_dial_failures_total",
            MetricKind::Counter,
            &[],
            "Dials that failed",
        ),
        metric(
            "ringpop_request_proxy_pings_unanswered_total",
            MetricKind::Counter,
            &[],
            "Connections that ended because a PING was not answered",
        ),
        metric(
            "ringpop_request_proxy_pings_unwanted_total",
            MetricKind::Counter,
            &[],
            "Connections that ended because of too many PINGs",
        ),
        metric(
            "ringpop_request_proxy_circuits_opened_total",
            MetricKind::Counter,
            &[],
            "How often an owner was found to be unreachable",
        ),
        metric(
            "ringpop_request_proxy_circuit_skips_total",
            MetricKind::Counter,
            &[],
            "Calls that skipped an unreachable owner",
        ),
    ];
}

const fn metric(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricDescription {
    MetricDescription { name, kind, labels, help }
}
