//! Failure detection: ping, then ask helpers (SWIM, sections 3.1 and 4.3), and
//! the helper's side of it.

use fxhash::FxHashMap;

use crate::address::Address;
use crate::core::{Core, Request};
use crate::dissemination::Issued;
use crate::event::{Cause, Event, Rejection};
use crate::limits::{PROBES_MAX, RELAYS_MAX};
use crate::member::Status;
use crate::message::{Body, Change};

/// The probes of this member.
#[derive(Debug, Default)]
pub(crate) struct Probes(Vec<Probe>);

#[derive(Debug)]
struct Probe {
    target: Address,
    /// Incarnation of the target when the probe began: a newer one is not
    /// suspected for an old failure.
    incarnation: u64,
    /// The direct ping. It stays valid while helpers are asked, because a late
    /// answer is an answer.
    ping: Request,
    issued: Vec<Issued>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Direct,
    Indirect { helpers: Vec<Helper> },
}

#[derive(Debug)]
struct Helper {
    request: Request,
    issued: Vec<Issued>,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Pending,
    NotReached,
    /// The helper itself did not answer.
    None,
}

impl Probes {
    /// Probes the next member in order.
    pub(crate) fn start_next(&mut self, core: &mut Core) {
        if self.0.len() >= PROBES_MAX {
            core.stats.probes_skipped += 1;
            return;
        }
        let local = core.local.clone();
        let idle = |address: &Address| self.0.iter().all(|probe| probe.target != *address);
        let next = core.members.next_in_order(&mut core.rng, |member| {
            member.address != local && idle(&member.address)
        });
        let Some(slot) = next else { return };
        let member = &core.members.slot(slot).member;
        let (target, incarnation) = (member.address.clone(), member.incarnation);
        let (ping, issued) = core.ping(target.clone(), core.config.ping_timeout());
        self.0.push(Probe {
            target,
            incarnation,
            ping,
            issued,
            stage: Stage::Direct,
        });
    }

    /// The target answered the direct ping. `false` when the number belongs to
    /// no probe.
    pub(crate) fn on_ack(&mut self, core: &mut Core, from: &Address, seq: u64) -> bool {
        let Some(i) = self.0.iter().position(|probe| probe.ping.is(from, seq)) else {
            return false;
        };
        let issued = std::mem::take(&mut self.0[i].issued);
        core.delivered(&issued);
        self.reached(core, i);
        true
    }

    /// A helper answered. `false` when the number belongs to no probe.
    pub(crate) fn on_helper(
        &mut self,
        core: &mut Core,
        from: &Address,
        seq: u64,
        reached: bool,
    ) -> bool {
        let Some((i, j)) = self.find_helper(|request| request.is(from, seq)) else {
            return false;
        };
        let helper = self.helper_mut(i, j);
        let issued = std::mem::take(&mut helper.issued);
        helper.answer = Answer::NotReached;
        core.close(&helper.request);
        core.delivered(&issued);
        if reached {
            self.reached(core, i);
        } else {
            self.conclude_if_answered(core, i);
        }
        true
    }

