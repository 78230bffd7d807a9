//! Failure detection: ping, then ask helpers (SWIM, sections 3.1 and 4.3).

use std::collections::VecDeque;
use std::time::Duration;

use crate::address::Address;
use crate::core::Core;
use crate::dissemination::Issued;
use crate::event::{Cause, Event};
use crate::limits::{HELPERS_MAX, PROBE_DURATIONS_MAX, PROBES_MAX};
use crate::member::Status;
use crate::membership::SlotId;
use crate::message::Body;
use crate::pace::{Outcome, Pace};
use crate::requests::Purpose;
use crate::time::Instant;

/// The probes of this member.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    open: Vec<Probe>,
    /// The last shared round in which this member probed.
    round: Option<u64>,
    /// Whether others were probed in this period because of a suspicion.
    told: bool,
    /// How the last probes ended.
    pace: Pace,
    /// How long the last probes took, when the period adapts to it.
    durations: VecDeque<Duration>,
}

#[derive(Debug)]
struct Probe {
    /// The slot of the target when the probe began. No two probes have the same.
    slot: SlotId,
    target: Address,
    /// Incarnation of the target when the probe began: a newer one is not
    /// suspected for an old failure.
    incarnation: u64,
    started: Instant,
    /// The number of the direct ping. It stays open while helpers are asked,
    /// because a late answer is an answer.
    ping: u64,
    issued: Vec<Issued>,
    /// The second half of the probe, once the ping was not answered in time. In a
    /// box, because few probes come to that.
    indirect: Option<Box<Indirect>>,
}

#[derive(Debug)]
struct Indirect {
    asked: Instant,
    /// Whether others answered this member shortly before.
    answered_before: bool,
    helpers: Vec<Helper>,
    /// The number of the ping on the second path, while it is open.
    second: Option<u64>,
}

#[derive(Debug)]
struct Helper {
    address: Address,
    /// The number of the ping-req.
    seq: u64,
    issued: Vec<Issued>,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Pending,
    /// The helper has not reached the target yet.
    Nack,
    /// The helper sent a nack, and nothing more in time.
    OnlyNack,
    /// It answered that it did not reach the target, or refused to try.
    NotReached,
    /// The helper itself did not answer.
    Silent,
}

impl Answer {
    const fn is_final(self) -> bool {
        matches!(self, Self::OnlyNack | Self::NotReached | Self::Silent)
    }
}

impl Indirect {
    /// Whether others answered this member in time while the target did not: a helper
    /// did, or any member both before and after the helpers were asked. Once is not
    /// enough: this member may have been cut off from before that until just now.
    fn others_answer(&self, core: &Core) -> bool {
        self.helpers.iter().any(|helper| helper.answer != Answer::Silent)
            || (self.answered_before && core.responders.since(self.asked))
    }
}

impl Probe {
    fn helpers(&self) -> &[Helper] {
        self.indirect.as_ref().map_or(&[], |indirect| &indirect.helpers)
    }

    /// The number of the ping on the second path, while it is open.
    fn second(&self) -> Option<u64> {
        self.indirect.as_ref()?.second
    }
}

/// The round that has begun since the `last` one, when members count them
/// alike. A second probe within a round is up to each: its target is probed in
/// this round already.
fn new_round(core: &Core, last: &mut Option<u64>) -> Option<u64> {
    let period_ms = core.config.protocol_period().as_millis().max(1) as u64;
    let round = core.unix_ms() / period_ms;
    let new = core.config.shared_rounds() && last.replace(round) != Some(round);
    new.then_some(round)
}

/// Whether members watch over their own health.
fn lifeguard(core: &Core) -> bool {
    core.config.awareness_max() > 1
}

fn ping_timeout(core: &Core) -> Duration {
    core.awareness.stretch(core.config.ping_timeout())
}

impl Probes {
    /// Begins the probes of a period: one as a rule, more while most members
    /// are gone.
    pub(crate) fn start_period(&mut self, core: &mut Core) {
        self.told = false;
        let probes = if lifeguard(core) { self.pace.probes() } else { 1 };
        self.start_next(core);
        self.start_further(core, probes - 1, core.local_slot);
    }

    /// Probes members of this member's own order, but for one.
    fn start_further(&mut self, core: &mut Core, probes: usize, without: SlotId) {
        for _ in 0..probes {
            if self.open.len() < core.config.probes_max() {
                let next = {
                    let wanted = self.wanted(core.local_slot);
                    let wanted = |slot| slot != without && wanted(slot);
                    core.members.next_in_order(&mut core.rng, wanted)
                };
                next.into_iter().for_each(|slot| self.begin(core, slot));
            }
        }
    }

