//! Full sync: two members whose checksums differ exchange the members that differ.
//!
//! The two compare the digests of hash buckets first. Then they exchange, in both
//! directions and page by page, the members of the buckets that differ.
//!
//! Ringpop answers a ping with the whole member list instead. The member that
//! answered so asks for the list of the other in return, by a join request: the
//! *reverse full sync*. Unlike at a join, the members of that list are gossiped,
//! because others may lack them, too (ringpop-go, `disseminator.go`).

mod answer;

pub(crate) use answer::{answer, answer_join};

use crate::address::Address;
use crate::core::{Core, Trust};
use crate::event::{Cause, Rejection};
use crate::message::{Body, Change, Cursor, SyncStep};
use crate::page::{Page, beginning, valid_cursor, valid_differing};
use crate::requests::Purpose;
use answer::reply_page;

/// The full syncs that this member started.
#[derive(Debug, Default)]
pub(crate) struct Syncs(Vec<Job>);

#[derive(Debug)]
struct Job {
    /// The number of the request under way.
    seq: u64,
    purpose: Purpose,
    peer: Address,
    received: usize,
    applied: usize,
    /// `None` where only the list of the peer is asked for.
    exchange: Option<Exchange>,
}

/// How far a full sync by digests is.
#[derive(Debug)]
struct Exchange {
    buckets: u16,
    /// The buckets that differ; `None` until the first answer.
    differing: Option<Vec<u16>>,
    /// Where the next page to send begins; `None` when all are sent.
    push: Option<Cursor>,
}

impl Syncs {
    /// Starts a full sync with a peer, unless enough others are under way: by
    /// digests, or the reverse half of Ringpop's. Of those by digests one at a time
    /// runs with each peer; Ringpop asks a peer for its list twice at once.
    pub(crate) fn start(&mut self, core: &mut Core, peer: &Address) {
        let whole_list = core.config.sync_whole_list();
        if !whole_list && self.0.iter().any(|job| job.peer == *peer) {
            return;
        }
        if !self.has_room(core) {
            return;
        }
        if whole_list {
            self.list(core, Purpose::ReverseSync, peer.clone());
            return;
        }
        let buckets = core.members.suitable_buckets();
        let step = SyncStep::Compare { digests: core.members.digests(buckets) };
        let buckets = u16::try_from(buckets).expect("buckets are at most BUCKETS_MAX");
        let push = Some(beginning(buckets));
        let exchange = Some(Exchange { buckets, differing: None, push });
        let (purpose, peer) = (Purpose::Sync, peer.clone());
        let seq = send_step(core, peer.clone(), step);
        self.0.push(Job { seq, purpose, peer, received: 0, applied: 0, exchange });
    }

    /// Asks a host that was joined for its list once more, unless enough syncs are under way.
    pub(crate) fn look_again(&mut self, core: &mut Core, peer: Address) {
        if self.has_room(core) {
            self.list(core, Purpose::SecondLook, peer);
        }
    }

    /// Whether another sync may start, which is counted either way.
    fn has_room(&self, core: &mut Core) -> bool {
        let has_room = self.0.len() < core.config.sync_jobs_max();
        let count = match has_room {
            true => &mut core.stats.syncs_started,
            false => &mut core.stats.syncs_omitted,
        };
        *count += 1;
        has_room
    }

    /// Begins to ask for the list of a peer.
    fn list(&mut self, core: &mut Core, purpose: Purpose, peer: Address) {
        let seq = ask_for_list(core, purpose, peer.clone(), None);
        self.0.push(Job { seq, purpose, peer, received: 0, applied: 0, exchange: None });
    }

