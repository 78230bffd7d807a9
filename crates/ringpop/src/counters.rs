//! Everything that a member counts, under one name each.

use swim_core::Stats as SwimStats;

use crate::inner::Inner;

/// Figures that may fall; all others only grow.
const GAUGES: [&str; 13] = [
    "forward.circuits_open",
    "forward.connections",
    "forward.in_flight",
    "forward.replay_bytes",
    "lease.held",
    "ring.draining",
    "ring.evicted",
    "ring.unhealthy",
    "ring.warming",
    "ring.watchers",
    "server.unread_request_bytes",
    "server.unwritten_bytes",
    "server.waiting_calls",
];

/// Everything that a member counts, under the names that `ringpop status` and the
/// page on operations use: the part that counts, a dot, and the name of the field,
/// such as `membership.probes_failed` or `tls.handshake_failures`. Sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters(Vec<(String, u64)>);

impl Counters {
    pub(crate) fn new(inner: &Inner, membership: &SwimStats) -> Self {
        let named = |part: &'static str| move |(name, value)| (format!("{part}.{name}"), value);
        let ring = inner.views.stats();
        let ring = [("capped", ring.capped), ("stale", ring.stale)];
        let security = &inner.security;
        let membership = membership.iter().map(named("membership"));
        let mut all: Vec<(String, u64)> = membership.collect();
        all.extend(inner.handle.stats().iter().map(named("driver")));
        all.extend(inner.forwarder.stats().iter().map(named("forward")));
        let ring = ring.into_iter().chain(inner.views.counters());
        all.extend(ring.chain(inner.ring_watchers.counters()).map(named("ring")));
        all.extend(inner.own_stats.health_checks.counters().map(named("health")));
        all.extend(inner.own_stats.leases.counters().map(named("lease")));
        all.extend(inner.planner.counters().into_iter().map(named("moves")));
        all.extend(inner.admin.counters().into_iter().map(named("admin")));
        all.extend(security.accept_stats().iter().map(named("server")));
        all.extend(security.server_stats().iter().map(named("server")));
        all.extend(security.tls_stats().into_iter().map(named("tls")));
        all.sort_unstable();
        Self(all)
    }

    /// All figures with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The figure of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        let place = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name));
        place.ok().map(|place| self.0[place].1)
    }

    /// Whether the figure of this name may fall.
    #[must_use]
    pub fn is_gauge(name: &str) -> bool {
        GAUGES.contains(&name)
    }
}