    /// Probes the next member in order. Returns whether a probe began.
    pub(crate) fn start_next(&mut self, core: &mut Core) -> bool {
        if self.open.len() >= core.config.probes_max() {
            core.stats.probes_skipped += 1;
            return false;
        }
        let round = new_round(core, &mut self.round);
        let (local, wanted) = (core.local_slot, self.wanted(core.local_slot));
        let next = match round {
            Some(round) => core.members.next_in_round(round, local, wanted),
            None => core.members.next_in_order(&mut core.rng, wanted),
        };
        let Some(slot) = next else { return false };
        self.begin(core, slot);
        true
    }

    /// Members that may be probed: none twice at once.
    fn wanted(&self, local: SlotId) -> impl Fn(SlotId) -> bool {
        move |slot| slot != local && self.open.iter().all(|probe| probe.slot != slot)
    }

    fn begin(&mut self, core: &mut Core, slot: SlotId) {
        let member = &core.members.slot(slot).member;
        let (target, incarnation) = (member.address.clone(), member.incarnation);
        let timeout = ping_timeout(core);
        let (ping, issued) = core.ping(Purpose::Ping(slot), slot, timeout);
        let started = core.now;
        self.open.push(Probe { slot, target, incarnation, started, ping, issued, indirect: None });
    }

    /// The time until the next probe. Ringpop takes at least twice the median of the
    /// last probes, which spares a slow network.
    pub(crate) fn period(&self, core: &Core) -> Duration {
        let period = core.awareness.stretch(core.config.protocol_period());
        if !core.config.adaptive_period() || self.durations.is_empty() {
            return period;
        }
        let mut sorted: Vec<Duration> = self.durations.iter().copied().collect();
        sorted.sort_unstable();
        period.max(2 * sorted[sorted.len() / 2])
    }

    /// The target of a probe answered the direct ping.
    pub(crate) fn on_ack(&mut self, core: &mut Core, slot: SlotId, seq: u64) {
        let Some(i) = self.find(slot) else { return };
        let issued = std::mem::take(&mut self.open[i].issued);
        core.delivered(&issued);
        self.reached(core, i, Some(seq));
    }

    /// The target of a probe answered on the second path.
    pub(crate) fn on_second_ack(&mut self, core: &mut Core, slot: SlotId, seq: u64) {
        let Some(i) = self.find(slot) else { return };
        core.stats.probes_second_path += 1;
        self.reached(core, i, Some(seq));
    }

    /// The target of a probe refused a ping, so it lives.
    pub(crate) fn on_refused(&mut self, core: &mut Core, slot: SlotId, seq: u64) {
        if let Some(i) = self.find(slot) {
            self.reached(core, i, Some(seq));
        }
    }

    /// A helper refused a ping-req: it lives and did not reach the target.
    pub(crate) fn on_helper_refused(&mut self, core: &mut Core, slot: SlotId, seq: u64) {
        if let Some(at) = self.find_helper(slot, seq) {
            self.answered(core, at, Answer::NotReached);
        }
    }

    /// A member answered some request of this one: it lives, whatever became of
    /// the ping of its probe.
    pub(crate) fn on_contact(&mut self, core: &mut Core, from: &Address) {
        if let Some(i) = self.open.iter().position(|probe| probe.target == *from) {
            self.reached(core, i, None);
        }
    }

    /// A helper answered.
    pub(crate) fn on_helper(
        &mut self,
        core: &mut Core,
        (slot, seq): (SlotId, u64),
        reached: bool,
        pending: bool,
    ) {
        let Some((i, j)) = self.find_helper(slot, seq) else { return };
        let helper = self.helper_mut(i, j);
        let issued = std::mem::take(&mut helper.issued);
        core.delivered(&issued);
        if reached {
            self.reached(core, i, Some(seq));
        } else if pending {
            self.helper_mut(i, j).answer = Answer::Nack;
        } else {
            self.answered(core, (i, j), Answer::NotReached);
        }
    }

    /// The direct ping of a probe was not answered in time.
    pub(crate) fn on_ping_unanswered(&mut self, core: &mut Core, slot: SlotId, seq: u64) {
        let Some(i) = self.find(slot) else { return };
        core.disarm(seq);
        if self.open[i].indirect.is_none() {
            self.ask_helpers(core, i);
        }
    }

