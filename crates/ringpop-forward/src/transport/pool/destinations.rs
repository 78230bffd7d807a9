//! What the pool knows of each peer, for operators.

use super::{Class, Pool, Slot, lock};
use crate::transport::PeerConnections;

impl Pool {
    /// The peers that requests went to, sorted by address.
    pub(crate) fn peers(&self) -> Vec<PeerConnections> {
        let classes = [Class::Unary, Class::Stream];
        let mut all: Vec<_> = self
            .peers
            .iter()
            .map(|entry| {
                let pool = entry.value();
                let is_open = |class: &Class| matches!(*lock(pool.slot(*class)), Slot::Open(_));
                let in_flight = |class: Class| {
                    let left = pool.class_pool(class).permits.available_permits();
                    self.shared.config.limit(class).saturating_sub(left)
                };
                PeerConnections {
                    address: entry.key().to_string(),
                    unreachable: lock(&pool.circuit).cause().map(|cause| cause.to_string()),
                    connections: classes.iter().filter(|class| is_open(class)).count(),
                    in_flight: classes.into_iter().map(in_flight).sum(),
                }
            })
            .collect();
        all.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        all
    }
}
