//! Full sync: two members whose checksums differ exchange what differs.
//!
//! Ringpop answers a ping with its whole member list and asks for the other's
//! in return (see `reverse_sync.rs`). Here the two compare the digests of hash buckets first and
//! exchange, in both directions and page by page, the members of the buckets
//! that differ. The responder keeps no state: each step says what it needs.

use crate::address::Address;
use crate::core::Core;
use crate::event::{Cause, Rejection};
use crate::message::{Body, Change, Cursor, SyncStep};
use crate::page::{Page, beginning, page, valid_buckets, valid_cursor, valid_differing};
use crate::sending::Request;

/// The full syncs that this member started.
#[derive(Debug, Default)]
pub(crate) struct Syncs(Vec<Job>);

#[derive(Debug)]
struct Job {
    request: Request,
    buckets: u16,
    /// The buckets that differ; `None` until the first answer.
    differing: Option<Vec<u16>>,
    /// Where the next page to send begins; `None` when all are sent.
    push: Option<Cursor>,
    received: usize,
    applied: usize,
}

impl Syncs {
    /// Starts a full sync, unless one with this peer is under way or enough
    /// others are.
    pub(crate) fn start(&mut self, core: &mut Core, peer: &Address) {
        if self.0.iter().any(|job| job.request.to == *peer) {
            return;
        }
        if self.0.len() >= core.config.sync_jobs_max() {
            core.stats.syncs_omitted += 1;
            return;
        }
        core.stats.syncs_started += 1;
        let buckets = core.members.suitable_buckets();
        let step = SyncStep::Compare { digests: core.members.digests(buckets) };
        let request = core.request(peer.clone(), core.config.sync_timeout(), Body::Sync(step));
        let buckets = u16::try_from(buckets).expect("buckets are at most BUCKETS_MAX");
        self.0.push(Job {
            request,
            buckets,
            differing: None,
            push: Some(beginning(buckets)),
            received: 0,
            applied: 0,
        });
    }

    pub(crate) fn is_open(&self, from: &Address, seq: u64) -> bool {
        self.0.iter().any(|job| job.request.is(from, seq))
    }

    /// An answer arrived for an open step.
    pub(crate) fn on_ack(
        &mut self,
        core: &mut Core,
        seq: u64,
        differing: Vec<u16>,
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let Some(i) = self.0.iter().position(|job| job.request.seq == seq) else {
            return;
        };
        let mut job = self.0.swap_remove(i);
        core.disarm(&job.request);
        let endless = next.as_ref().is_some_and(|next| {
            changes.is_empty() || next.buckets != job.buckets || !valid_cursor(next)
        });
        job.received += changes.len();
        let cause = Cause::Sync { from: job.request.to.clone() };
        job.applied += core.apply(changes, &cause);
        let valid = valid_differing(&differing, usize::from(job.buckets));
        if !valid || endless || job.received > core.config.members_max() {
            core.reject(&job.request.to, Rejection::Invalid { what: "answer to a full sync" });
            job.end(core, false);
            return;
        }
        let differing = job.differing.get_or_insert(differing);
        let Page { changes, next: push } = turn(core, differing, job.push.take());
        if changes.is_empty() && next.is_none() {
            job.end(core, true);
            return;
        }
        job.push = push;
        let step = SyncStep::Exchange {
            buckets: job.buckets,
            differing: differing.clone(),
            cursor: next,
            changes,
        };
        let timeout = core.config.sync_timeout();
        job.request = core.request(job.request.to.clone(), timeout, Body::Sync(step));
        self.0.push(job);
    }

    /// A step got no answer. `false` when the number belongs to no sync.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) -> bool {
        let Some(i) = self.0.iter().position(|job| job.request.seq == seq) else {
            return false;
        };
        self.0.swap_remove(i).give_up(core);
        true
    }

    /// Gives up the latest ones when fewer may run than do.
    pub(crate) fn give_up_surplus(&mut self, core: &mut Core) {
        let kept = self.0.len().min(core.config.sync_jobs_max());
        for job in self.0.split_off(kept) {
            job.give_up(core);
        }
    }

    pub(crate) fn check(&self, core: &Core) {
        assert!(self.0.len() <= core.config.sync_jobs_max(), "full syncs are bounded");
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

/// Answers one step of a full sync that a peer started.
pub(crate) fn answer(core: &mut Core, from: &Address, seq: u64, step: SyncStep) {
    let valid = match &step {
        SyncStep::Compare { digests } => valid_buckets(digests.len()),
        SyncStep::Exchange { buckets, differing, cursor, .. } => {
            valid_buckets(usize::from(*buckets))
                && valid_differing(differing, usize::from(*buckets))
                && cursor.as_ref().is_none_or(|at| at.buckets == *buckets && valid_cursor(at))
        }
    };
    if !valid {
        core.refuse(from, seq, Rejection::Invalid { what: "step of a full sync" });
        return;
    }
    core.stats.syncs_received += 1;
    let (differing, page) = match step {
        SyncStep::Compare { digests } => {
            let ours = core.members.digests(digests.len());
            let buckets = u16::try_from(digests.len()).expect("checked to be at most BUCKETS_MAX");
            let differs =
                |bucket: &u16| ours[usize::from(*bucket)] != digests[usize::from(*bucket)];
            let differing: Vec<u16> = (0..buckets).filter(differs).collect();
            let page = page(core, Some(&differing), beginning(buckets));
            (differing, page)
        }
        SyncStep::Exchange { differing, cursor, changes, .. } => {
            core.apply(changes, &Cause::Sync { from: from.clone() });
            (Vec::new(), turn(core, &differing, cursor))
        }
    };
    let Page { changes, next } = page;
    let checksum = core.members.checksum();
    core.send(from.clone(), seq, Body::SyncAck { checksum, differing, changes, next });
}

/// What follows on a page: what its sender should forget, when there is such,
/// otherwise a page in turn.
fn turn(core: &mut Core, differing: &[u16], cursor: Option<Cursor>) -> Page {
    let epitaphs = core.epitaphs();
    match cursor {
        cursor if !epitaphs.is_empty() => Page { changes: epitaphs, next: cursor },
        Some(cursor) => page(core, Some(differing), cursor),
        None => Page { changes: Vec::new(), next: None },
    }
}

/// Answers a join request with a page of the member list.
pub(crate) fn answer_join(core: &mut Core, from: &Address, seq: u64, cursor: Option<Cursor>) {
    let cursor = cursor.unwrap_or_else(|| {
        let buckets = core.members.suitable_buckets();
        beginning(u16::try_from(buckets).expect("buckets are at most BUCKETS_MAX"))
    });
    if !valid_buckets(usize::from(cursor.buckets)) {
        core.refuse(from, seq, Rejection::Invalid { what: "cursor of a join" });
        return;
    }
    core.stats.joins_received += 1;
    let Page { changes, next } = page(core, None, cursor);
    let checksum = core.members.checksum();
    core.send(from.clone(), seq, Body::JoinAck { checksum, changes, next });
}
