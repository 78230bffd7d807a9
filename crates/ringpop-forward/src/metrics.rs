//! Feature `metrics`: figures for whatever recorder the process has installed, under Ringpop's
//! names.
//!
//! Ringpop's `requestProxy.send.success` is `ringpop_request_proxy_send_success` here: the prefix,
//! then the name in the form that Prometheus wants.

use metrics::{counter, gauge, histogram};

use crate::connections::ServerStats;
use crate::observe::{AttemptEnd, ForwardEvent, Observer, RetriedAt};
use crate::retry::policy::FailureClass;
use crate::stats::Stats;

const PREFIX: &str = "ringpop_request_proxy_";

/// The gauges among the fields of [`Stats`], and their names here.
const GAUGES: [(&str, &str); 4] = [
    ("in_flight", "inflight"),
    ("connections", "connections"),
    ("replay_bytes", "replay_bytes"),
    ("circuits_open", "circuits_open"),
];

/// The fields of [`Stats`] that events tell as they happen, with more detail.
const TOLD_BY_EVENTS: [&str; 25] = [
    "local",
    "forwarded",
    "failed",
    "retries_never_sent",
    "retries_refused",
    "retries_unavailable",
    "retries_ambiguous",
    "retries_unanswered",
    "rerouted",
    "not_retried_maybe_executed",
    "not_retried_not_replayable",
    "not_retried_budget_spent",
    "not_retried_pushed_back",
    "not_retried_attempts_spent",
    "not_retried_no_time_left",
    "not_retried_overloaded",
    "hedges",
    "hedges_won",
    "refused",
    "bad_keys",
    "epochs_differed",
    "keys_differed",
    "refused_ring_differs",
    "refused_not_owner",
    "refused_loop",
];

/// Exports what happens through the facade of the crate `metrics`.
///
/// Labels are in parentheses. All names but the last group begin with `ringpop_request_proxy_`:
///
/// * `egress` (`peer`): attempts sent to an owner.
/// * `send_success` (`peer`), `send_error` (`peer`, `class`): attempts answered, and not.
/// * `send_seconds` (`peer`): histogram of how long attempts took.
/// * `retry_attempted` (`class`): further attempts.
/// * `retry_succeeded` (`method`): calls answered after more than one attempt.
/// * `retry_failed` (`method`): calls that failed after every attempt that is allowed.
/// * `retry_aborted` (`method`): calls that failed before.
/// * `retry_reroute_local`, `retry_reroute_remote`: further attempts here, and at another owner.
/// * `not_retried` (`class`, `reason`): failed attempts that were the last of their call.
/// * `hedge_attempted`, `hedge_succeeded` (`method`): attempts beside a slow one, and those that
///   answered first.
/// * `ingress` (`method`): calls that others forwarded here.
/// * `hops`: histogram of how often calls were forwarded that are handled here.
/// * `checksums_differ`, `keys_differ`: forwarded calls by another ring, and for a key that is not
///   ours.
/// * `refused` (`reason`): calls refused before a handler saw them.
/// * `bad_key`: calls without a key that can be read.
/// * `inflight`, `connections`, `replay_bytes`, `circuits_open`: gauges, as often as
///   [`record`](Self::record) is called.
/// * The name of each field of [`Stats`] that no event tells, as often as
///   [`record`](Self::record) is called: `deadlines_exceeded`, `dial_failures` and so on.
///
/// `ringpop_server_` and the name of a field of [`ServerStats`]: what callers hold, and how much
/// was taken back, as often as [`record_server`](Self::record_server) is called.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct MetricsObserver;

impl MetricsObserver {
    /// An observer for [`Builder::observer`](crate::Builder::observer).
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Sets the gauges, and the counters that no event tells, from
    /// [`Forwarder::stats`](crate::Forwarder::stats). To be called before each scrape.
    pub fn record(stats: &Stats) {
        for (name, value) in stats.iter() {
            if let Some((_, exported)) = GAUGES.iter().find(|(gauge, _)| *gauge == name) {
                // All are far below 2^53, from where on an f64 loses counts.
                gauge!(format!("{PREFIX}{exported}")).set(value as f64);
            } else if !TOLD_BY_EVENTS.contains(&name) {
                counter!(format!("{PREFIX}{name}")).absolute(value);
            }
        }
    }

    /// Sets the figures of a server from
    /// [`AcceptCounters::server_stats`](crate::AcceptCounters::server_stats). To be called before
    /// each scrape.
    pub fn record_server(stats: &ServerStats) {
        for (name, value) in stats.iter() {
            let is_gauge = ServerStats::GAUGES.contains(&name);
            let name = format!("ringpop_server_{name}");
            if is_gauge {
                gauge!(name).set(value as f64);
            } else {
                counter!(name).absolute(value);
            }
        }
    }
}

