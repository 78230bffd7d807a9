//! Asking others to dial this member at the address that it advertises.
//!
//! The request is a ping-req that names its own sender: the helper pings the
//! advertised address, and the ping that arrives is the proof. No message of
//! its own is needed: members of former versions help as well, once they know the
//! requester.

use std::time::Duration;

use crate::core::Core;
use crate::limits::{DIAL_BACK_PAUSE_MAX, DIAL_BACKS_MAX};
use crate::message::Body;
use crate::requests::Purpose;

/// The dial-backs that this member asked for.
#[derive(Debug, Default)]
pub(crate) struct DialBack {
    /// Requests under way.
    open: usize,
    /// The pause before the next ones; it doubles each time.
    pause: Duration,
}

impl DialBack {
    /// Asks helpers at random, and again after a pause. The first time a full set of
    /// helpers is asked, because a suspicion is running; later one, because an
    /// unreachable member should cost the others little.
    pub(crate) fn start(&mut self, core: &mut Core) {
        core.contact.dial_back_at = None;
        if !core.contact.is_in_doubt() {
            return;
        }
        let unreachable = core.contact.is_unreachable();
        let helpers = if unreachable { 1 } else { core.config.ping_req_helpers().max(1) };
        let local = core.local_slot;
        let peers = core.members.pick_random(helpers, &mut core.rng, |id| id != local);
        let room = DIAL_BACKS_MAX.saturating_sub(self.open);
        for peer in peers.into_iter().take(room) {
            let (changes, _) = core.piggyback(peer);
            core.stats.dial_backs_sent += 1;
            let (target, checksum) = (core.local.clone(), core.members.checksum());
            let body = Body::PingReq { target, checksum, changes };
            let peer = core.members.slot(peer).member.address.clone();
            core.request(Purpose::DialBack, peer, core.config.ping_req_timeout(), body);
            self.open += 1;
        }
        let first = core.config.protocol_period();
        self.pause = (self.pause * 2).clamp(first, DIAL_BACK_PAUSE_MAX.max(first));
        core.arm_dial_back(core.now + self.pause);
    }

    /// A member reached this one: the next doubt begins with the shortest pause.
    pub(crate) fn reached(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// A helper answered. Its answer does not matter: the ping that arrives is the
    /// proof.
    pub(crate) fn on_answer(&mut self, core: &mut Core, seq: u64) {
        core.close(seq);
        self.open -= 1;
    }

    /// A helper did not answer in time. A late answer is still applied.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) {
        core.give_up(seq, Vec::new());
        self.open -= 1;
    }

    pub(crate) fn check(&self, core: &Core) {
        let requests = core.requests.count(|purpose| purpose == Purpose::DialBack);
        assert_eq!(self.open, requests, "one request for each dial-back");
    }
}
