//! Observers: checkers, traces and statistics, as types; no observer costs nothing.

use crate::machine::{Command, HostId, Machine};
use crate::time::Nanos;

/// What a process is given.
#[derive(Debug)]
pub enum Input<'a, P> {
    /// A packet.
    Packet(&'a P),
    /// A packet whose bytes were damaged.
    Bytes(&'a [u8]),
    /// News that its own packet could not be delivered.
    Undelivered(&'a P),
    /// The time.
    Timeout,
    /// A command.
    Command(&'a Command),
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Sent,
    /// The network loses it.
    Lost,
    /// It is larger than the network carries.
    TooLarge,
    /// Its address belongs to nobody.
    Nowhere,
    /// It waits until its sender may send.
    Held,
}

/// Somebody who looks on. Every process that runs is seen to start, to take
/// each input, to give each effect, and to end.
pub trait Watcher<M: Machine> {
    /// A process has begun; it already knows these hosts when it was preloaded.
    fn started(&mut self, at: Nanos, host: HostId, machine: &M) {
        let _ = (at, host, machine);
    }

    /// A process has ended.
    fn stopped(&mut self, at: Nanos, host: HostId) {
        let _ = (at, host);
    }

    /// A process stands still or goes on, or its clock was set.
    fn disturbed(&mut self, at: Nanos, host: HostId) {
        let _ = (at, host);
    }

    /// A process is about to take an input.
    fn input(&mut self, at: Nanos, host: HostId, input: &Input<'_, M::Packet>, machine: &M) {
        let _ = (at, host, input, machine);
    }

    /// A process reports an event.
    fn event(&mut self, at: Nanos, host: HostId, event: &M::Event, machine: &M) {
        let _ = (at, host, event, machine);
    }

    /// Where a packet goes, and as what: the one thing that a watcher may change. Tests of single
    /// rules send packets elsewhere, to nobody, or as others. `to` is the host of its address.
    fn route(&mut self, at: Nanos, to: Option<HostId>, packet: &mut M::Packet) -> Option<HostId> {
        let _ = (at, packet);
        to
    }

    /// A process sends a packet.
    fn sent(
        &mut self,
        at: Nanos,
        from: HostId,
        to: Option<HostId>,
        packet: &M::Packet,
        fate: Fate,
    ) {
        let _ = (at, from, to, packet, fate);
    }

    /// All effects of an input are known.
    fn settled(&mut self, at: Nanos, host: HostId, machine: &M) {
        let _ = (at, host, machine);
    }

    /// Something is done to a host or to the network, in words.
    fn fault(&mut self, at: Nanos, what: &dyn std::fmt::Display) {
        let _ = (at, what);
    }
}

/// Nobody.
impl<M: Machine> Watcher<M> for () {}

/// Two of them, the left one first.
impl<M: Machine, A: Watcher<M>, B: Watcher<M>> Watcher<M> for (A, B) {
    fn started(&mut self, at: Nanos, host: HostId, machine: &M) {
        self.0.started(at, host, machine);
        self.1.started(at, host, machine);
    }

    fn stopped(&mut self, at: Nanos, host: HostId) {
        self.0.stopped(at, host);
        self.1.stopped(at, host);
    }

    fn disturbed(&mut self, at: Nanos, host: HostId) {
        self.0.disturbed(at, host);
        self.1.disturbed(at, host);
    }

    fn input(&mut self, at: Nanos, host: HostId, input: &Input<'_, M::Packet>, machine: &M) {
        self.0.input(at, host, input, machine);
        self.1.input(at, host, input, machine);
    }

    fn event(&mut self, at: Nanos, host: HostId, event: &M::Event, machine: &M) {
        self.0.event(at, host, event, machine);
        self.1.event(at, host, event, machine);
    }

    fn route(&mut self, at: Nanos, to: Option<HostId>, packet: &mut M::Packet) -> Option<HostId> {
        let to = self.0.route(at, to, packet);
        self.1.route(at, to, packet)
    }

    fn sent(
        &mut self,
        at: Nanos,
        from: HostId,
        to: Option<HostId>,
        packet: &M::Packet,
        fate: Fate,
    ) {
        self.0.sent(at, from, to, packet, fate);
        self.1.sent(at, from, to, packet, fate);
    }

    fn settled(&mut self, at: Nanos, host: HostId, machine: &M) {
        self.0.settled(at, host, machine);
        self.1.settled(at, host, machine);
    }

    fn fault(&mut self, at: Nanos, what: &dyn std::fmt::Display) {
        self.0.fault(at, what);
        self.1.fault(at, what);
    }
}
