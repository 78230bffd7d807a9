//! Feature `metrics`: figures for whatever recorder the process has installed, under Ringpop's
//! names.
//!
//! Ringpop's `requestProxy.send.success` is `ringpop_request_proxy_send_success_total` here: the
//! prefix, the name in the form that Prometheus wants, and the end of a counter.

use std::sync::Arc;

use metrics::{Label, SharedString, counter, gauge, histogram};

use crate::connections::ServerStats;
use crate::observe::{AttemptEnd, ForwardEvent, Observer, RetriedAt};
use crate::retry::policy::FailureClass;
use crate::stats::Stats;

mod table;

pub use table::{MetricDescription, MetricKind};

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

/// Exports what happens through the facade of the crate `metrics`, as
/// [`DESCRIPTIONS`](Self::DESCRIPTIONS) and [`RECORDED`](Self::RECORDED) list it. Labels are
/// bounded: methods are those of the route table, classes and reasons those of this crate.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MetricsObserver {
    member: Option<Arc<str>>,
    peers: bool,
}

impl MetricsObserver {
    /// An observer for [`Builder::observer`](crate::Builder::observer).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the label `member` with this value to everything, which tells several forwarders of
    /// one process apart.
    #[must_use]
    pub fn member(mut self, name: impl Into<Arc<str>>) -> Self {
        self.member = Some(name.into());
        self
    }

    /// Adds the label `peer`, the address of the owner, to attempts. By default it is left out:
    /// where addresses come and go, there is no bound on how many there are.
    #[must_use]
    pub fn peers(mut self) -> Self {
        self.peers = true;
        self
    }

    /// Tells the recorder of the process what each figure means.
    pub fn describe() {
        for metric in Self::DESCRIPTIONS.iter().chain(Self::RECORDED) {
            metric.kind.describe(metric.name, metric.help);
        }
    }

    /// Sets the gauges, and the counters that no event tells, from
    /// [`Forwarder::stats`](crate::Forwarder::stats). To be called before each scrape.
    pub fn record(&self, stats: &Stats) {
        for (name, value) in stats.iter() {
            if let Some((_, exported)) = GAUGES.iter().find(|(gauge, _)| *gauge == name) {
                // All are far below 2^53, from where on an f64 loses counts.
                gauge!(format!("{PREFIX}{exported}"), self.labels([])).set(value as f64);
            } else if !TOLD_BY_EVENTS.contains(&name) {
                counter!(format!("{PREFIX}{name}_total"), self.labels([])).absolute(value);
            }
        }
    }

    /// Sets the figures of a server, `ringpop_server_` and the names of the fields, from
    /// [`AcceptCounters::server_stats`](crate::AcceptCounters::server_stats). To be called before
    /// each scrape.
    pub fn record_server(&self, stats: &ServerStats) {
        for (name, value) in stats.iter() {
            if ServerStats::GAUGES.contains(&name) {
                gauge!(format!("ringpop_server_{name}"), self.labels([])).set(value as f64);
            } else {
                let name = format!("ringpop_server_{name}_total");
                counter!(name, self.labels([])).absolute(value);
            }
        }
    }

    fn labels<const N: usize>(&self, own: [Label; N]) -> Vec<Label> {
        let member = self
            .member
            .as_ref()
            .map(|member| Label::new("member", SharedString::from_shared(Arc::clone(member))));
        own.into_iter().chain(member).collect()
    }

    fn count<const N: usize>(&self, name: &'static str, labels: [Label; N]) {
        counter!(name, self.labels(labels)).increment(1);
    }

    fn attempt_ended(&self, peer: &str, seconds: f64, end: AttemptEnd) {
        let peer = self.peers.then(|| Label::new("peer", peer.to_owned()));
        let labels = |class: Option<&'static str>| {
            let class = class.map(|class| Label::new("class", class));
            let mut labels = self.labels([]);
            labels.extend(peer.clone().into_iter().chain(class));
            labels
        };
        histogram!("ringpop_request_proxy_send_seconds", labels(None)).record(seconds);
        let class = match end {
            AttemptEnd::Answered => {
                let name = "ringpop_request_proxy_send_success_total";
                return counter!(name, labels(None)).increment(1);
            }
            AttemptEnd::Failed(class) => class_name(class),
            AttemptEnd::Abandoned => "abandoned",
        };
        counter!("ringpop_request_proxy_send_error_total", labels(Some(class))).increment(1);
    }
}

