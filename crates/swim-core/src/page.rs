//! Pages of the member list, for joins and full syncs.

use crate::address::Address;
use crate::core::Core;
use crate::limits::{BUCKETS_MAX, CHANGES_SENT_MAX};
use crate::member::Member;
use crate::message::{Change, Cursor, Source};
use crate::mutation::{Mutation, active};

/// A page of this member's list and where the next one begins.
pub(crate) struct Page {
    pub(crate) changes: Vec<Change>,
    pub(crate) next: Option<Cursor>,
}

/// The page that begins at `cursor`, of the buckets in `wanted` (ascending) or
/// of all. It holds at least one member unless there are no more. The cost is
/// that of the buckets it touches, not of the list.
pub(crate) fn page(core: &Core, wanted: Option<&[u16]>, cursor: Cursor) -> Page {
    let Cursor { buckets, bucket: first, mut after } = cursor;
    let bytes_max = core.config.message_bytes_max();
    let (mut changes, mut bytes) = (Vec::new(), 0);
    for bucket in first..buckets {
        if wanted.is_some_and(|wanted| wanted.binary_search(&bucket).is_err()) {
            continue;
        }
        let members = core.members.bucket(usize::from(bucket), usize::from(buckets));
        // The position holds for the bucket in which the page begins only.
        let start = after
            .take()
            .filter(|_| bucket == first)
            .map_or(0, |after| members.partition_point(|member| member.address <= after));
        for member in &members[start..] {
            let change = Change { member: (*member).clone(), source: accuser(core, member) };
            bytes += change.encoded_len();
            let bytes_max = if active(Mutation::UnboundedPage) { usize::MAX } else { bytes_max };
            let full = bytes > bytes_max || changes.len() == CHANGES_SENT_MAX;
            if full && !changes.is_empty() {
                let after = last_in_bucket(&changes, &members[..]);
                return Page { changes, next: Some(Cursor { buckets, bucket, after }) };
            }
            changes.push(change);
        }
    }
    Page { changes, next: None }
}

/// As much of this member's list as fits one message: all of it, or a part that
/// begins at random. Repeated messages bring everything.
pub(crate) fn excerpt(core: &mut Core) -> Vec<Change> {
    let buckets = core.members.suitable_buckets();
    let first = beginning(u16::try_from(buckets).expect("buckets are at most BUCKETS_MAX"));
    let Page { changes, next } = page(core, None, first.clone());
    if next.is_none() {
        return changes;
    }
    let bucket = core.rng.below(buckets) as u16;
    page(core, None, Cursor { bucket, ..first }).changes
}

/// The accuser of a suspect: passing a suspicion on in a page does not raise it, and
/// must not count as a confirmation. Other changes in a page have no source: it is
/// the sender, and would double the size.
fn accuser(core: &Core, member: &Member) -> Option<Source> {
    let slot = core.members.find(&member.address)?;
    let suspicion = core.members.suspicion(slot)?;
    Some(Source { address: suspicion.accusers[0].clone(), incarnation: 0 })
}

/// The last member of the page, when it is in this bucket.
fn last_in_bucket(changes: &[Change], members: &[&Member]) -> Option<Address> {
    let last = &changes.last()?.member.address;
    members.iter().any(|member| member.address == *last).then(|| last.clone())
}

/// Whether a number of buckets from the network is one that can be served.
pub(crate) fn valid_buckets(buckets: usize) -> bool {
    buckets.is_power_of_two() && buckets <= BUCKETS_MAX
}

/// Whether a position from the network is one that its sender can have given.
pub(crate) fn valid_cursor(cursor: &Cursor) -> bool {
    valid_buckets(usize::from(cursor.buckets)) && cursor.bucket < cursor.buckets
}

/// Whether a list of buckets from the network is ascending and within bounds.
pub(crate) fn valid_differing(differing: &[u16], buckets: usize) -> bool {
    differing.windows(2).all(|pair| pair[0] < pair[1])
        && differing.last().is_none_or(|last| usize::from(*last) < buckets)
}

/// The beginning of a list that is split into `buckets`.
pub(crate) const fn beginning(buckets: u16) -> Cursor {
    Cursor { buckets, bucket: 0, after: None }
}
