//! Detection of full syncs without effect.
//!
//! A sync leaves two members with one view, unless one of them does not keep the
//! changes of the other. Then they sync again at the next difference, for ever and
//! without a sign of it: ringpop-node#143, and clusters in which the members
//! compute checksums in two ways.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::core::Core;
use crate::event::Event;
use crate::limits::{FRUITLESS_SYNCS_MAX, WATCHED_SYNCS_MAX};

/// Full syncs in a row, with each of some peers, that changed nothing and after
/// which the views differed.
#[derive(Debug, Default)]
pub(crate) struct Agreement(BTreeMap<Address, u32>);

impl Agreement {
    /// The checksum of a peer is this member's.
    pub(crate) fn on_equal(&mut self, peer: &Address) {
        if !self.0.is_empty() {
            self.0.remove(peer);
        }
    }

    /// A full sync with a peer ran to its end. Returns how many in a row changed
    /// nothing.
    fn on_sync(&mut self, peer: &Address, applied: usize) -> u32 {
        if applied > 0 {
            self.0.remove(peer);
            return 0;
        }
        if self.0.len() >= WATCHED_SYNCS_MAX && !self.0.contains_key(peer) {
            // The peer with the fewest syncs is the least suspicious.
            let least = self.0.iter().min_by_key(|(_, syncs)| **syncs);
            if let Some(address) = least.map(|(address, _)| address.clone()) {
                self.0.remove(&address);
            }
        }
        let syncs = self.0.entry(peer.clone()).or_default();
        *syncs = syncs.saturating_add(1);
        *syncs
    }

    pub(crate) fn check(&self) {
        assert!(self.0.len() <= WATCHED_SYNCS_MAX, "watched syncs are bounded");
    }
}

impl Core {
    /// Counts and reports the end of a full sync.
    pub(crate) fn sync_ended(&mut self, peer: Address, applied: usize, complete: bool) {
        let counter =
            if complete { &mut self.stats.syncs_completed } else { &mut self.stats.syncs_failed };
        *counter += 1;
        let fruitless = if complete { self.agreement.on_sync(&peer, applied) } else { 0 };
        self.event(Event::SyncEnded { peer: peer.clone(), applied, complete });
        let times = fruitless / FRUITLESS_SYNCS_MAX;
        if times.is_power_of_two() && fruitless.is_multiple_of(FRUITLESS_SYNCS_MAX) {
            self.stats.syncs_endless += 1;
            self.event(Event::SyncEndless { peer, syncs: fruitless });
        }
    }
}
