//! The watcher of a test's cluster: it keeps what happened, and bends the network where the
//! script says so.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use swim_core::{Address, Event, Instant, Message, Path, Transmit};
use swim_sim::{HostId, Nanos, Packet, Swim, Watcher};

/// Messages after which a run counts as a livelock.
const SENT_MAX: usize = 5_000_000;

/// A filter over messages: sender, receiver, message.
pub(super) type Filter = Box<dyn FnMut(&Address, &Address, &Message) -> bool>;

/// What becomes of a message on its way: sender, receiver, message.
pub(super) type Translation = Box<dyn FnMut(&Address, &Address, &Message) -> Option<Message>>;

#[derive(Default)]
pub(super) struct Script {
    /// Whether machines are left unchecked after each step, which costs time by their members.
    pub(super) is_unchecked: bool,
    /// Everything that was sent.
    pub(super) sent: Vec<(Instant, Transmit)>,
    /// Events of each host in order, also of processes that crashed.
    pub(super) events: BTreeMap<HostId, Vec<(Instant, Event)>>,
    pub(super) drop_if: Option<Filter>,
    pub(super) translation: Option<Translation>,
    /// Other addresses of hosts.
    pub(super) names: BTreeMap<Address, HostId>,
    /// Hosts at whose address a second process listens: where it runs, and whether it gets the
    /// next message.
    pub(super) twins: BTreeMap<HostId, (HostId, bool)>,
    /// Hosts that are reached by the second path only.
    pub(super) first_path_down: BTreeSet<HostId>,
}

impl Script {
    fn is_lost(&mut self, to: Option<HostId>, transmit: &Transmit) -> bool {
        // A reply goes back the way its request came.
        let first_path = transmit.path == Path::First && !transmit.message.is_reply();
        let is_down = first_path && to.is_some_and(|to| self.first_path_down.contains(&to));
        let Transmit { to, message, .. } = transmit;
        is_down || self.drop_if.as_mut().is_some_and(|drop| drop(&message.from, to, message))
    }
}

pub(super) fn instant(at: Nanos) -> Instant {
    Instant::from_start(Duration::from_nanos(at))
}

impl Watcher<Swim> for Script {
    fn event(&mut self, at: Nanos, host: HostId, event: &Event, _: &Swim) {
        self.events.entry(host).or_default().push((instant(at), event.clone()));
    }

    fn route(&mut self, at: Nanos, to: Option<HostId>, packet: &mut Packet) -> Option<HostId> {
        let transmit = &mut *packet.0;
        assert!(self.sent.len() < SENT_MAX, "livelock");
        self.sent.push((instant(at), transmit.clone()));
        let to = self.names.get(&transmit.to).copied().or(to);
        if let Some(translate) = &mut self.translation {
            let message = &transmit.message;
            transmit.message = translate(&message.from, &transmit.to, message)?;
        }
        if self.is_lost(to, transmit) {
            return None;
        }
        let Some((twin, turn)) = to.and_then(|to| self.twins.get_mut(&to)) else { return to };
        *turn = !*turn;
        if *turn { to } else { Some(*twin) }
    }

    fn settled(&mut self, _: Nanos, _: HostId, machine: &Swim) {
        if !self.is_unchecked {
            machine.node().check_invariants();
        }
    }
}
