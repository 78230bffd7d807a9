//! Leaving, or self-eviction: the new status is announced to some members directly,
//! before the process ends.

use crate::core::Core;
use crate::dissemination::{Issued, sends_max};
use crate::event::Event;
use crate::member::Status;
use crate::requests::Purpose;

#[derive(Debug, Default)]
pub(crate) struct Leave {
    /// The pings under way, by number.
    open: Vec<(u64, Vec<Issued>)>,
    told: usize,
    acknowledged: usize,
}

impl Leave {
    /// Declares that this member leaves, or evicts itself as faulty, and announces it.
    /// Returns whether that is over at once, without another member.
    pub(crate) fn start(&mut self, core: &mut Core, status: Status) -> bool {
        let labels = core.local_member().labels.clone();
        core.set_local(status, labels);
        let local = core.local_slot;
        let part = (core.others() * core.config.leave_pings_percent()).div_ceil(100);
        // No point in pinging more members than the change's send limit (Ringpop).
        let sends = sends_max(core.config.piggyback_factor(), core.others()) as usize;
        let n = part.min(core.config.leave_pings_max()).min(sends);
        let peers = core.members.pick_random(n, &mut core.rng, |id| id != local);
        *self = Self { open: Vec::new(), told: peers.len(), acknowledged: 0 };
        for peer in peers {
            let timeout = core.config.ping_timeout();
            self.open.push(core.ping(Purpose::Leave, peer, timeout));
        }
        self.end_if_over(core)
    }

    /// A member answered. Returns whether all pings are over.
    pub(crate) fn on_ack(&mut self, core: &mut Core, seq: u64) -> bool {
        if let Some(issued) = self.take(seq) {
            core.close(seq);
            core.delivered(&issued);
            self.acknowledged += 1;
        }
        self.end_if_over(core)
    }

    /// A member did not answer. Returns whether all pings are over.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        if let Some(issued) = self.take(seq) {
            core.give_up(seq, issued);
        }
        self.end_if_over(core)
    }

    fn take(&mut self, seq: u64) -> Option<Vec<Issued>> {
        let i = self.open.iter().position(|(open, _)| *open == seq)?;
        Some(self.open.swap_remove(i).1)
    }

    fn end_if_over(&self, core: &mut Core) -> bool {
        let over = self.open.is_empty();
        if over {
            let (acknowledged, told) = (self.acknowledged, self.told);
            core.event(Event::LeaveComplete { acknowledged, told });
        }
        over
    }
}