    /// The ping of a probe on the second path was not answered in time.
    pub(crate) fn on_second_unanswered(&mut self, core: &mut Core, slot: SlotId, seq: u64) {
        let Some(i) = self.find(slot) else { return };
        core.close(seq);
        if let Some(indirect) = &mut self.open[i].indirect {
            indirect.second = None;
        }
        self.conclude_if_answered(core, i);
    }

    /// A helper did not answer in time, or nothing more after a nack.
    pub(crate) fn on_helper_unanswered(&mut self, core: &mut Core, slot: SlotId, seq: u64) {
        let Some((i, j)) = self.find_helper(slot, seq) else { return };
        let answer = match self.helper_mut(i, j).answer {
            Answer::Nack => Answer::OnlyNack,
            _ => Answer::Silent,
        };
        self.answered(core, (i, j), answer);
    }

    /// Notes the last answer of a helper.
    fn answered(&mut self, core: &mut Core, (i, j): (usize, usize), answer: Answer) {
        let helper = self.helper_mut(i, j);
        helper.answer = answer;
        core.close(helper.seq);
        if answer == Answer::Silent {
            core.responders.silent(&helper.address);
        }
        self.conclude_if_answered(core, i);
    }

    fn find(&self, slot: SlotId) -> Option<usize> {
        self.open.iter().position(|probe| probe.slot == slot)
    }

    /// The probe of a slot, and its helper whose ping-req has this number.
    fn find_helper(&self, slot: SlotId, seq: u64) -> Option<(usize, usize)> {
        let i = self.find(slot)?;
        let j = self.open[i].helpers().iter().position(|helper| helper.seq == seq)?;
        Some((i, j))
    }

    fn helper_mut(&mut self, i: usize, j: usize) -> &mut Helper {
        let indirect = self.open[i].indirect.as_mut();
        &mut indirect.expect("only probes with helpers are found by them").helpers[j]
    }

    fn ask_helpers(&mut self, core: &mut Core, i: usize) {
        let (target, slot) = (self.open[i].target.clone(), self.open[i].slot);
        let timeout = core.awareness.stretch(core.config.ping_req_timeout());
        let lately = core.now.since_start().saturating_sub(ping_timeout(core));
        let answered_before = core.responders.since(Instant::from_start(lately));
        core.responders.silent(&target);
        let mut helpers = Vec::new();
        for peer in self.pick_helpers(core, slot) {
            let (changes, issued) = core.piggyback(peer);
            core.stats.ping_reqs_sent += 1;
            let checksum = core.members.checksum();
            let body = Body::PingReq { target: target.clone(), checksum, changes };
            let address = core.members.slot(peer).member.address.clone();
            let seq = core.request(Purpose::PingReq(slot), address.clone(), timeout, body);
            helpers.push(Helper { address, seq, issued, answer: Answer::Pending });
        }
        let second = core
            .config
            .second_path()
            .then(|| core.ping_with(Purpose::SecondPing(slot), target, timeout, Vec::new()));
        let asked = core.now;
        self.open[i].indirect =
            Some(Box::new(Indirect { asked, answered_before, helpers, second }));
        self.conclude_if_answered(core, i);
    }

    /// The helpers for a target: members that answered lately, in random order, and
    /// any others when these are too few. A member without answers asks as many as it
    /// may, to find one that does.
    fn pick_helpers(&self, core: &mut Core, target: SlotId) -> Vec<SlotId> {
        let widens = lifeguard(core) && self.pace.nobody_answers();
        let k = match core.config.ping_req_helpers() {
            k if k > 0 && widens => HELPERS_MAX,
            k => k,
        };
        let mut picked: Vec<SlotId> =
            core.responders.iter().filter_map(|known| core.members.find(known)).collect();
        picked.sort_unstable();
        picked.dedup();
        let useful = |id: SlotId| id != target && id != core.local_slot;
        picked.retain(|id| core.members.slot(*id).member.is_reachable() && useful(*id));
        core.rng.shuffle(&mut picked);
        picked.truncate(k);
        let wanted = |id| useful(id) && !picked.contains(&id);
        let others = core.members.pick_random(k - picked.len(), &mut core.rng, wanted);
        picked.extend(others);
        picked
    }

    /// Ends a probe whose target lives, as the answer to one of its requests or
    /// to another one shows.
    fn reached(&mut self, core: &mut Core, i: usize, answered: Option<u64>) {
        let probe = self.remove(core, i, answered);
        core.awareness.improve();
        self.pace.record(Outcome::Reached);
        // Few members are watched; and another one may have got the slot of one that
        // was removed meanwhile.
        if core.members.watch(probe.slot).is_some()
            && core.members.slot(probe.slot).member.address == probe.target
        {
            core.members.watch_mut(probe.slot).inconclusive = 0;
            core.members.unwatch_idle(probe.slot);
        }
    }

