//! Pings that this member makes for others, as a helper.

use std::time::Duration;

use fxhash::FxHashMap;

use crate::address::Address;
use crate::core::Core;
use crate::dissemination::Issued;
use crate::event::{Path, Rejection};
use crate::limits::RELAYS_MAX;
use crate::member::Status;
use crate::message::Body;
use crate::sending::{Reply, Request};
use crate::time::Instant;
use crate::timers::Timer;

/// A helper says after this part of its ping timeout that the target was not
/// reached so far (Lifeguard, section IV.A), so that the answer arrives while
/// the one who asked still waits.
const NACK_PERCENT: u32 = 80;

/// The pings that are open, by their number.
#[derive(Debug, Default)]
pub(crate) struct Relays(FxHashMap<u64, Relay>);

#[derive(Debug)]
struct Relay {
    ping: Request,
    issued: Vec<Issued>,
    asker: Asker,
    /// When the asker is told that the target was not reached so far.
    nack: Option<Instant>,
}

/// Who asked, with its incarnation and checksum and the number to answer under.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) address: Address,
    pub(crate) incarnation: u64,
    pub(crate) checksum: u64,
    pub(crate) seq: u64,
}

impl Relays {
    /// Pings the target of a ping-req. The changes of the message are applied
    /// already.
    pub(crate) fn start(&mut self, core: &mut Core, asker: Asker, target: Address) {
        if self.0.len() >= RELAYS_MAX {
            core.refuse(&asker.address, asker.seq, Rejection::Busy);
            return;
        }
        core.stats.ping_reqs_received += 1;
        let Some(slot) = core.members.find(&target) else {
            if target == asker.address {
                self.dial_stranger(core, asker);
                return;
            }
            // One that was never known was refused before. To one that is forgotten
            // no ping goes, and the asker hears that it is gone.
            core.is_buried(&target, 0, Status::Alive);
            answer(core, &asker, target, false, false);
            return;
        };
        if slot == core.local_slot {
            answer(core, &asker, target, true, false);
            return;
        }
        let (timeout, nack_after) = times(core);
        let (ping, issued) = core.ping(slot, timeout);
        self.open(core, asker, ping, issued, nack_after);
    }

    /// Pings a process that is no member and wants to know whether it is reached
    /// at the address that it gives.
    fn dial_stranger(&mut self, core: &mut Core, asker: Asker) {
        if !core.may_dial_stranger() {
            core.refuse(&asker.address, asker.seq, Rejection::Busy);
            return;
        }
        let (timeout, nack_after) = times(core);
        let ping = core.ping_with(Path::First, asker.address.clone(), timeout, Vec::new());
        self.open(core, asker, ping, Vec::new(), nack_after);
    }

    fn open(
        &mut self,
        core: &mut Core,
        asker: Asker,
        ping: Request,
        issued: Vec<Issued>,
        nack_after: Option<Duration>,
    ) {
        let nack = nack_after.map(|after| {
            let at = core.now + after;
            core.timers.set(at, Timer::Nack(ping.seq));
            at
        });
        self.0.insert(ping.seq, Relay { ping, issued, asker, nack });
    }

    /// It is time to say that the target was not reached so far.
    pub(crate) fn on_nack(&mut self, core: &mut Core, seq: u64) {
        let Some(relay) = self.0.get_mut(&seq) else { return };
        relay.nack = None;
        core.stats.nacks_sent += 1;
        answer(core, &relay.asker, relay.ping.to.clone(), false, true);
    }

    pub(crate) fn is_open(&self, from: &Address, seq: u64) -> bool {
        self.0.get(&seq).is_some_and(|relay| relay.ping.is(from, seq))
    }

    /// The target answered. `false` when the number belongs to no relay.
    pub(crate) fn on_ack(&mut self, core: &mut Core, from: &Address, seq: u64) -> bool {
        self.is_open(from, seq) && self.finish(core, seq, true)
    }

    /// The target refused the ping, so it lives. `false` when the number belongs
    /// to no relay.
    pub(crate) fn on_refused(&mut self, core: &mut Core, from: &Address, seq: u64) -> bool {
        if !self.is_open(from, seq) {
            return false;
        }
        if let Some(relay) = self.0.get_mut(&seq) {
            // A refused request has told nothing.
            relay.issued.clear();
        }
        self.finish(core, seq, true)
    }

    /// The target did not answer. `false` when the number belongs to no relay.
    /// A helper tells only the asker and suspects nobody (ringpop-go).
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        self.finish(core, seq, false)
    }

    fn finish(&mut self, core: &mut Core, seq: u64, reached: bool) -> bool {
        let Some(relay) = self.0.remove(&seq) else { return false };
        core.disarm(&relay.ping);
        if let Some(at) = relay.nack {
            core.timers.cancel(at, Timer::Nack(seq));
        }
        let to = relay.ping.to.clone();
        if reached {
            core.delivered(&relay.issued);
        } else {
            core.late.expect(relay.ping, relay.issued);
        }
        answer(core, &relay.asker, to, reached, false);
        true
    }

    pub(crate) fn check(&self) {
        assert!(self.0.len() <= RELAYS_MAX, "relays are bounded");
    }
}

/// How long a helper waits for the target, and when it says meanwhile that the
/// target was not reached so far, where a request may have two answers.
fn times(core: &Core) -> (Duration, Option<Duration>) {
    let full = core.config.ping_timeout();
    let early = full * NACK_PERCENT / 100;
    if core.config.late_acks() {
        return (full, Some(early));
    }
    (if core.config.awareness_max() > 1 { early } else { full }, None)
}

fn answer(core: &mut Core, asker: &Asker, target: Address, reached: bool, pending: bool) {
    let Asker { address, incarnation, checksum, .. } = asker;
    // The answer may be a full sync in Ringpop, but one without the reverse.
    let Reply { changes, .. } = core.piggyback_reply(address, *incarnation, *checksum);
    let body = Body::PingReqAck { target, reached, pending, changes };
    core.send(asker.address.clone(), asker.seq, body);
}
