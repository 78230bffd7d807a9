//! Version-aware rolls: each key moves once.
//!
//! In a plain roll each member that stops gives its keys to all others, old ones included, and each
//! member that starts takes its share from all others: every key moves twice. Here places move
//! instead of keys. A new member that joins while members of another version own keys *stands by*:
//! it is ready and forwards, and owns nothing. An old member that leaves in order hands its place
//! on the ring to one that stands by; that one owns exactly its keys from then on, and no other key
//! moves.
//!
//! All that members have to agree on is in the labels: which place a member has, and from whom. The
//! decisions here are those of single members about themselves.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use swim_core::{Address, Member};
use tokio::time::Instant as Clock;

use crate::identity::precedence;
use crate::limits::{PLACE_LOST_PATIENCE, STANDBY_LABEL, VERSION_LABEL};
use crate::place::{TakenPlace, former_holder, place_name, place_stamp};
use crate::view::View;
use crate::weight::{NextWeight, weight_of};

/// Since when a member has no place on the ring.
#[derive(Debug, Default)]
pub(crate) struct Search {
    stands_by: Option<Clock>,
    lost: Option<Clock>,
}

/// What a member without a place on the ring does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It comes onto the ring at a free place, in a planned move.
    TakeKeys,
    /// It chooses a free place: another member has its own.
    ChoosePlace,
}

impl Search {
    /// What a member does now. One that stands by waits for `wait` at most.
    pub(crate) fn next(
        &mut self,
        view: &View,
        local: &Address,
        stands_by: bool,
        wait: Duration,
    ) -> Option<Step> {
        if !stands_by {
            self.stands_by = None;
        } else if self.stands_by.get_or_insert_with(Clock::now).elapsed() >= wait
            || !is_rolling(view, local)
        {
            return Some(Step::TakeKeys);
        }
        if !has_lost_its_place(view, local) {
            self.lost = None;
        } else if self.lost.get_or_insert_with(Clock::now).elapsed() >= PLACE_LOST_PATIENCE {
            self.lost = None;
            return Some(Step::ChoosePlace);
        }
        None
    }
}

/// The version of a member, as its label tells it.
fn version(member: &Member) -> Option<&str> {
    member.labels.get(VERSION_LABEL)
}

/// Whether a member other than this one holds a place on the ring, as its labels tell it: a view
/// that was just joined has not all of them on its ring yet.
fn holds_a_place(member: &Member, local: &Address) -> bool {
    member.address != *local && weight_of(&member.labels, false) > 0
}

/// Whether a member of another version than this one owns keys: a roll is under way.
pub(crate) fn is_rolling(view: &View, local: &Address) -> bool {
    let Some(own) = view.member(local.as_str()).and_then(version) else { return false };
    let others = view.reachable().filter(|member| holds_a_place(member, local));
    others.filter_map(version).any(|other| other != own)
}

/// The members that stand by and have another version than a member that leaves, sorted by address.
pub(crate) fn successors(view: &View, leaver: &Address) -> Vec<Address> {
    let Some(own) = view.member(leaver.as_str()).and_then(version) else { return Vec::new() };
    let stands_by = |member: &&Member| {
        member.labels.get(STANDBY_LABEL).is_some()
            && version(member).is_some_and(|other| other != own)
    };
    view.reachable().filter(stands_by).map(|member| member.address.clone()).collect()
}

/// The place of a member that leaves, for its successor.
pub(crate) fn place_of(view: &View, leaver: &Address, unix_ms: u64) -> Option<TakenPlace> {
    let member = view.member(leaver.as_str())?;
    let (stamp, name) = (unix_ms.max(place_stamp(member) + 1), place_name(member).to_owned());
    Some(TakenPlace { from: leaver.clone(), stamp, name })
}

/// The member that owns the keys of a member which leaves the ring, when it has a successor.
pub(crate) fn successor_of<'a>(view: &'a View, leaver: &Member) -> Option<&'a Member> {
    let is_successor = |member: &&Member| {
        former_holder(member) == Some(leaver.address.as_str())
            && place_name(member) == place_name(leaver)
            && view.ring.node(member.address.as_str()).is_none()
            && view.off_ring(member.address.as_str()).is_none()
            && weight_of(&member.labels, false) > 0
    };
    view.reachable().filter(is_successor).min_by_key(|&member| precedence(member))
}

/// The place for a member that comes onto the ring without a predecessor: its own where that is
/// free, which `None` stands for, and else the first identity by address whose place nobody has.
/// There is one: others hold at most as many places as there are others.
pub(crate) fn free_place(view: &View, local: &Address, unix_ms: u64) -> Option<TakenPlace> {
    let holders = view.reachable().filter(|member| holds_a_place(member, local));
    let held: BTreeSet<&str> = holders.map(place_name).collect();
    let own = view.member(local.as_str())?.identity();
    if !held.contains(own) {
        return None;
    }
    let free = view.reachable().map(Member::identity).find(|identity| !held.contains(identity))?;
    Some(TakenPlace { from: local.clone(), stamp: unix_ms, name: free.to_owned() })
}

/// Whether a member is off the ring because another one has its place, and nobody is about to leave
/// that place to it.
pub(crate) fn has_lost_its_place(view: &View, local: &Address) -> bool {
    let is_other = view.shared_identities.iter().any(|one| one.others.binary_search(local).is_ok());
    let former = view.member(local.as_str()).and_then(former_holder);
    let former =
        former.and_then(|former| view.member(former)).filter(|member| member.is_reachable());
    let is_leaving = former.is_some_and(|former| NextWeight::of(&former.labels).is_some());
    is_other && !is_leaving
}