    /// Ends a probe. Answers to its requests may still come, but for the one
    /// that was answered now.
    fn remove(&mut self, core: &mut Core, i: usize, answered: Option<u64>) -> Probe {
        let mut probe = self.open.swap_remove(i);
        let mut give_up = |to: &Address, seq: u64, issued: &mut Vec<Issued>| {
            core.close(seq);
            if answered != Some(seq) {
                core.late.expect(to.clone(), seq, std::mem::take(issued));
            }
        };
        give_up(&probe.target, probe.ping, &mut probe.issued);
        if let Some(indirect) = &mut probe.indirect {
            let may_answer = |helper: &&mut Helper| helper.answer != Answer::NotReached;
            for helper in indirect.helpers.iter_mut().filter(may_answer) {
                give_up(&helper.address, helper.seq, &mut helper.issued);
            }
            if let Some(second) = indirect.second {
                give_up(&probe.target, second, &mut Vec::new());
            }
        }
        if !core.config.adaptive_period() {
            return probe;
        }
        if self.durations.len() == PROBE_DURATIONS_MAX {
            self.durations.pop_front();
        }
        // A process that slept through a probe does not sleep on because of it.
        let longest = core.config.ping_timeout() + core.config.ping_req_timeout();
        self.durations.push_back((core.now - probe.started).min(longest));
        probe
    }

    /// Ends a probe when nothing can be waited for any longer.
    fn conclude_if_answered(&mut self, core: &mut Core, i: usize) {
        let Some(indirect) = &self.open[i].indirect else { return };
        let helpers = &indirect.helpers;
        if indirect.second.is_some() || helpers.iter().any(|helper| !helper.answer.is_final()) {
            return;
        }
        let asked = helpers.len();
        let silent = helpers.iter().filter(|helper| helper.answer == Answer::Silent).count();
        let others_answer = lifeguard(core) && indirect.others_answer(core);
        // ringpop-go: when a full set of helpers stays silent, this member cannot
        // reach others; unless it did reach one.
        let all_silent = asked > 0 && asked >= core.config.ping_req_helpers() && silent == asked;
        let inconclusive = all_silent && !others_answer;
        let Probe { target, incarnation, .. } = self.remove(core, i, None);
        self.pace.record(if others_answer { Outcome::TargetSilent } else { Outcome::AllSilent });
        if self.pace.most_are_gone() {
            // Most members are silent, and the others answer in time: that is
            // as good a sign of health as an answer of the target.
            core.awareness.improve();
        } else {
            // Lifeguard, section IV.A: a failed probe is a sign of slowness
            // here, a helper that owes an answer another one.
            core.awareness.worsen();
            if silent > 0 {
                core.awareness.worsen();
            }
        }
        let Some(slot) = core.members.find(&target) else { return };
        let in_a_row = &mut core.members.watch_mut(slot).inconclusive;
        *in_a_row = if inconclusive { in_a_row.saturating_add(1) } else { 0 };
        let conclusive = !inconclusive || *in_a_row > core.config.inconclusive_probes_max();
        core.members.unwatch_idle(slot);
        core.event(Event::ProbeFailed { target: target.clone(), helpers: asked, conclusive });
        if conclusive {
            core.stats.probes_failed += 1;
            core.declare(&target, Status::Suspect, incarnation, Cause::Probe);
            // The suspicions of others end as much later as they hear of it. A member that nobody
            // answers does not hurry.
            if others_answer && !std::mem::replace(&mut self.told, true) {
                self.start_further(core, core.config.suspicion_probes(), slot);
            }
        } else {
            core.stats.probes_inconclusive += 1;
        }
    }

    /// Ends all probes without a conclusion.
    pub(crate) fn clear(&mut self, core: &mut Core) {
        while !self.open.is_empty() {
            self.remove(core, 0, None);
        }
        self.durations.clear();
    }

    pub(crate) fn check(&self, core: &Core) {
        assert!(self.open.len() <= PROBES_MAX, "probes are bounded");
        let pings = core.requests.count(|purpose| matches!(purpose, Purpose::Ping(_)));
        assert_eq!(pings, self.open.len(), "one direct ping for each probe");
        for probe in &self.open {
            assert_ne!(probe.target, core.local, "a member does not probe itself");
            if probe.indirect.is_some() {
                let pending = probe.helpers().iter().any(|helper| !helper.answer.is_final());
                assert!(pending || probe.second().is_some(), "a probe with nothing open is over");
            }
        }
    }
}