    /// A request got no answer: its time is over, it was refused, or it could
    /// not be delivered. `false` when the number belongs to no probe.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        let direct = |probe: &Probe| probe.ping.seq == seq && matches!(probe.stage, Stage::Direct);
        if let Some(i) = self.0.iter().position(direct) {
            let request = self.0[i].ping.clone();
            core.close(&request);
            self.ask_helpers(core, i);
            return true;
        }
        let Some((i, j)) = self.find_helper(|request| request.seq == seq) else {
            return false;
        };
        let helper = self.helper_mut(i, j);
        helper.answer = Answer::None;
        core.close(&helper.request);
        self.conclude_if_answered(core, i);
        true
    }

    fn find_helper(&self, wanted: impl Fn(&Request) -> bool) -> Option<(usize, usize)> {
        self.0.iter().enumerate().find_map(|(i, probe)| {
            let Stage::Indirect { helpers } = &probe.stage else {
                return None;
            };
            let pending =
                |helper: &Helper| helper.answer == Answer::Pending && wanted(&helper.request);
            helpers.iter().position(pending).map(|j| (i, j))
        })
    }

    fn helper_mut(&mut self, i: usize, j: usize) -> &mut Helper {
        let Stage::Indirect { helpers } = &mut self.0[i].stage else {
            unreachable!("helpers are found in the indirect stage only")
        };
        &mut helpers[j]
    }

    fn ask_helpers(&mut self, core: &mut Core, i: usize) {
        let target = self.0[i].target.clone();
        let (k, timeout) = (
            core.config.ping_req_helpers(),
            core.config.ping_req_timeout(),
        );
        let local = core.local.clone();
        let peers = core.members.pick_random(k, &mut core.rng, |member| {
            member.address != target && member.address != local
        });
        let mut helpers = Vec::with_capacity(peers.len());
        for peer in peers {
            let (changes, issued) = core.piggyback(&peer);
            core.stats.ping_reqs_sent += 1;
            let checksum = core.members.checksum();
            let body = Body::PingReq {
                target: target.clone(),
                checksum,
                changes,
            };
            let request = core.request(peer, timeout, body);
            helpers.push(Helper {
                request,
                issued,
                answer: Answer::Pending,
            });
        }
        self.0[i].stage = Stage::Indirect { helpers };
        self.conclude_if_answered(core, i);
    }

    /// Ends a probe whose target answered somehow.
    fn reached(&mut self, core: &mut Core, i: usize) {
        let probe = self.remove(core, i);
        if let Some(slot) = core.members.find(&probe.target) {
            core.members.slot_mut(slot).inconclusive = 0;
        }
    }

    fn remove(&mut self, core: &mut Core, i: usize) -> Probe {
        let probe = self.0.swap_remove(i);
        core.close(&probe.ping);
        if let Stage::Indirect { helpers } = &probe.stage {
            helpers
                .iter()
                .for_each(|helper| core.close(&helper.request));
        }
        probe
    }

    /// Ends a probe when no helper can be waited for any longer.
    fn conclude_if_answered(&mut self, core: &mut Core, i: usize) {
        let Stage::Indirect { helpers } = &self.0[i].stage else {
            return;
        };
        if helpers
            .iter()
            .any(|helper| helper.answer == Answer::Pending)
        {
            return;
        }
        let asked = helpers.len();
        let silent = helpers.iter().all(|helper| helper.answer == Answer::None);
        // ringpop-go: when a full set of helpers stays silent, it is this
        // member that cannot reach anybody.
        let inconclusive = asked > 0 && asked == core.config.ping_req_helpers() && silent;
        let Probe {
            target,
            incarnation,
            ..
        } = self.remove(core, i);
        let Some(slot) = core.members.find(&target) else {
            return;
        };
        let in_a_row = &mut core.members.slot_mut(slot).inconclusive;
        *in_a_row = if inconclusive {
            in_a_row.saturating_add(1)
        } else {
            0
        };
        let conclusive = !inconclusive || *in_a_row > core.config.inconclusive_probes_max();
        core.event(Event::ProbeFailed {
            target: target.clone(),
            helpers: asked,
            conclusive,
        });
        if conclusive {
            core.stats.probes_failed += 1;
            core.declare(&target, Status::Suspect, incarnation, Cause::Probe);
        } else {
            core.stats.probes_inconclusive += 1;
        }
    }

    /// Ends all probes without a conclusion.
    pub(crate) fn clear(&mut self, core: &mut Core) {
        while !self.0.is_empty() {
            self.remove(core, 0);
        }
    }

    pub(crate) fn check(&self, core: &Core) {
        assert!(self.0.len() <= PROBES_MAX, "probes are bounded");
        for probe in &self.0 {
            assert_ne!(probe.target, core.local, "nobody probes itself");
            if let Stage::Indirect { helpers } = &probe.stage {
                let pending = helpers
                    .iter()
                    .any(|helper| helper.answer == Answer::Pending);
                assert!(pending, "a probe without a pending helper is over");
            }
        }
    }
}

/// Pings that this member makes for others.
#[derive(Debug, Default)]
pub(crate) struct Relays(FxHashMap<u64, Relay>);

#[derive(Debug)]
struct Relay {
    ping: Request,
    issued: Vec<Issued>,
    /// Who asked, with its incarnation and the number to answer under.
    asker: Address,
    asker_incarnation: u64,
    asker_seq: u64,
}

impl Relays {
    /// Pings the target of a ping-req. The changes of the message are applied
    /// already.
    pub(crate) fn start(
        &mut self,
        core: &mut Core,
        (asker, asker_incarnation, asker_seq): (Address, u64, u64),
        target: Address,
    ) {
        if self.0.len() >= RELAYS_MAX {
            core.refuse(&asker, asker_seq, Rejection::Busy);
            return;
        }
        core.stats.ping_reqs_received += 1;
        if target == core.local {
            answer(core, &asker, asker_incarnation, asker_seq, target, true);
            return;
        }
        let (ping, issued) = core.ping(target, core.config.ping_timeout());
        let relay = Relay {
            ping,
            issued,
            asker,
            asker_incarnation,
            asker_seq,
        };
        self.0.insert(relay.ping.seq, relay);
    }

    /// The target answered. `false` when the number belongs to no relay.
    pub(crate) fn on_ack(&mut self, core: &mut Core, from: &Address, seq: u64) -> bool {
        if !self
            .0
            .get(&seq)
            .is_some_and(|relay| relay.ping.is(from, seq))
        {
            return false;
        }
        self.finish(core, seq, true)
    }

    /// The target did not answer. `false` when the number belongs to no relay.
    /// A helper tells only the asker and suspects nobody (ringpop-go).
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        self.finish(core, seq, false)
    }

    fn finish(&mut self, core: &mut Core, seq: u64, reached: bool) -> bool {
        let Some(relay) = self.0.remove(&seq) else {
            return false;
        };
        core.close(&relay.ping);
        if reached {
            core.delivered(&relay.issued);
        }
        let Relay {
            ping,
            asker,
            asker_incarnation,
            asker_seq,
            ..
        } = relay;
        answer(core, &asker, asker_incarnation, asker_seq, ping.to, reached);
        true
    }

    pub(crate) fn check(&self) {
        assert!(self.0.len() <= RELAYS_MAX, "relays are bounded");
    }
}

fn answer(
    core: &mut Core,
    asker: &Address,
    asker_incarnation: u64,
    asker_seq: u64,
    target: Address,
    reached: bool,
) {
    let changes: Vec<Change> = core.piggyback_reply(asker, asker_incarnation);
    core.send(
        asker.clone(),
        asker_seq,
        Body::PingReqAck {
            target,
            reached,
            changes,
        },
    );
}
