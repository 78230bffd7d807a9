//! Feature `metrics`: everything that a member measures and counts, for whatever recorder the
//! process has installed.
//!
//! [`Builder::metrics`](crate::Builder::metrics) has a member tell the recorder what happens, and
//! [`Ringpop::record_metrics`] tells it the figures that are counted anyway, before each scrape or
//! every few seconds. [`table()`] lists all of them; `docs/metrics.md` is that list.

use ::metrics::{Label, counter, gauge};
use ringpop_forward::MetricKind;
use swim_core::Status;

use crate::counters::Counters;
use crate::member::Ringpop;
use crate::problem::Problem;

mod client;
mod names;
mod table;

pub use self::names::RINGPOP_NAMES;
pub use self::table::{Metric, table};

/// Upper bounds of the buckets of histograms in seconds: from a round trip within a machine to the
/// longest join, each about twice the one before.
pub const SECONDS_BUCKETS: [f64; 18] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
    10.0, 30.0, 120.0,
];

pub(crate) const REQUEST_SECONDS: &str = "ringpop_membership_request_seconds";
pub(crate) const JOIN_SECONDS: &str = "ringpop_membership_join_seconds";
pub(crate) const VIEW_SECONDS: &str = "ringpop_view_publish_seconds";
pub(crate) const RING_CHANGES: &str = "ringpop_ring_changes_total";
pub(crate) const RING_ADDED: &str = "ringpop_ring_members_added_total";
pub(crate) const RING_REMOVED: &str = "ringpop_ring_members_removed_total";
const MEMBERS: &str = "ringpop_members";
const RING_MEMBERS: &str = "ringpop_ring_members";
const UPTIME: &str = "ringpop_uptime_seconds";
const READY: &str = "ringpop_ready";
const PROBLEMS: &str = "ringpop_problems";
const PERIOD: &str = "ringpop_membership_protocol_period_seconds";
const HEALTH_SCORE: &str = "ringpop_membership_health_score";
const PENDING: &str = "ringpop_membership_pending_changes";
const MEMBERSHIP_CHECKSUM: &str = "ringpop_membership_checksum";
const RING_CHECKSUM: &str = "ringpop_ring_checksum";
const VIEWS_DIFFER: &str = "ringpop_views_differ";
const PROPAGATION: &str = "ringpop_propagation_seconds";
const PROPAGATION_PREDICTED: &str = "ringpop_propagation_predicted_seconds";

/// Tells the recorder of the process what each figure means.
pub fn describe() {
    for Metric { name, kind, help, .. } in table() {
        kind.describe(name, help);
    }
}

impl Ringpop {
    /// Tells the recorder of the process the figures of now: all [`Counters`], members by status,
    /// checksums, the protocol period. To be called before each scrape, or every few seconds. All
    /// have the label `member`, the address of this one.
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let member = Ringpop::builder("rides").metrics(true).bind().await?;
    /// // In the handler of `/metrics`, after a recorder was installed:
    /// member.record_metrics().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn record_metrics(&self) {
        let member = Label::new("member", self.whoami().to_owned());
        self.counters().await.record(&member);
        let set = |name: &'static str, value: f64| gauge!(name, vec![member.clone()]).set(value);
        let view = self.view();
        for status in Status::ALL {
            let of_it = view.members.iter().filter(|member| member.status == status).count();
            let labels = vec![Label::new("status", status.as_str()), member.clone()];
            gauge!(MEMBERS, labels).set(of_it as f64);
        }
        set(RING_MEMBERS, view.ring.len() as f64);
        // An f64 holds 53 bits; equal ones show that members agree.
        set(MEMBERSHIP_CHECKSUM, f64::from(view.membership_checksum as u32));
        set(RING_CHECKSUM, f64::from(view.ring_checksum as u32));
        set(UPTIME, self.uptime().as_secs_f64());
        set(READY, f64::from(u8::from(self.state() == crate::State::Ready)));
        set(PROBLEMS, self.problems().len() as f64);
        let differ = |problem: &Problem| matches!(problem, Problem::ViewsDiffer { .. });
        set(VIEWS_DIFFER, f64::from(u8::from(self.problems().iter().any(differ))));
        let ask = |node: &mut swim_core::Node, _| {
            let health = (node.health_score(), node.pending_changes());
            (node.protocol_period(), health, node.config().clone())
        };
        if let Ok((period, (health, pending), config)) = self.0.handle.with(ask).await {
            let figures = self.0.admin.propagation.figures(&config, view.reachable().count());
            let measured = (figures.samples > 0).then_some((figures.p50, figures.p99));
            for (name, times) in
                [(PROPAGATION, measured), (PROPAGATION_PREDICTED, figures.predicted)]
            {
                let Some((p50, p99)) = times else { continue };
                for (quantile, time) in [("0.5", p50), ("0.99", p99)] {
                    let labels = vec![Label::new("quantile", quantile), member.clone()];
                    gauge!(name, labels).set(time.as_secs_f64());
                }
            }
            set(PERIOD, period.as_secs_f64());
            set(HEALTH_SCORE, health.into());
            set(PENDING, pending as f64);
        }
    }
}

