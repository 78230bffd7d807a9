//! Reverse full sync: the second half of Ringpop's full sync.
//!
//! Who answered a ping with its whole member list asks the one who pinged for
//! its list in return, by a join request. Unlike at a join, what that brings
//! is spread, because others may lack it, too (ringpop-go, `disseminator.go`).

use crate::address::Address;
use crate::core::Core;
use crate::event::{Cause, Rejection};
use crate::message::{Change, Cursor};
use crate::sending::Request;

/// The lists that this member asked for.
#[derive(Debug, Default)]
pub(crate) struct ReverseSyncs(Vec<Job>);

#[derive(Debug)]
struct Job {
    request: Request,
    received: usize,
    applied: usize,
}

impl ReverseSyncs {
    /// Asks a peer for its list, unless enough others are being asked. The
    /// same peer may be asked twice at once, as in Ringpop.
    pub(crate) fn start(&mut self, core: &mut Core, peer: &Address) {
        if self.0.len() >= core.config.sync_jobs_max() {
            core.stats.syncs_omitted += 1;
            return;
        }
        core.stats.syncs_started += 1;
        let request = ask(core, peer.clone(), None);
        self.0.push(Job { request, received: 0, applied: 0 });
    }

    pub(crate) fn is_open(&self, from: &Address, seq: u64) -> bool {
        self.0.iter().any(|job| job.request.is(from, seq))
    }

    /// A page of the list arrived.
    pub(crate) fn on_join_ack(
        &mut self,
        core: &mut Core,
        seq: u64,
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let Some(mut job) = self.take(core, seq) else { return };
        let endless = next.is_some() && changes.is_empty();
        job.received += changes.len();
        let peer = job.request.to.clone();
        job.applied += core.apply(changes, &Cause::Sync { from: peer.clone() });
        if endless || job.received > core.config.members_max() {
            core.reject(&peer, Rejection::Invalid { what: "answer to a full sync" });
            job.end(core, false);
        } else if let Some(cursor) = next {
            job.request = ask(core, peer, Some(cursor));
            self.0.push(job);
        } else {
            job.end(core, true);
        }
    }

    /// A request got no answer. `false` when the number is none of these.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        let Some(job) = self.take(core, seq) else { return false };
        job.give_up(core);
        true
    }

    fn take(&mut self, core: &mut Core, seq: u64) -> Option<Job> {
        let i = self.0.iter().position(|job| job.request.seq == seq)?;
        let job = self.0.swap_remove(i);
        core.disarm(&job.request);
        Some(job)
    }

    /// Gives up the latest ones when fewer may run than do.
    pub(crate) fn give_up_surplus(&mut self, core: &mut Core) {
        let kept = self.0.len().min(core.config.sync_jobs_max());
        for job in self.0.split_off(kept) {
            job.give_up(core);
        }
    }

    pub(crate) fn check(&self, core: &Core) {
        assert!(self.0.len() <= core.config.sync_jobs_max(), "reverse full syncs are bounded");
    }
}

impl Job {
    /// Ends a sync whose answer is not waited for any more.
    fn give_up(self, core: &mut Core) {
        core.disarm(&self.request);
        core.late.expect(self.request.clone(), Vec::new());
        self.end(core, false);
    }

    fn end(self, core: &mut Core, complete: bool) {
        core.sync_ended(self.request.to, self.applied, complete);
    }
}

fn ask(core: &mut Core, peer: Address, cursor: Option<Cursor>) -> Request {
    let body = core.join_body(cursor);
    core.request(peer, core.config.sync_timeout(), body)
}
