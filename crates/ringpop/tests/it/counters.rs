//! What `docs/operations.md` tells operators to watch is in the status of a member and among its
//! metrics.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use ringpop::admin_client::{AdminClient, GetStatusRequest};
use ringpop::forward::Tls;
use ringpop::{Counters, Ringpop};
use tonic::transport::Endpoint;

use crate::certificates::{authority, certificates};

/// The names in the first column of the table, each with whether it is marked as a gauge. `*`
/// stands for anything.
fn watched() -> Vec<(String, bool)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("\n## Watch\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut names = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap();
        let quoted = cell.split('`').skip(1).step_by(2);
        names.extend(quoted.map(|name| (name.to_owned(), cell.contains("(gauge"))));
    }
    assert!(names.len() > 40, "the table has {} names", names.len());
    names
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => name.starts_with(before) && name.ends_with(after),
        None => pattern == name,
    }
}

async fn member(directory: &std::path::Path) -> (Ringpop, Tls) {
    let tls = Tls::new(certificates(&authority(), directory)).unwrap();
    let member = Ringpop::builder("test").tls(tls.clone()).bind().await.unwrap();
    member.serve(tonic::service::Routes::default()).unwrap();
    member.bootstrap().await.unwrap();
    (member, tls)
}

#[tokio::test]
async fn what_the_page_tells_to_watch_is_in_status_and_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let (member, tls) = member(directory.path()).await;
    let endpoint: Endpoint = format!("http://{}", member.whoami()).parse().unwrap();
    let status = AdminClient::new(tls.channel(&endpoint)).get_status(GetStatusRequest {}).await;
    let status: BTreeSet<String> =
        status.unwrap().into_inner().counters.into_iter().map(|counter| counter.name).collect();
    let counters = member.counters().await;
    let log = Log::default();
    metrics::with_local_recorder(&log, || counters.record());
    let exported = log.0.lock().unwrap().clone();

    let names: BTreeSet<String> = counters.iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, status);
    assert_eq!(exported.len(), names.len());
    for (pattern, is_gauge) in watched() {
        let found: Vec<_> = names.iter().filter(|name| matches(&pattern, name)).collect();
        assert!(!found.is_empty(), "the page tells to watch {pattern}, which no member counts");
        for name in found {
            assert_eq!(Counters::is_gauge(name), is_gauge, "{name}");
            let kind = if is_gauge { "gauge" } else { "counter" };
            let metric = format!("{kind} ringpop_{}", name.replace('.', "_"));
            assert!(exported.contains(&metric), "{metric} is not exported");
        }
    }
}

#[tokio::test]
async fn counters_are_found_by_name_and_every_gauge_exists() {
    let member = Ringpop::builder("test").bind().await.unwrap();
    let counters = member.counters().await;
    assert_eq!(counters.get("forward.local"), Some(0));
    assert_eq!(counters.get("forward.nonsense"), None);
    let gauges = counters.iter().filter(|(name, _)| Counters::is_gauge(name)).count();
    assert_eq!(gauges, 7);
}

/// Records the metrics that are registered.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<BTreeSet<String>>>);

impl Log {
    fn add(&self, kind: &str, key: &Key) {
        self.0.lock().unwrap().insert(format!("{kind} {}", key.name()));
    }
}

struct Ignored;

impl CounterFn for Ignored {
    fn increment(&self, _: u64) {}

    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Ignored {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, _: f64) {}
}

impl Recorder for Log {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.add("counter", key);
        Counter::from_arc(Arc::new(Ignored))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.add("gauge", key);
        Gauge::from_arc(Arc::new(Ignored))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