impl Observer for MetricsObserver {
    fn event(&self, event: &ForwardEvent<'_>) {
        match *event {
            ForwardEvent::Received { method, .. } => {
                counter!("ringpop_request_proxy_ingress", "method" => method.to_owned())
                    .increment(1);
            }
            ForwardEvent::RingDiffers => {
                counter!("ringpop_request_proxy_checksums_differ").increment(1);
            }
            ForwardEvent::KeyDiffers => {
                counter!("ringpop_request_proxy_keys_differ").increment(1);
            }
            ForwardEvent::Refused { reason } => {
                counter!("ringpop_request_proxy_refused", "reason" => reason).increment(1);
            }
            ForwardEvent::BadKey => counter!("ringpop_request_proxy_bad_key").increment(1),
            ForwardEvent::Handled { hops, .. } => {
                histogram!("ringpop_request_proxy_hops").record(f64::from(hops));
            }
            ForwardEvent::Sent { peer, .. } => {
                let peer = peer.address().to_owned();
                counter!("ringpop_request_proxy_egress", "peer" => peer).increment(1);
            }
            ForwardEvent::AttemptEnded { peer, took, end, .. } => {
                attempt_ended(peer.address(), took.as_secs_f64(), end);
            }
            ForwardEvent::Retried { class, to } => {
                counter!("ringpop_request_proxy_retry_attempted", "class" => class_name(class))
                    .increment(1);
                match to {
                    RetriedAt::Here => {
                        counter!("ringpop_request_proxy_retry_reroute_local").increment(1);
                    }
                    RetriedAt::OtherOwner => {
                        counter!("ringpop_request_proxy_retry_reroute_remote").increment(1);
                    }
                    RetriedAt::SameOwner | RetriedAt::Nowhere => {}
                }
            }
            ForwardEvent::NotRetried { class, reason } => {
                let class = class_name(class);
                counter!("ringpop_request_proxy_not_retried", "class" => class, "reason" => reason)
                    .increment(1);
            }
            ForwardEvent::Hedged { method } => {
                counter!("ringpop_request_proxy_hedge_attempted", "method" => method.to_owned())
                    .increment(1);
            }
            ForwardEvent::HedgeWon { method } => {
                counter!("ringpop_request_proxy_hedge_succeeded", "method" => method.to_owned())
                    .increment(1);
            }
            ForwardEvent::Forwarded { attempts: 0 | 1, .. } => {}
            ForwardEvent::Forwarded { method, .. } => {
                counter!("ringpop_request_proxy_retry_succeeded", "method" => method.to_owned())
                    .increment(1);
            }
            ForwardEvent::Failed { method, exhausted: true, .. } => {
                counter!("ringpop_request_proxy_retry_failed", "method" => method.to_owned())
                    .increment(1);
            }
            ForwardEvent::Failed { method, exhausted: false, .. } => {
                counter!("ringpop_request_proxy_retry_aborted", "method" => method.to_owned())
                    .increment(1);
            }
        }
    }
}

fn attempt_ended(peer: &str, seconds: f64, end: AttemptEnd) {
    histogram!("ringpop_request_proxy_send_seconds", "peer" => peer.to_owned()).record(seconds);
    let class = match end {
        AttemptEnd::Answered => {
            counter!("ringpop_request_proxy_send_success", "peer" => peer.to_owned()).increment(1);
            return;
        }
        AttemptEnd::Failed(class) => class_name(class),
        AttemptEnd::Abandoned => "abandoned",
    };
    counter!("ringpop_request_proxy_send_error", "peer" => peer.to_owned(), "class" => class)
        .increment(1);
}

