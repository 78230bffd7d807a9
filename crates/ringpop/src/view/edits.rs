//! The members that belong on a ring, and the edits that bring them there.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashring::{Edit, Node as RingNode, Placement as _};
use ringpop_forward::{Owner, Peer};
use swim_core::{Address, Member, MemberList};

use super::moves::place;
use super::{Cap, MemberRing, RingChange};
use crate::identity::SharedIdentity;
use crate::off_ring::OffRing;
use crate::place::place_name;
use crate::ring_options::RingOptions;
use crate::weight::weight_of;

/// Decides which members belong on a ring.
#[derive(Clone, Copy)]
pub(super) struct Eligible<'a> {
    /// This member.
    pub(super) local: &'a Address,
    pub(super) damped: &'a [Address],
    pub(super) off: &'a [(Address, OffRing)],
    pub(super) shared: &'a [SharedIdentity],
    /// Members whose planned change has taken effect.
    pub(super) switched: &'a BTreeSet<Address>,
    /// Set for another ring than the main one.
    pub(super) options: Option<&'a RingOptions>,
}

/// The members that may belong elsewhere than the latest ring has them.
#[derive(Clone, Copy)]
pub(super) enum Touched<'a> {
    /// Those that do are not known.
    All,
    These(&'a BTreeSet<Address>),
}

/// The edits of a ring, and what they amount to.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) edits: Vec<Edit<Owner>>,
    pub(super) change: RingChange,
}

impl Eligible<'_> {
    /// The weight of a member on the ring: 0 keeps it off.
    pub(super) fn weight(&self, member: &Member) -> u32 {
        let address = &member.address;
        let is_off = self.off.binary_search_by(|(off, _)| off.cmp(address)).is_ok();
        if is_off || !member.is_reachable() || self.damped.binary_search(address).is_ok() {
            return 0;
        }
        if self.options.is_some_and(|options| !options.includes(&member.labels)) {
            return 0;
        }
        let place = place_name(member);
        let shared = self.shared.binary_search_by(|one| one.identity.as_str().cmp(place));
        if shared.is_ok_and(|i| self.shared[i].others.binary_search(&member.address).is_ok()) {
            return 0;
        }
        weight_of(&member.labels, self.switched.contains(&member.address))
    }

    /// How a member is reached; `None` for one that cannot be dialled.
    fn owner(&self, member: &Member) -> Option<Owner> {
        if member.address == *self.local {
            return Some(Owner::Local);
        }
        match Peer::new(member.address.as_str()) {
            Ok(peer) => Some(Owner::Remote(Arc::new(peer))),
            Err(error) => {
                let local = self.local;
                tracing::warn!(member = %local, %error, "a member that cannot be dialled stays off the ring");
                None
            }
        }
    }
}

impl Edits {
    /// The edits that make a ring that of the members, and a cap when they are too heavy.
    pub(super) fn between(
        ring: &MemberRing,
        members: &MemberList,
        eligible: &Eligible<'_>,
        touched: Touched<'_>,
        weight_sum_max: u64,
    ) -> (Self, Option<Cap>) {
        if let Touched::These(touched) = touched
            && let Some(edits) = Self::of(touched, ring, members, eligible, weight_sum_max)
        {
            return (edits, None);
        }
        let (wanted, cap) = wanted(members, eligible, weight_sum_max);
        (Self::difference(ring, wanted, eligible), cap)
    }

    /// The edits that empty a ring.
    pub(super) fn clear(ring: &MemberRing) -> Self {
        let mut edits = Self::default();
        for node in ring.nodes() {
            edits.keep_or_change(node, None);
        }
        edits
    }

    /// The edits for these members, when all others have the right place. `None`
    /// when not all weights can count.
    fn of(
        touched: &BTreeSet<Address>,
        ring: &MemberRing,
        members: &MemberList,
        eligible: &Eligible<'_>,
        weight_sum_max: u64,
    ) -> Option<Self> {
        let (mut edits, mut sum) = (Self::default(), ring.total_weight());
        for address in touched {
            let node = ring.node(address.as_str());
            let member = members.get(address.as_str());
            let member = member.map(|member| (member, eligible.weight(member)));
            let member = member.filter(|(_, weight)| *weight > 0);
            sum += member.map_or(0, |(_, weight)| u64::from(weight));
            sum -= node.map_or(0, |node| u64::from(node.weight()));
            match (node, member) {
                (Some(node), member) => edits.keep_or_change(node, member),
                (None, Some((member, weight))) => edits.add(member, weight, eligible),
                (None, None) => {}
            }
        }
        (sum <= weight_sum_max).then_some(edits)
    }

    /// The edits that turn a ring into that of these members. All are sorted by address: one pass
    /// finds them.
    fn difference(ring: &MemberRing, wanted: Vec<(&Member, u32)>, eligible: &Eligible<'_>) -> Self {
        let mut edits = Self::default();
        let mut wanted = wanted.into_iter().peekable();
        for node in ring.nodes() {
            while let Some((new, weight)) =
                wanted.next_if(|(member, _)| member.address.as_str() < node.id())
            {
                edits.add(new, weight, eligible);
            }
            let member = wanted.next_if(|(member, _)| member.address.as_str() == node.id());
            edits.keep_or_change(node, member);
        }
        for (new, weight) in wanted {
            edits.add(new, weight, eligible);
        }
        edits
    }

    fn add(&mut self, member: &Member, weight: u32, eligible: &Eligible<'_>) {
        let Some(owner) = eligible.owner(member) else { return };
        self.change.added.push(member.address.clone());
        self.edits.push(Edit::add(place(member, weight, owner)));
    }

    /// A node of the ring becomes this member, or nobody.
    fn keep_or_change(&mut self, node: &RingNode<Owner>, member: Option<(&Member, u32)>) {
        match member {
            None => {
                self.change.removed.push(address_of(node));
                self.edits.push(Edit::remove(node.shared_id().clone()));
            }
            Some((member, weight))
                if node.identity() != place_name(member) || node.weight() != weight =>
            {
                self.change.updated.push(member.address.clone());
                self.edits.push(Edit::replace(place(member, weight, node.data().clone())));
            }
            Some(_) => {}
        }
    }
}

/// The members that belong on the ring, each with the weight that counts.
fn wanted<'a>(
    members: &'a MemberList,
    eligible: &Eligible<'_>,
    weight_sum_max: u64,
) -> (Vec<(&'a Member, u32)>, Option<Cap>) {
    let mut wanted: Vec<_> = members
        .iter()
        .map(|member| (member, eligible.weight(member)))
        .filter(|(_, weight)| *weight > 0)
        .collect();
    let cap = Cap::of(wanted.iter().map(|(_, weight)| *weight), weight_sum_max);
    if let Some(cap) = &cap {
        wanted.truncate(cap.members_max);
        wanted.iter_mut().for_each(|(_, weight)| *weight = (*weight).min(cap.weight_max));
    }
    (wanted, cap)
}

fn address_of(node: &RingNode<Owner>) -> Address {
    Address::new(node.id()).expect("nodes are named by the addresses of members")
}
