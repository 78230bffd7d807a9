//! The figures of clients that are no members.

use ::metrics::{Label, counter, gauge};
use ringpop_forward::MetricKind;

use crate::ring_client::{RingClient, RingClientStats};

const AGE: &str = "ringpop_client_ring_age_seconds";
const MEMBERS: &str = "ringpop_client_ring_members";
const CHANGES: &str = "ringpop_client_ring_changes_total";
const MISMATCHES: &str = "ringpop_client_ring_mismatches_total";
const WATCHES: &str = "ringpop_client_watches_total";
const FAILURES: &str = "ringpop_client_watch_failures_total";
const PICKS: &str = "ringpop_client_picks_total";
const FAILOVERS: &str = "ringpop_client_failovers_total";

/// What they mean. All have the label `client` in the place of `member`.
pub(super) const DESCRIPTIONS: &[(&str, MetricKind, &[&str], &str)] = &[
    (
        AGE,
        MetricKind::Gauge,
        CLIENT,
        "Time since a member told the ring, or that it had not changed",
    ),
    (MEMBERS, MetricKind::Gauge, CLIENT, "Members on the ring as the client knows it"),
    (CHANGES, MetricKind::Counter, CLIENT, "Changes of the ring that the client took"),
    (
        MISMATCHES,
        MetricKind::Counter,
        CLIENT,
        "Changes that did not lead to the ring of the member; the whole ring was asked for then",
    ),
    (
        WATCHES,
        MetricKind::Counter,
        CLIENT,
        "Members that were asked for the ring, one after the other",
    ),
    (
        FAILURES,
        MetricKind::Counter,
        CLIENT,
        "Members that could not be asked, fell silent, left or refused",
    ),
    (PICKS, MetricKind::Counter, CLIENT, "Calls for which an owner was picked"),
    (FAILOVERS, MetricKind::Counter, CLIENT, "Attempts at another owner than the one before"),
];

const CLIENT: &[&str] = &["client"];

impl RingClient {
    /// Tells the recorder of the process the figures of now. To be called before each scrape, or
    /// every few seconds. All have the label `client`, the [name](Self::name) of this one.
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn record_metrics(&self) {
        let RingClientStats {
            changes, watches, failures, mismatches, picks, failovers, age, ..
        } = self.stats();
        let labels = || vec![Label::new("client", self.name().to_owned())];
        if let Some(age) = age {
            gauge!(AGE, labels()).set(age.as_secs_f64());
        }
        gauge!(MEMBERS, labels()).set(self.ring().len() as f64);
        for (name, value) in [
            (CHANGES, changes),
            (MISMATCHES, mismatches),
            (WATCHES, watches),
            (FAILURES, failures),
            (PICKS, picks),
            (FAILOVERS, failovers),
        ] {
            counter!(name, labels()).absolute(value);
        }
    }
}
