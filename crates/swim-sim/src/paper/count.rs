//! Counts who sends what to whom, for the experiments.

use crate::machine::{HostId, Kind, Machine as _};
use crate::swim::{Packet, Swim};
use crate::time::Nanos;
use crate::watch::{Fate, Watcher};

/// Sees every message, and each change of belief with its time.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Pings: when, from whom, to whom; not those for others.
    pub(super) pings: Vec<(Nanos, HostId, HostId)>,
    /// Messages: when, from whom.
    pub(super) messages: Vec<(Nanos, HostId)>,
    /// Whether each is noted.
    pub(super) notes: bool,
}

impl Watcher<Swim> for Count {
    fn sent(&mut self, at: Nanos, from: HostId, to: Option<HostId>, message: &Packet, _: Fate) {
        if !self.notes {
            return;
        }
        self.messages.push((at, from));
        if let (Kind::Ping, Some(to)) = (Swim::kind(message), to) {
            self.pings.push((at, from, to));
        }
    }
}
