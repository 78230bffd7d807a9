//! The answers to full syncs and joins that peers start.
//!
//! The responder keeps no state: each step of a sync carries all that it needs.

use crate::address::Address;
use crate::core::{Core, Trust};
use crate::event::{Cause, Rejection};
use crate::message::{Body, Cursor, SyncStep};
use crate::page::{Page, beginning, page, valid_buckets, valid_cursor, valid_differing};

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
            core.apply(changes, &Cause::Sync { from: from.clone() }, Trust::Request);
            (Vec::new(), reply_page(core, &differing, cursor))
        }
    };
    let Page { changes, next } = page;
    let checksum = core.members.checksum();
    core.send(from.clone(), seq, Body::SyncAck { checksum, differing, changes, next });
}

/// The reply to a page: pending tombstones first, else the members from `cursor`.
pub(super) fn reply_page(core: &mut Core, differing: &[u16], cursor: Option<Cursor>) -> Page {
    let tombstones = std::mem::take(&mut core.reply_tombstones);
    match cursor {
        cursor if !tombstones.is_empty() => Page { changes: tombstones, next: cursor },
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
