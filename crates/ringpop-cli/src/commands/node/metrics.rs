//! `GET /metrics`: the figures of the member in the text form of Prometheus.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use ringpop::Ringpop;
use ringpop::metrics::SECONDS_BUCKETS;
use tokio::time::interval;

use crate::failure::Failure;
use crate::limits::METRICS_UPKEEP;

/// The form of the answer, which scrapers read.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes this process record figures. To be called once, before the member is bound.
pub(super) fn install() -> Result<PrometheusHandle, Failure> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let hops = Matcher::Suffix("_hops".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &SECONDS_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(hops, &[0.0, 1.0, 2.0, 3.0, 4.0]))
        .map_err(Failure::failed)?;
    let handle = builder.install_recorder().map_err(Failure::failed)?;
    ringpop::metrics::describe();
    tokio::spawn(keep_up(handle.clone(), METRICS_UPKEEP));
    Ok(handle)
}

/// Takes what was recorded into the histograms, which would grow while nobody scrapes.
async fn keep_up(handle: PrometheusHandle, every: Duration) {
    let mut interval = interval(every);
    loop {
        interval.tick().await;
        handle.run_upkeep();
    }
}

pub(super) fn router(node: Ringpop, handle: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state((node, handle))
}

async fn metrics(
    State((node, handle)): State<(Ringpop, PrometheusHandle)>,
) -> ([(HeaderName, &'static str); 1], String) {
    node.record_metrics().await;
    handle.run_upkeep();
    ([(header::CONTENT_TYPE, TEXT)], handle.render())
}
