//! Asking others to dial this member at the address that it advertises.
//!
//! The request is a ping-req that names its own sender: the helper pings the
//! advertised address, and the ping that arrives is the proof. No message of
//! its own is needed, so that members of former versions help as well, once
//! they know the one who asks.

use std::time::Duration;

use crate::address::Address;
use crate::core::Core;
use crate::limits::{DIAL_BACK_PAUSE_MAX, DIAL_BACKS_MAX};
use crate::message::Body;
use crate::sending::Request;

/// The dial-backs that this member asked for.
#[derive(Debug, Default)]
pub(crate) struct DialBack {
    open: Vec<Request>,
    /// The pause before the next ones; it doubles each time.
    pause: Duration,
}

impl DialBack {
    /// Asks helpers at random, and again after a pause. The first time a full
    /// set of helpers is asked, because a suspicion is running; later one, so
    /// that a member that nobody can dial costs the others little.
    pub(crate) fn start(&mut self, core: &mut Core) {
        core.contact.dial_back_at = None;
        if !core.contact.is_in_doubt() {
            return;
        }
        let unreachable = core.contact.is_unreachable();
        let helpers = if unreachable { 1 } else { core.config.ping_req_helpers().max(1) };
        let local = core.local_slot;
        let peers = core.members.pick_random(helpers, &mut core.rng, |id| id != local);
        let room = DIAL_BACKS_MAX.saturating_sub(self.open.len());
        for peer in peers.into_iter().take(room) {
            let (changes, _) = core.piggyback(peer);
            core.stats.dial_backs_sent += 1;
            let (target, checksum) = (core.local.clone(), core.members.checksum());
            let body = Body::PingReq { target, checksum, changes };
            let peer = core.members.slot(peer).member.address.clone();
            self.open.push(core.request(peer, core.config.ping_req_timeout(), body));
        }
        let first = core.config.protocol_period();
        self.pause = (self.pause * 2).clamp(first, DIAL_BACK_PAUSE_MAX.max(first));
        core.arm_dial_back(core.now + self.pause);
    }

    /// Somebody reached this member: the next doubt begins anew.
    pub(crate) fn reached(&mut self) {
        self.pause = Duration::ZERO;
    }

    pub(crate) fn is_open(&self, from: &Address, seq: u64) -> bool {
        self.open.iter().any(|request| request.is(from, seq))
    }

    /// A helper answered. Whether it reached this member is not needed: the ping
    /// itself is the proof. `false` when the number is none of these.
    pub(crate) fn on_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        self.end(core, seq).is_some()
    }

    /// A helper did not answer in time; a late answer is still taken. `false` when
    /// the number is none of these.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        let Some(request) = self.end(core, seq) else { return false };
        core.late.expect(request, Vec::new());
        true
    }

    fn end(&mut self, core: &mut Core, seq: u64) -> Option<Request> {
        let i = self.open.iter().position(|request| request.seq == seq)?;
        let request = self.open.swap_remove(i);
        core.disarm(&request);
        Some(request)
    }
}
