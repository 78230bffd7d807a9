//! The list of all figures that a member exports.

use std::borrow::Cow;

use ringpop_forward::{
    MetricDescription, MetricKind, MetricsObserver, ServerStats, Stats as ForwardStats,
};
use swim_core::Stats as SwimStats;

use super::{OWN, client, exported};
use crate::counters::Counters;

/// A figure that a member exports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name, in the form that Prometheus wants. A time ends in `_seconds`, a size in `_bytes`,
    /// a counter in `_total`.
    pub name: Cow<'static, str>,
    /// Its kind.
    pub kind: MetricKind,
    /// Labels beside `member`, which all have but those of clients.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: Cow<'static, str>,
}

impl From<&MetricDescription> for Metric {
    fn from(metric: &MetricDescription) -> Self {
        let MetricDescription { name, kind, labels, help, .. } = *metric;
        Self { name: Cow::Borrowed(name), kind, labels, help: Cow::Borrowed(help) }
    }
}

/// Counters whose parts do not describe them.
const OTHERS: &[(&str, &str)] = &[
    ("admin.commands", "Commands of operators that were carried out"),
    ("admin.commands_refused", "Commands of callers that are not authorised"),
    ("admin.readers_refused", "Readers of events that found as many others as there may be"),
    ("driver.discovery_failures", "Lists for healing that discovery did not give"),
    ("driver.inputs_dropped", "Inputs of the membership task that found no room"),
    ("driver.requests_refused", "Requests of members that the membership task had no room for"),
    ("health.checks_failed", "Health checks of the application that failed or gave no answer"),
    ("health.checks_passed", "Health checks of the application that passed"),
    ("lease.granted", "Leases that the store granted"),
    ("lease.held", "Gauge: leases that this member holds"),
    ("lease.lost", "Leases that ended because they could not be renewed"),
    (
        "lease.refused",
        "Attempts at a lease that did not get it, because another process holds it or the store gave no answer",
    ),
    ("lease.renewals_failed", "Renewals of leases that failed"),
    ("moves.bytes_taken", "Bytes of state that old owners handed over to this member"),
    ("moves.places_taken", "Places on the ring that this member took over in rolls"),
    ("moves.chunks_refused", "Chunks of state that this member did not take"),
    ("moves.chunks_taken", "Chunks of state that old owners handed over to this member"),
    (
        "moves.hand_offs_failed",
        "Planned moves in which this member could not hand over or get ready",
    ),
    ("moves.switched_alone", "Planned moves of this member that others followed one by one"),
    (
        "moves.switched_together",
        "Planned moves of this member that took effect at one agreed instant",
    ),
    ("ring.draining", "Gauge: members that are drained and off the ring"),
    ("ring.evicted", "Gauge: members that operators evicted from the ring"),
    ("ring.evictions_unreadable", "Labels about evictions that could not be read, or not whole"),
    ("ring.unhealthy", "Gauge: members that failing health checks keep off the ring"),
    ("ring.warming", "Gauge: reachable members in a slow start"),
    ("ring.capped", "Views in which heavy members got fewer points than they want"),
    ("ring.identities_shared", "How often live members were found to share an identity"),
    ("ring.watchers", "Clients that watch the ring of this member"),
    ("ring.watchers_refused", "Clients that found as many others watching as there may be"),
    ("ring.stale", "Views that the ring could not follow"),
    ("server.accept_failures", "How often the operating system refused to accept a connection"),
    ("server.silent_closed", "Connections that were closed because they had sent nothing"),
    ("tls.handshake_failures", "Connections that did not complete a handshake"),
    ("tls.handshakes_ended", "Handshakes that were ended in favour of newer ones"),
    ("tls.reload_failures", "Changed certificates that could not be used"),
    ("tls.reloads", "Changed certificates that replaced the former ones"),
];

/// All figures that a member exports, sorted by name.
#[must_use]
pub fn table() -> Vec<Metric> {
    let own = OWN.iter().chain(client::DESCRIPTIONS).map(|(name, kind, labels, help)| Metric {
        name: Cow::Borrowed(name),
        kind: *kind,
        labels,
        help: Cow::Borrowed(help),
    });
    let counted = part("membership", SwimStats::descriptions())
        .chain(part("forward", ForwardStats::descriptions()))
        .chain(part("server", ServerStats::descriptions()));
    let others = OTHERS.iter().map(|(name, help)| counter(name, help));
    let mut all: Vec<_> = own.chain(counted).chain(others).collect();
    all.extend(MetricsObserver::DESCRIPTIONS.iter().map(Metric::from));
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    all
}

fn part(
    part: &'static str,
    counters: impl Iterator<Item = (&'static str, &'static str)>,
) -> impl Iterator<Item = Metric> {
    counters.map(move |(name, help)| counter(&format!("{part}.{name}"), help))
}

fn counter(name: &str, help: &str) -> Metric {
    let kind = if Counters::is_gauge(name) { MetricKind::Gauge } else { MetricKind::Counter };
    Metric { name: exported(name).into(), kind, labels: &[], help: plain(help).into() }
}

/// The text of a field without its links and the mark of a gauge.
fn plain(text: &str) -> String {
    let text = text.trim();
    if let Some(gauge) = text.strip_prefix("Gauge: ") {
        let (first, rest) = gauge.split_at(gauge.chars().next().map_or(0, char::len_utf8));
        return plain(&(first.to_uppercase() + rest));
    }
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, link)) = rest.split_once('[') {
        let (label, after) = link.split_once(']').unwrap_or((link, ""));
        done.push_str(before);
        done.push_str(label);
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    done.push_str(rest);
    done.trim_end_matches('.').replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_loses_its_links() {
        assert_eq!(plain(" Gauge: open [`A`](crate::A) and [B]. "), "Open A and B");
        assert_eq!(plain(" Calls; see\n [`P::h`](crate::P::h)."), "Calls; see\n P::h");
    }

    #[test]
    fn every_figure_is_described_once_in_its_unit() {
        let table = table();
        for pair in table.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} is there twice", pair[0].name);
        }
        for metric in &table {
            let Metric { name, kind, help, .. } = metric;
            assert!(name.starts_with("ringpop_") && help.len() > 5, "{metric:?}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{metric:?}");
            let is_time = *kind == MetricKind::Histogram && !name.ends_with("_hops");
            assert!(!is_time || name.ends_with("_seconds"), "{metric:?}");
        }
    }
}