impl Counters {
    fn record(&self, member: &Label) {
        for (name, value) in self.iter() {
            let labels = vec![member.clone()];
            let exported = exported(name);
            if Self::is_gauge(name) {
                // Far below 2^53, from where on an f64 loses counts.
                gauge!(exported, labels).set(value as f64);
            } else {
                counter!(exported, labels).absolute(value);
            }
        }
    }
}

/// The name under which a counter of [`Counters`] is exported.
fn exported(name: &str) -> String {
    let end = if Counters::is_gauge(name) { "" } else { "_total" };
    format!("ringpop_{}{end}", name.replace('.', "_"))
}

/// What the figures of this module mean.
const OWN: &[(&str, MetricKind, &[&str], &str)] = &[
    (MEMBERS, MetricKind::Gauge, &["status"], "Members in the list, by status"),
    (RING_MEMBERS, MetricKind::Gauge, &[], "Members that own keys"),
    (RING_CHANGES, MetricKind::Counter, &[], "Changes of the ring"),
    (RING_ADDED, MetricKind::Counter, &[], "Members that came onto the ring"),
    (RING_REMOVED, MetricKind::Counter, &[], "Members that went off the ring"),
    (
        MEMBERSHIP_CHECKSUM,
        MetricKind::Gauge,
        &[],
        "The lower 32 bits of the membership checksum: members with different ones have different views",
    ),
    (
        RING_CHECKSUM,
        MetricKind::Gauge,
        &[],
        "The lower 32 bits of the ring checksum: members with different ones disagree on owners",
    ),
    (
        VIEWS_DIFFER,
        MetricKind::Gauge,
        &[],
        "1 while another member answers and goes on to have another view, 0 otherwise",
    ),
    (
        PROPAGATION,
        MetricKind::Gauge,
        &["quantile"],
        "Time from a change of another member to this one, by the latest beacons",
    ),
    (
        PROPAGATION_PREDICTED,
        MetricKind::Gauge,
        &["quantile"],
        "The same as the simulator measures it for these settings and so many members",
    ),
    (READY, MetricKind::Gauge, &[], "1 while the member is ready, 0 otherwise"),
    (PROBLEMS, MetricKind::Gauge, &[], "Problems that a person should look after"),
    (UPTIME, MetricKind::Gauge, &[], "Time since the member was bound"),
    (
        PERIOD,
        MetricKind::Gauge,
        &[],
        "The time from one probe to the next, as local health stretches it",
    ),
    (HEALTH_SCORE, MetricKind::Gauge, &[], "Lifeguard's local health, 0 when the member is well"),
    (PENDING, MetricKind::Gauge, &[], "Changes that are still to be spread"),
    (
        REQUEST_SECONDS,
        MetricKind::Histogram,
        &["request"],
        "Round trips of membership requests that were answered: ping, ping-req, join, sync",
    ),
    (JOIN_SECONDS, MetricKind::Histogram, &[], "How long joins took"),
    (
        VIEW_SECONDS,
        MetricKind::Histogram,
        &[],
        "From a batch of membership changes to the view that has them",
    ),
];