    /// The peer answered a step of a full sync by digests.
    pub(crate) fn on_ack(
        &mut self,
        core: &mut Core,
        (seq, trust): (u64, Trust),
        differing: Vec<u16>,
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let Some(mut job) = self.take(core, seq) else { return };
        let Some(exchange) = &mut job.exchange else { return };
        let buckets = exchange.buckets;
        let endless = next.as_ref().is_some_and(|next| {
            changes.is_empty() || next.buckets != buckets || !valid_cursor(next)
        });
        job.received += changes.len();
        let cause = Cause::Sync { from: job.peer.clone() };
        job.applied += core.apply(changes, &cause, trust);
        let valid = valid_differing(&differing, usize::from(buckets));
        if !valid || endless || job.received > core.config.members_max() {
            job.end_invalid(core);
            return;
        }
        let differing = exchange.differing.get_or_insert(differing);
        let Page { changes, next: push } = reply_page(core, differing, exchange.push.take());
        if changes.is_empty() && next.is_none() {
            job.end(core, true);
            return;
        }
        exchange.push = push;
        let differing = differing.clone();
        let step = SyncStep::Exchange { buckets, differing, cursor: next, changes };
        job.seq = send_step(core, job.peer.clone(), step);
        self.0.push(job);
    }

    /// A page of the peer's list arrived, for a reverse full sync or a second look.
    pub(crate) fn on_page(
        &mut self,
        core: &mut Core,
        (seq, trust): (u64, Trust),
        changes: Vec<Change>,
        next: Option<Cursor>,
    ) {
        let Some(mut job) = self.take(core, seq) else { return };
        let endless = next.as_ref().is_some_and(|next| changes.is_empty() || !valid_cursor(next));
        job.received += changes.len();
        let cause = Cause::Sync { from: job.peer.clone() };
        job.applied += core.apply(changes, &cause, trust);
        if endless || job.received > core.config.members_max() {
            job.end_invalid(core);
        } else if let Some(cursor) = next {
            job.seq = ask_for_list(core, job.purpose, job.peer.clone(), Some(cursor));
            self.0.push(job);
        } else {
            job.end(core, true);
        }
    }

    /// The peer did not answer.
    pub(crate) fn on_no_answer(&mut self, core: &mut Core, seq: u64) {
        if let Some(i) = self.find(seq) {
            self.0.swap_remove(i).give_up(core);
        }
    }

    /// Gives up the latest ones when fewer may run than do.
    pub(crate) fn give_up_surplus(&mut self, core: &mut Core) {
        let kept = self.0.len().min(core.config.sync_jobs_max());
        for job in self.0.split_off(kept) {
            job.give_up(core);
        }
    }

    fn find(&self, seq: u64) -> Option<usize> {
        self.0.iter().position(|job| job.seq == seq)
    }

    /// Takes out the sync whose request was answered.
    fn take(&mut self, core: &mut Core, seq: u64) -> Option<Job> {
        let i = self.find(seq)?;
        core.close(seq);
        Some(self.0.swap_remove(i))
    }

    pub(crate) fn check(&self, core: &Core) {
        assert!(self.0.len() <= core.config.sync_jobs_max(), "full syncs are bounded");
        let syncs =
            |purpose| matches!(purpose, Purpose::Sync | Purpose::ReverseSync | Purpose::SecondLook);
        assert_eq!(core.requests.count(syncs), self.0.len(), "one request for each full sync");
    }
}

impl Job {
    /// Ends a sync whose answer is not waited for any more.
    fn give_up(self, core: &mut Core) {
        core.give_up(self.seq, Vec::new());
        self.end(core, false);
    }

    /// Ends a sync whose answer was out of bounds.
    fn end_invalid(self, core: &mut Core) {
        core.reject(&self.peer, Rejection::Invalid { what: "answer to a full sync" });
        self.end(core, false);
    }

    fn end(self, core: &mut Core, complete: bool) {
        core.sync_ended(self.peer, self.applied, complete);
    }
}

fn send_step(core: &mut Core, peer: Address, step: SyncStep) -> u64 {
    core.request(Purpose::Sync, peer, core.config.sync_timeout(), Body::Sync(step))
}

fn ask_for_list(core: &mut Core, purpose: Purpose, peer: Address, cursor: Option<Cursor>) -> u64 {
    let body = core.join_body(cursor);
    core.request(purpose, peer, core.config.sync_timeout(), body)
}
