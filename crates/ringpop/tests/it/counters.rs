//! What `docs/operations.md` tells operators to watch is in the status of a member and among its
//! metrics.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use ringpop::admin_client::{AdminClient, GetStatusRequest};
use ringpop::forward::Tls;
use ringpop::metrics::{RINGPOP_NAMES, table};
use ringpop::{Counters, Ringpop};
use tonic::transport::Endpoint;

use crate::certificates::{authority, certificates};
use crate::cluster::cluster_with;

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
    let recording = metrics::set_default_local_recorder(&log);
    member.record_metrics().await;
    drop(recording);
    let exported = log.0.lock().unwrap().clone();

    let names: BTreeSet<String> = counters.iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, status);
    let table: BTreeSet<String> = table()
        .into_iter()
        .map(|metric| format!("{} {}", metric.kind.as_str(), metric.name))
        .collect();
    for metric in &exported {
        assert!(table.contains(metric), "{metric} is not in the table");
    }
    for (pattern, is_gauge) in watched() {
        let found: Vec<_> = names.iter().filter(|name| matches(&pattern, name)).collect();
        assert!(!found.is_empty(), "the page tells to watch {pattern}, which no member counts");
        for name in found {
            assert_eq!(Counters::is_gauge(name), is_gauge, "{name}");
        }
    }
    for name in &names {
        let (kind, end) =
            if Counters::is_gauge(name) { ("gauge", "") } else { ("counter", "_total") };
        let metric = format!("{kind} ringpop_{}{end}", name.replace('.', "_"));
        assert!(exported.contains(&metric), "{metric} is not exported");
    }
}

#[tokio::test]
async fn counters_are_found_by_name_and_every_gauge_exists() {
    let member = Ringpop::builder("test").bind().await.unwrap();
    let counters = member.counters().await;
    assert_eq!(counters.get("forward.local"), Some(0));
    assert_eq!(counters.get("forward.nonsense"), None);
    let gauges = counters.iter().filter(|(name, _)| Counters::is_gauge(name)).count();
    assert_eq!(gauges, 13);
}

/// Records the metrics that are registered, and their labels.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<BTreeSet<String>>>, Arc<Mutex<BTreeSet<String>>>);

impl Log {
    fn add(&self, kind: &str, key: &Key) {
        self.0.lock().unwrap().insert(format!("{kind} {}", key.name()));
        let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
        self.1.lock().unwrap().extend(labels);
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

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.add("histogram", key);
        Histogram::noop()
    }
}

/// A member that was told to measures whole calls as they happen.
#[tokio::test]
async fn a_member_measures_round_trips_joins_and_views() {
    let log = Log::default();
    let recording = metrics::set_default_local_recorder(&log);
    let members = cluster_with(2, |builder| builder.metrics(true)).await;
    drop(recording);
    let exported = log.0.lock().unwrap().clone();
    for metric in [
        "histogram ringpop_membership_request_seconds",
        "histogram ringpop_membership_join_seconds",
        "histogram ringpop_view_publish_seconds",
        "counter ringpop_ring_changes_total",
        "counter ringpop_ring_members_added_total",
    ] {
        assert!(exported.contains(metric), "{metric} is not among {exported:?}");
    }
    let labels = log.1.lock().unwrap().clone();
    for member in &members {
        let label = format!("member={}", member.whoami());
        assert!(labels.contains(&label), "{label} is not among {labels:?}");
    }
    assert!(labels.contains("request=ping") && labels.contains("request=join"), "{labels:?}");
}

/// The pages and the dashboard of the project, by path.
fn project(path: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// `UPDATE_PAGES=1` writes the page.
#[test]
fn the_page_of_metrics_is_the_table() {
    let mut page = "\
# Metrics

What a member exports through the facade of the crate `metrics` (feature `metrics`) with `Builder::metrics(true)` and
`Ringpop::record_metrics`, and `ringpop node --http` serves at `/metrics`. Everything has the label `member`, the address
of the member, but for the figures of clients, which have `client`, the name of the client, and are told by
`RingClient::record_metrics`; other labels are named, and have a bounded number of values. Names that end in `_seconds` are times in
seconds, in `_bytes` sizes in bytes, in `_total` counters that only grow. [operations.md](operations.md#watch) says which
to watch and what a rise means; `deploy/grafana/ringpop.json` is a dashboard of them.

The test `the_page_of_metrics_is_the_table` writes this page from `ringpop::metrics::table` when `UPDATE_PAGES` is set.

| name | kind | labels | meaning |
|---|---|---|---|
"
    .to_owned();
    for metric in table() {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (&metric.name, metric.kind.as_str(), &metric.help);
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    page.push_str(
        "
## Ringpop's names

What ringpop-go and ringpop-node tell statsd under `ringpop.HOST_PORT.`, and where it is here.

| Ringpop | here | |
|---|---|---|
",
    );
    for (theirs, ours, note) in RINGPOP_NAMES {
        let theirs = theirs.replace(['<', '>'], "");
        let ours = if ours.is_empty() { "–".to_owned() } else { format!("`{ours}`") };
        let _ = writeln!(page, "| `{theirs}` | {ours} | {note} |");
    }
    let path = project("docs/metrics.md");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == page, "docs/metrics.md is not the table; run this with UPDATE_PAGES=1");
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("ringpop_"));
    words
        .map(|word| {
            let ends = ["_bucket", "_sum", "_count"];
            ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn the_dashboard_and_the_names_of_ringpop_are_in_the_table() {
    let table: BTreeSet<String> =
        table().into_iter().map(|metric| metric.name.into_owned()).collect();
    let text = std::fs::read_to_string(project("deploy/grafana/ringpop.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let names = named(query);
            assert!(!names.is_empty(), "{query} names no metric");
            for name in names {
                assert!(table.contains(&name), "{name} in {:?} is no metric", panel["title"]);
            }
            assert!(query.contains("member=~\"$member\""), "{query} ignores the member");
            queries += 1;
        }
    }
    assert!(queries > 30, "the dashboard has {queries} queries");
    for (theirs, ours, _) in RINGPOP_NAMES.iter().filter(|(_, ours, _)| !ours.is_empty()) {
        assert!(table.contains(*ours), "{ours} for {theirs} is no metric");
    }
}
