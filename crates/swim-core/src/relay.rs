//! Pings that this member makes for others, as a helper.

use std::time::Duration;

use fxhash::FxHashMap;

use crate::address::Address;
use crate::core::{Core, Reply};
use crate::dissemination::Issued;
use crate::event::Rejection;
use crate::limits::{NACK_PERCENT, RELAYS_MAX};
use crate::message::Body;
use crate::requests::Purpose;
use crate::time::Instant;
use crate::timers::Timer;

/// The pings that are open, by their number.
#[derive(Debug, Default)]
pub(crate) struct Relays(FxHashMap<u64, Relay>);

#[derive(Debug)]
struct Relay {
    target: Address,
    issued: Vec<Issued>,
    requester: Requester,
    /// When the nack is due.
    nack: Option<Instant>,
}

/// The sender of a ping-req, with the number to answer under.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    pub(crate) address: Address,
    pub(crate) incarnation: u64,
    pub(crate) checksum: u64,
    pub(crate) seq: u64,
}

impl Relays {
    /// Pings the target of a ping-req. The changes of the message are applied
    /// already.
    pub(crate) fn start(&mut self, core: &mut Core, requester: Requester, target: Address) {
        if self.0.len() >= RELAYS_MAX {
            core.refuse(&requester.address, requester.seq, Rejection::Busy);
            return;
        }
        core.stats.ping_reqs_received += 1;
        let Some(slot) = core.members.find(&target) else {
            if target == requester.address {
                self.dial_stranger(core, requester);
                return;
            }
            // An unknown target was refused before. A removed one gets no ping, and
            // the requester gets its tombstone.
            core.reply_with_tombstone(&target, 0);
            answer(core, &requester, target, false, false);
            return;
        };
        if slot == core.local_slot {
            answer(core, &requester, target, true, false);
            return;
        }
        let (timeout, nack_after) = times(core);
        let (seq, issued) = core.ping(Purpose::Relay, slot, timeout);
        self.open(core, seq, Relay { target, issued, requester, nack: None }, nack_after);
    }

    /// Pings a process that is not a member and asks to be dialled at its own
    /// address.
    fn dial_stranger(&mut self, core: &mut Core, requester: Requester) {
        if !core.may_dial_stranger() {
            core.refuse(&requester.address, requester.seq, Rejection::Busy);
            return;
        }
        let (timeout, nack_after) = times(core);
        let target = requester.address.clone();
        let seq = core.ping_with(Purpose::Relay, target.clone(), timeout, Vec::new());
        let relay = Relay { target, issued: Vec::new(), requester, nack: None };
        self.open(core, seq, relay, nack_after);
    }

    fn open(&mut self, core: &mut Core, seq: u64, mut relay: Relay, nack_after: Option<Duration>) {
        relay.nack = nack_after.map(|after| {
            let at = core.now + after;
            core.timers.set(at, Timer::Nack(seq));
            at
        });
        self.0.insert(seq, relay);
    }

    /// Sends the nack: the target was not reached yet.
    pub(crate) fn on_nack(&mut self, core: &mut Core, seq: u64) {
        let Some(relay) = self.0.get_mut(&seq) else { return };
        relay.nack = None;
        core.stats.nacks_sent += 1;
        answer(core, &relay.requester, relay.target.clone(), false, true);
    }

    /// The target answered.
    pub(crate) fn on_ack(&mut self, core: &mut Core, seq: u64) {
        self.finish(core, seq, true);
    }

    /// The target refused the ping, so it lives.
    pub(crate) fn on_refused(&mut self, core: &mut Core, seq: u64) {
        if let Some(relay) = self.0.get_mut(&seq) {
            // The target did not apply the changes of a refused ping.
            relay.issued.clear();
        }
        self.finish(core, seq, true);
    }

    /// The target did not answer. A helper reports that to the requester and
    /// suspects nobody itself (ringpop-go).
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) {
        self.finish(core, seq, false);
    }

    fn finish(&mut self, core: &mut Core, seq: u64, reached: bool) {
        let Some(Relay { target, issued, requester, nack }) = self.0.remove(&seq) else { return };
        if let Some(at) = nack {
            core.timers.cancel(at, Timer::Nack(seq));
        }
        if reached {
            core.close(seq);
            core.delivered(&issued);
        } else {
            core.give_up(seq, issued);
        }
        answer(core, &requester, target, reached, false);
    }

    pub(crate) fn check(&self, core: &Core) {
        assert!(self.0.len() <= RELAYS_MAX, "relays are bounded");
        let requests = core.requests.count(|purpose| purpose == Purpose::Relay);
        assert_eq!(self.0.len(), requests, "one request for each relay");
    }
}

/// How long a helper waits for the target, and when it sends the nack, where a
/// request may have two answers.
fn times(core: &Core) -> (Duration, Option<Duration>) {
    let full = core.config.ping_timeout();
    let early = full * NACK_PERCENT / 100;
    if core.config.late_acks() {
        return (full, Some(early));
    }
    (if core.config.awareness_max() > 1 { early } else { full }, None)
}

fn answer(core: &mut Core, requester: &Requester, target: Address, reached: bool, pending: bool) {
    let Requester { address, incarnation, checksum, .. } = requester;
    // The answer may be a full sync in Ringpop, but one without the reverse.
    let Reply { changes, .. } = core.piggyback_reply(address, *incarnation, *checksum);
    let body = Body::PingReqAck { target, reached, pending, changes };
    core.send(requester.address.clone(), requester.seq, body);
}
