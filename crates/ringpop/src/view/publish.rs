//! From changes of members to the next view.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashring::UpdateError;
use swim_core::{Address, Instant, Member, MemberList, Status};
use tokio::time::Instant as Clock;

use super::edits::{Edits, Eligible};
use super::moves::{Moves, Waiting};
use super::named::{Candidates, NamedRingsPublisher, touched, weight_sum_max};
use super::votes::Votes;
use super::withdrawn::Withdrawn;
use super::{Cap, MemberRing, NamedRings, RingChange, View, Views};
use crate::identity::{Claims, SharedIdentity};
use crate::limits::{PLACE_LABEL, PLACEMENT_LABEL, RING_POINTS_MAX, ZONE_LABEL};
use crate::move_event::{MoveEvent, MoveStep};
use crate::off_ring::{Eviction, OffRing};
use crate::peer_clocks::PeerClocks;
use crate::placement::PlacementChoice;
use crate::switches::Switches;
use crate::weight::NextWeight;

/// The ring of the next view.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OnRing {
    /// Nobody is on it: this member has not joined, knows only itself or some
    /// of the others, and would take their keys for its own.
    Nobody,
    /// It waits until a burst of changes is over.
    AsBefore,
    /// The reachable members that are not damped.
    Reachable,
}

/// The members that changed, as they are now: `None` for those that are forgotten.
pub(super) type Changes = Vec<(Address, Option<Member>)>;

/// The change of the ring.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// How it changed, when it did.
    pub(crate) change: Option<RingChange>,
    /// The further rings that changed, by name.
    pub(crate) ring_changes: Vec<(Arc<str>, RingChange)>,
    /// What became of planned moves.
    pub(crate) moves: Vec<MoveEvent>,
    /// Set when the members want more points than a ring may have.
    pub(crate) cap: Option<Cap>,
    /// Members that are kept off the ring from now on or for another reason, or no more.
    pub(crate) off_ring: Vec<(Address, Option<OffRing>)>,
    /// Set when members on the ring ask for another placement than that in use.
    pub(crate) dissent: Option<Dissent>,
}

/// Members that ask for another placement than most do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dissent {
    pub(crate) in_use: PlacementChoice,
    /// The first of them by address, and what it asks for.
    pub(crate) address: Address,
    pub(crate) asks_for: String,
    pub(crate) members: usize,
}

/// The ring that follows.
#[derive(Debug)]
struct Plan {
    placement: PlacementChoice,
    edits: Edits,
    shared_identities: Arc<[SharedIdentity]>,
    cap: Option<Cap>,
    named_rings: NamedRings,
    ring_changes: Vec<(Arc<str>, RingChange)>,
}

/// Makes each view of the former one and of what changed, and publishes it.
///
/// A view whose ring stays as it is costs the members that changed, however many
/// are known. Another ring costs a copy of its points, and in rare cases a look
/// at all members: when it was empty, has been capped, or could not be changed.
#[derive(Debug)]
pub(crate) struct Publisher {
    views: Arc<Views>,
    claims: Claims,
    /// Members that may belong elsewhere than the latest ring has them.
    touched: BTreeSet<Address>,
    /// Any member may: those that did are not known.
    all_touched: bool,
    votes: Votes,
    clocks: Arc<PeerClocks>,
    /// The planned changes of weights.
    switches: Switches,
    /// What became of planned moves since the latest view.
    move_events: Vec<MoveEvent>,
    withdrawn: Withdrawn,
    named_rings: NamedRingsPublisher,
    /// The zone of a member has changed since the latest view.
    zones_changed: bool,
    /// A ring that nobody needs any more: the next one takes its memory.
    old_ring: Option<MemberRing>,
    pub(super) waiting: Waiting,
    /// Points that all members together may have on the ring.
    pub(super) points_max: u32,
}

impl Publisher {
    pub(crate) fn new(views: Arc<Views>) -> Self {
        Self {
            named_rings: NamedRingsPublisher::new(&views.local, &views.definitions),
            zones_changed: false,
            old_ring: None,
            views,
            claims: Claims::default(),
            touched: BTreeSet::new(),
            all_touched: true,
            votes: Votes::default(),
            clocks: Arc::new(PeerClocks::new(Clock::now())),
            switches: Switches::default(),
            move_events: Vec::new(),
            withdrawn: Withdrawn::default(),
            waiting: Waiting::default(),
            points_max: RING_POINTS_MAX,
        }
    }