fn class_name(class: FailureClass) -> &'static str {
    match class {
        FailureClass::NeverSent => "never-sent",
        FailureClass::Refused => "refused",
        FailureClass::Unavailable => "unavailable",
        FailureClass::Ambiguous => "ambiguous",
        FailureClass::Unanswered => "unanswered",
        FailureClass::HttpError => "http-error",
        FailureClass::Overloaded => "overloaded",
        FailureClass::Committed => "committed",
        FailureClass::Caller => "caller",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata,
        Recorder, SharedString, Unit, with_local_recorder,
    };

    use super::*;
    use crate::resolver::Peer;

    /// Records the metrics.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    struct Line(Log, String);

    impl Line {
        fn new(log: &Log, key: &Key) -> Arc<Self> {
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            Arc::new(Self(log.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
        }

        fn write(&self, value: f64) {
            self.0.0.lock().unwrap().push(format!("{} {value}", self.1));
        }
    }

    impl CounterFn for Line {
        fn increment(&self, value: u64) {
            self.write(value as f64);
        }

        fn absolute(&self, value: u64) {
            self.write(value as f64);
        }
    }

    impl GaugeFn for Line {
        fn increment(&self, value: f64) {
            self.write(value);
        }

        fn decrement(&self, value: f64) {
            self.write(-value);
        }

        fn set(&self, value: f64) {
            self.write(value);
        }
    }

    impl HistogramFn for Line {
        fn record(&self, value: f64) {
            self.write(value);
        }
    }

    impl Log {
        /// The recorded metrics, without the prefix that every name has.
        fn lines(&self) -> Vec<String> {
            let lines = self.0.lock().unwrap();
            let short =
                |line: &String| line.trim_start_matches("ringpop_request_proxy_").to_owned();
            lines.iter().map(short).collect()
        }
    }

    impl Recorder for Log {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Line::new(self, key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Line::new(self, key))
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Line::new(self, key))
        }
    }

    #[test]
    fn each_event_has_the_name_that_ringpop_gave_it() {
        let peer = Peer::new("b:1").unwrap();
        let (peer, method) = (&peer, "/a/B");
        let took = Duration::from_millis(500);
        let failed = AttemptEnd::Failed(FailureClass::Ambiguous);
        let ended = |end| ForwardEvent::AttemptEnded { method, peer, attempt: 1, took, end };
        let class = FailureClass::NeverSent;
        let events = [
            ForwardEvent::Received { method, hops: 1 },
            ForwardEvent::RingDiffers,
            ForwardEvent::KeyDiffers,
            ForwardEvent::Refused { reason: "draining" },
            ForwardEvent::BadKey,
            ForwardEvent::Handled { method, hops: 2 },
            ForwardEvent::Sent { method, peer, attempt: 1 },
            ended(AttemptEnd::Answered),
            ended(failed),
            ForwardEvent::Retried { class, to: RetriedAt::Here },
            ForwardEvent::Retried { class, to: RetriedAt::OtherOwner },
            ForwardEvent::NotRetried { class, reason: "attempts-spent" },
            ForwardEvent::Hedged { method },
            ForwardEvent::HedgeWon { method },
            ForwardEvent::Forwarded { method, attempts: 1 },
            ForwardEvent::Forwarded { method, attempts: 2 },
            ForwardEvent::Failed { method, attempts: 5, exhausted: true },
            ForwardEvent::Failed { method, attempts: 1, exhausted: false },
        ];
        let log = Log::default();
        with_local_recorder(&log, || {
            events.iter().for_each(|event| MetricsObserver::new().event(event));
        });
        assert_eq!(
            log.lines(),
            [
                "ingress{method=/a/B} 1",
                "checksums_differ{} 1",
                "keys_differ{} 1",
                "refused{reason=draining} 1",
                "bad_key{} 1",
                "hops{} 2",
                "egress{peer=b:1} 1",
                "send_seconds{peer=b:1} 0.5",
                "send_success{peer=b:1} 1",
                "send_seconds{peer=b:1} 0.5",
                "send_error{peer=b:1,class=ambiguous} 1",
                "retry_attempted{class=never-sent} 1",
                "retry_reroute_local{} 1",
                "retry_attempted{class=never-sent} 1",
                "retry_reroute_remote{} 1",
                "not_retried{class=never-sent,reason=attempts-spent} 1",
                "hedge_attempted{method=/a/B} 1",
                "hedge_succeeded{method=/a/B} 1",
                "retry_succeeded{method=/a/B} 1",
                "retry_failed{method=/a/B} 1",
                "retry_aborted{method=/a/B} 1",
            ]
        );
    }

    #[test]
    fn what_no_event_tells_is_taken_from_the_figures() {
        let log = Log::default();
        with_local_recorder(&log, || {
            MetricsObserver::record(&Stats {
                in_flight: 7,
                connections: 3,
                replays_unkept: 5,
                ..Stats::default()
            });
        });
        let lines = log.lines();
        for line in [
            "inflight{} 7",
            "connections{} 3",
            "replay_bytes{} 0",
            "circuits_open{} 0",
            "replays_unkept{} 5",
            "hedges_unaffordable{} 0",
            "doubtful_skips{} 0",
            "streams_moved{} 0",
            "bad_direct_requests{} 0",
            "loops_stopped{} 0",
            "bad_hop_headers{} 0",
            "deadlines_exceeded{} 0",
            "broken_requests{} 0",
            "broken_responses{} 0",
            "bad_timeouts{} 0",
            "first_messages_late{} 0",
            "header_lists_exceeded{} 0",
            "dial_failures{} 0",
            "pings_unanswered{} 0",
            "pings_unwanted{} 0",
            "circuits_opened{} 0",
            "circuit_skips{} 0",
        ] {
            assert!(lines.iter().any(|told| told == line), "{line} in {lines:?}");
        }
        // Each field is told by events or exported here.
        let fields: Vec<&str> = Stats::default().iter().map(|(name, _)| name).collect();
        assert_eq!(lines.len() + TOLD_BY_EVENTS.len(), fields.len());
        assert!(
            TOLD_BY_EVENTS
                .iter()
                .chain(GAUGES.map(|(name, _)| name).iter())
                .all(|name| fields.contains(name))
        );
    }

    #[test]
    fn what_a_server_took_back_is_set_on_demand() {
        let log = Log::default();
        with_local_recorder(&log, || {
            let stats = ServerStats { floods_ended: 2, waiting_calls: 7, ..Default::default() };
            MetricsObserver::record_server(&stats);
        });
        let lines = log.lines();
        assert_eq!(lines.len(), ServerStats::default().iter().count());
        for line in ["ringpop_server_floods_ended{} 2", "ringpop_server_waiting_calls{} 7"] {
            assert!(lines.iter().any(|told| told == line), "{lines:?}");
        }
    }
}