fn method_label(method: &str) -> [Label; 1] {
    [Label::new("method", method.to_owned())]
}

impl Observer for MetricsObserver {
    fn event(&self, event: &ForwardEvent<'_>) {
        match *event {
            ForwardEvent::Received { method, .. } => {
                self.count("ringpop_request_proxy_ingress_total", method_label(method));
            }
            ForwardEvent::RingDiffers => {
                self.count("ringpop_request_proxy_checksums_differ_total", []);
            }
            ForwardEvent::KeyDiffers => self.count("ringpop_request_proxy_keys_differ_total", []),
            ForwardEvent::Refused { reason } => {
                let labels = [Label::new("reason", reason)];
                self.count("ringpop_request_proxy_refused_total", labels);
            }
            ForwardEvent::BadKey => self.count("ringpop_request_proxy_bad_key_total", []),
            ForwardEvent::Handled { hops, .. } => {
                histogram!("ringpop_request_proxy_hops", self.labels([])).record(f64::from(hops));
            }
            ForwardEvent::Sent { peer, .. } => {
                let mut labels = self.labels([]);
                if self.peers {
                    labels.push(Label::new("peer", peer.address().to_owned()));
                }
                counter!("ringpop_request_proxy_egress_total", labels).increment(1);
            }
            ForwardEvent::AttemptEnded { peer, took, end, .. } => {
                self.attempt_ended(peer.address(), took.as_secs_f64(), end);
            }
            ForwardEvent::Retried { class, to } => {
                let labels = [Label::new("class", class_name(class))];
                self.count("ringpop_request_proxy_retry_attempted_total", labels);
                match to {
                    RetriedAt::Here => {
                        self.count("ringpop_request_proxy_retry_reroute_local_total", []);
                    }
                    RetriedAt::OtherOwner => {
                        self.count("ringpop_request_proxy_retry_reroute_remote_total", []);
                    }
                    RetriedAt::SameOwner | RetriedAt::Nowhere => {}
                }
            }
            ForwardEvent::NotRetried { class, reason } => {
                let labels = [Label::new("class", class_name(class)), Label::new("reason", reason)];
                self.count("ringpop_request_proxy_not_retried_total", labels);
            }
            ForwardEvent::Hedged { method } => {
                self.count("ringpop_request_proxy_hedge_attempted_total", method_label(method));
            }
            ForwardEvent::HedgeWon { method } => {
                self.count("ringpop_request_proxy_hedge_succeeded_total", method_label(method));
            }
            // Keys are no labels: there are too many, and they are nobody else's business.
            ForwardEvent::Placed { .. } | ForwardEvent::Forwarded { attempts: 0 | 1, .. } => {}
            ForwardEvent::Forwarded { method, .. } => {
                self.count("ringpop_request_proxy_retry_succeeded_total", method_label(method));
            }
            ForwardEvent::Failed { method, exhausted: true, .. } => {
                self.count("ringpop_request_proxy_retry_failed_total", method_label(method));
            }
            ForwardEvent::Failed { method, exhausted: false, .. } => {
                self.count("ringpop_request_proxy_retry_aborted_total", method_label(method));
            }
        }
    }
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
            events.iter().for_each(|event| MetricsObserver::new().peers().event(event));
        });
        assert_eq!(
            log.lines(),
            [
                "ingress_total{method=/a/B} 1",
                "checksums_differ_total{} 1",
                "keys_differ_total{} 1",
                "refused_total{reason=draining} 1",
                "bad_key_total{} 1",
                "hops{} 2",
                "egress_total{peer=b:1} 1",
                "send_seconds{peer=b:1} 0.5",
                "send_success_total{peer=b:1} 1",
                "send_seconds{peer=b:1} 0.5",
                "send_error_total{peer=b:1,class=ambiguous} 1",
                "retry_attempted_total{class=never-sent} 1",
                "retry_reroute_local_total{} 1",
                "retry_attempted_total{class=never-sent} 1",
                "retry_reroute_remote_total{} 1",
                "not_retried_total{class=never-sent,reason=attempts-spent} 1",
                "hedge_attempted_total{method=/a/B} 1",
                "hedge_succeeded_total{method=/a/B} 1",
                "retry_succeeded_total{method=/a/B} 1",
                "retry_failed_total{method=/a/B} 1",
                "retry_aborted_total{method=/a/B} 1",
            ]
        );
    }

    #[test]
    fn what_no_event_tells_is_taken_from_the_figures() {
        let log = Log::default();
        with_local_recorder(&log, || {
            MetricsObserver::new().record(&Stats {
                in_flight: 7,
                connections: 3,
                replays_unkept: 5,
                ..Stats::default()
            });
        });
        let mut lines = log.lines();
        lines.sort_unstable();
        let mut expected = [
            "inflight{} 7",
            "connections{} 3",
            "replay_bytes{} 0",
            "circuits_open{} 0",
            "replays_unkept_total{} 5",
            "hedges_unaffordable_total{} 0",
            "held_refused_total{} 0",
            "held_total{} 0",
            "doubtful_skips_total{} 0",
            "streams_moved_total{} 0",
            "bad_direct_requests_total{} 0",
            "loops_stopped_total{} 0",
            "bad_hop_headers_total{} 0",
            "deadlines_exceeded_total{} 0",
            "broken_requests_total{} 0",
            "broken_responses_total{} 0",
            "bad_timeouts_total{} 0",
            "first_messages_late_total{} 0",
            "header_lists_exceeded_total{} 0",
            "dial_failures_total{} 0",
            "pings_unanswered_total{} 0",
            "pings_unwanted_total{} 0",
            "circuits_opened_total{} 0",
            "circuit_skips_total{} 0",
        ];
        expected.sort_unstable();
        assert_eq!(lines, expected);
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
            MetricsObserver::new().record_server(&stats);
        });
        let lines = log.lines();
        assert_eq!(lines.len(), ServerStats::default().iter().count());
        for line in ["ringpop_server_floods_ended_total{} 2", "ringpop_server_waiting_calls{} 7"] {
            assert!(lines.iter().any(|told| told == line), "{lines:?}");
        }
    }

    #[test]
    fn peers_are_no_label_unless_wanted_and_a_member_is_one_everywhere() {
        let (log, peer) = (Log::default(), Peer::new("b:1").unwrap());
        let observer = MetricsObserver::new().member("a:1");
        with_local_recorder(&log, || {
            observer.event(&ForwardEvent::Sent { method: "/a/B", peer: &peer, attempt: 1 });
            observer.event(&ForwardEvent::Received { method: "/a/B", hops: 1 });
        });
        let expected = ["egress_total{member=a:1} 1", "ingress_total{method=/a/B,member=a:1} 1"];
        assert_eq!(log.lines(), expected);
    }

    #[test]
    fn everything_that_is_recorded_is_described() {
        let log = Log::default();
        let (peer, method) = (Peer::new("b:1").unwrap(), "/a/B");
        let observer = MetricsObserver::new();
        with_local_recorder(&log, || {
            observer.record(&Stats::default());
            observer.event(&ForwardEvent::Sent { method, peer: &peer, attempt: 1 });
            observer.event(&ForwardEvent::Handled { method, hops: 1 });
        });
        for line in log.0.lock().unwrap().iter() {
            let name = line.split_once('{').unwrap().0;
            let mut known = MetricsObserver::DESCRIPTIONS.iter().chain(MetricsObserver::RECORDED);
            let known = known.any(|metric| metric.name == name);
            assert!(known, "{name} is not in the table");
        }
        for metric in MetricsObserver::DESCRIPTIONS.iter().chain(MetricsObserver::RECORDED) {
            let is_counter = metric.kind == MetricKind::Counter;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{}", metric.name);
            assert!(metric.name.starts_with("ringpop_") && !metric.help.is_empty());
        }
    }
}