    /// The clocks by which planned changes take effect.
    pub(crate) fn clocks(mut self, clocks: Arc<PeerClocks>) -> Self {
        self.clocks = clocks;
        self
    }

    /// When the ring changes without a change of a member: a planned change takes effect.
    pub(crate) fn next_switch(&self) -> Option<Instant> {
        self.switches.next()
    }

    /// Publishes the view after `changes`, in which those in `damped` (sorted)
    /// are kept off the ring. An error leaves the ring as it was.
    pub(crate) fn publish(
        &mut self,
        changes: Changes,
        damped: Arc<[Address]>,
        membership_checksum: u64,
        on_ring: OnRing,
    ) -> Result<Published, UpdateError> {
        let former = self.views.load();
        let (members, evictions) = self.members_after(&former, changes);
        self.touched.extend(differing(&former.damped, &damped).cloned());
        let mut move_events = std::mem::take(&mut self.move_events);
        for address in self.switches.take_due(self.clocks.now()) {
            let member = members.get(address.as_str());
            if let Some(plan) = member.and_then(|member| NextWeight::of(&member.labels)) {
                let (mover, weight) = (address.clone(), plan.weight);
                move_events.push(MoveEvent { mover, weight, step: MoveStep::Switched });
            }
            self.touched.insert(address);
        }
        let off = self.off(&former, &members, &damped, &evictions);
        let plan = self.plan(&former, &members, (&damped, &off), on_ring);
        let Plan { placement, edits, shared_identities, cap, mut named_rings, ring_changes } = plan;
        let Edits { edits, mut change } = edits;
        let ring = match edits.is_empty() && placement == former.ring.placement() {
            true => Ok(former.ring.clone()),
            false => former.ring.next_reusing(self.old_ring.take(), placement, edits).map(Arc::new),
        };
        let (ring, failure) = match ring {
            Ok(ring) => (ring, None),
            Err(error) => (former.ring.clone(), Some(error)),
        };
        change.describe((&former.ring, former.ring_checksum), &ring);
        let mut subrings = former.subrings.clone();
        let zones_changed = std::mem::take(&mut self.zones_changed);
        if zones_changed || !Arc::ptr_eq(&ring, &former.ring) {
            subrings = Arc::default();
        }
        if zones_changed {
            named_rings = named_rings.without_subrings();
        }
        let moves = Moves::new(&former.ring, &ring);
        let ring_checksum = change.checksum_after;
        let dissent = self.dissent(&members, placement);
        let off_ring = off_ring_changes(&former.off_ring, &off);
        let old = self.views.replace(View {
            members,
            damped,
            shared_identities,
            off_ring: off,
            evictions,
            ring,
            membership_checksum,
            ring_checksum,
            named_rings,
            subrings,
        });
        self.old_ring = old.and_then(Arc::into_inner).or(self.old_ring.take());
        if cap.is_some() {
            self.views.capped.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(error) = failure {
            self.touch_all();
            self.views.stale.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        let change = (!change.is_empty()).then(|| change.with_moves(self.waiting.keep(moves)));
        Ok(Published { change, ring_changes, moves: move_events, cap, off_ring, dissent })
    }

    /// The ring of these members, as edits of the former one.
    fn plan(
        &mut self,
        former: &View,
        members: &MemberList,
        (damped, off): (&[Address], &[(Address, OffRing)]),
        on_ring: OnRing,
    ) -> Plan {
        let switched = self.switches.switched();
        let mut plan = Plan {
            placement: former.ring.placement(),
            edits: Edits::default(),
            shared_identities: former.shared_identities.clone(),
            cap: None,
            named_rings: former.named_rings.clone(),
            ring_changes: Vec::new(),
        };
        match on_ring {
            OnRing::AsBefore => {}
            OnRing::Nobody => {
                plan.shared_identities = Arc::default();
                self.touch_all();
                self.votes = Votes::default();
                plan.placement = self.votes.elected();
                plan.edits = Edits::clear(&former.ring);
                (plan.named_rings, plan.ring_changes) =
                    self.named_rings.next(&former.named_rings, None, &mut self.waiting);
            }
            OnRing::Reachable => {
                let switched = &*switched;
                let views = Arc::clone(&self.views);
                let (local, shared) = (&views.local, &[][..]);
                let eligible = Eligible { local, damped, off, shared, switched, options: None };
                plan.shared_identities = self.shared(former, members, &eligible);
                let eligible = Eligible { shared: &plan.shared_identities, ..eligible };
                self.count_votes(members, &eligible);
                plan.placement = self.votes.elected();
                if plan.placement != former.ring.placement() {
                    // Which weights count depends on the points of each unit.
                    self.touch_all();
                }
                let touched = touched(self.all_touched, &self.touched);
                let candidates = Some(Candidates { members, eligible, touched });
                (plan.named_rings, plan.ring_changes) =
                    self.named_rings.next(&former.named_rings, candidates, &mut self.waiting);
                (plan.edits, plan.cap) =
                    self.edits(&former.ring, plan.placement, members, &eligible);
            }
        }
        plan
    }

    /// Follows what the members that belong on the ring ask for.
    fn count_votes(&mut self, members: &MemberList, eligible: &Eligible<'_>) {
        let on_ring = |member: &&Member| eligible.weight(member) > 0;
        if self.all_touched {
            self.votes = Votes::default();
            for member in members.iter().filter(on_ring) {
                self.votes.cast(&member.address, PlacementChoice::of(&member.labels));
            }
            return;
        }
        for address in &self.touched {
            match members.get(address.as_str()).filter(on_ring) {
                Some(member) => self.votes.cast(address, PlacementChoice::of(&member.labels)),
                None => self.votes.withdraw(address),
            }
        }
    }

    /// The members that ask for another placement.
    fn dissent(&self, members: &MemberList, in_use: PlacementChoice) -> Option<Dissent> {
        let (address, count) = self.votes.others(in_use)?;
        let labels = members.get(address.as_str()).map(|member| &member.labels);
        let asks_for = labels.and_then(|labels| labels.get(PLACEMENT_LABEL)).map(str::to_owned);
        let asks_for = asks_for.unwrap_or_else(|| PlacementChoice::Rendezvous.to_string());
        Some(Dissent { in_use, address: address.clone(), asks_for, members: count })
    }

    /// Empties the ring of a member that has stopped, which does not learn any more
    /// of other owners. Followers of a key are told.
    pub(crate) fn end(&mut self) {
        let view = self.views.load();
        let damped = view.damped.clone();
        let published =
            self.publish(Changes::new(), damped, view.membership_checksum, OnRing::Nobody);
        if let Err(error) = published {
            let member = &self.views.local;
            tracing::warn!(%member, %error, "the ring of a member that has stopped stays as it was");
        }
    }

    /// The identities that live members share, damped ones included. Sorted. Members that took over
    /// a place look for another one by themselves.
    pub(crate) fn shared_by_live_members(&self) -> Vec<SharedIdentity> {
        let alive = |member: &Member| {
            member.status == Status::Alive && member.labels.get(PLACE_LABEL).is_none()
        };
        self.claims.shared(&self.views.load().members, alive)
    }

    /// The members that are kept off the ring. Those for which that changes are touched.
    fn off(
        &mut self,
        former: &View,
        members: &MemberList,
        damped: &[Address],
        evictions: &[Eviction],
    ) -> Arc<[(Address, OffRing)]> {
        let off = self.withdrawn.off(members, damped, evictions);
        if *off == *former.off_ring {
            return Arc::clone(&former.off_ring);
        }
        let addresses = |off: &[(Address, OffRing)]| -> Vec<Address> {
            off.iter().map(|(address, _)| address.clone()).collect()
        };
        let (before, after) = (addresses(&former.off_ring), addresses(&off));
        self.touched.extend(differing(&before, &after).cloned());
        off.into()
    }

    /// The members, and the newest evictions among them.
    fn members_after(&mut self, former: &View, changes: Changes) -> (MemberList, Arc<[Eviction]>) {
        let mut members = former.members.clone();
        let mut evictions_changed = false;
        for (address, after) in changes {
            let before = members.get(address.as_str()).cloned();
            match after.clone() {
                Some(member) => members.insert(member),
                None => members.remove(address.as_str()),
            }
            self.zones_changed |= zone(before.as_ref()) != zone(after.as_ref());
            self.claims.changed(before.as_ref(), after.as_ref(), &members);
            let now = self.clocks.now();
            let its_now_us = self.clocks.now_us_of(&address, now);
            let is_switched = self.switches.has_switched(&address);
            self.move_events.extend(MoveEvent::of(before.as_ref(), after.as_ref(), is_switched));
            let labels = after.as_ref().map(|member| &member.labels);
            self.switches.note(&address, labels, now, its_now_us);
            let noted = self.withdrawn.changed(before.as_ref(), after.as_ref());
            evictions_changed |= noted.evictions;
            if noted.unreadable {
                self.views.evictions_unreadable.fetch_add(1, Ordering::Relaxed);
            }
            self.touched.insert(address);
        }
        // While the ring waits for the end of a burst, members may come and go.
        if self.touched.len() > members.len() {
            self.touch_all();
        }
        let evictions = match evictions_changed {
            true => self.withdrawn.newest().into(),
            false => Arc::clone(&former.evictions),
        };
        (members, evictions)
    }

    fn touch_all(&mut self) {
        self.touched.clear();
        self.all_touched = true;
    }

    /// The identities that members share which would be on the ring else.
    fn shared(
        &mut self,
        former: &View,
        members: &MemberList,
        eligible: &Eligible<'_>,
    ) -> Arc<[SharedIdentity]> {
        let shared = self.claims.shared(members, |member| eligible.weight(member) > 0);
        if *shared == *former.shared_identities {
            return former.shared_identities.clone();
        }
        let others = |shared: &[SharedIdentity]| -> Vec<Address> {
            let mut others: Vec<_> = shared.iter().flat_map(|one| one.others.clone()).collect();
            others.sort_unstable();
            others
        };
        let (before, after) = (others(&former.shared_identities), others(&shared));
        self.touched.extend(differing(&before, &after).cloned());
        shared.into()
    }

    /// The edits that make the ring that of the members, and a cap when they are too heavy.
    fn edits(
        &mut self,
        ring: &MemberRing,
        placement: PlacementChoice,
        members: &MemberList,
        eligible: &Eligible<'_>,
    ) -> (Edits, Option<Cap>) {
        let (some, all) =
            (std::mem::take(&mut self.touched), std::mem::take(&mut self.all_touched));
        let sum_max = weight_sum_max(placement, self.points_max);
        let (edits, cap) = Edits::between(ring, members, eligible, touched(all, &some), sum_max);
        // The weights that count depend on all members then.
        self.all_touched = cap.is_some();
        (edits, cap)
    }
}

impl RingChange {
    /// Adds what differs between two rings beside their members; of the former one with its
    /// checksum.
    pub(super) fn describe(&mut self, former: (&MemberRing, u64), ring: &MemberRing) {
        let (former, checksum_before) = former;
        self.checksum_before = checksum_before;
        self.checksum_after = ring.checksum();
        self.placement = ring.placement();
        // An empty ring has no placement to speak of.
        let both_own_keys = !former.is_empty() && !ring.is_empty();
        let before = Some(former.placement()).filter(|_| both_own_keys);
        self.placement_before = before.filter(|before| *before != self.placement);
    }
}

/// How the members that are kept off the ring differ.
fn off_ring_changes(
    before: &[(Address, OffRing)],
    after: &[(Address, OffRing)],
) -> Vec<(Address, Option<OffRing>)> {
    let gone = before
        .iter()
        .filter(|(address, _)| after.binary_search_by(|(off, _)| off.cmp(address)).is_err());
    let gone = gone.map(|(address, _)| (address.clone(), None));
    let new = after.iter().filter(|off| !before.contains(off));
    gone.chain(new.map(|(address, off)| (address.clone(), Some(off.clone())))).collect()
}

/// The addresses that are in one of two sorted lists only.
fn differing<'a>(
    one: &'a [Address],
    other: &'a [Address],
) -> impl Iterator<Item = &'a Address> + use<'a> {
    let only = |a: &'a [Address], b: &'a [Address]| {
        a.iter().filter(move |address| b.binary_search(address).is_err())
    };
    only(one, other).chain(only(other, one))
}

/// The zone of a member that is known.
fn zone(member: Option<&Member>) -> Option<&str> {
    member?.labels.get(ZONE_LABEL)
}
