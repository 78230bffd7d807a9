//! The further rings of a view, each over the members that its options name.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashring::BuildError;
use swim_core::{Address, MemberList};

use super::edits::{Edits, Eligible, Touched};
use super::moves::{Moves, Waiting};
use super::subring::Subrings;
use super::{MemberRing, RingChange};
use crate::limits::RING_POINTS_MAX;
use crate::placement::PlacementChoice;
use crate::ring_options::RingOptions;

/// A further ring as it is set up.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    pub(crate) options: RingOptions,
}

/// The rings beside the main one, in the order in which they were set up.
#[derive(Debug, Clone, Default)]
pub struct NamedRings(Arc<[Named]>);

/// A ring with its name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    name: Arc<str>,
    pub(crate) ring: Arc<MemberRing>,
    pub(crate) checksum: u64,
    pub(crate) subrings: Arc<Subrings>,
}

impl NamedRings {
    /// Empty rings.
    pub(crate) fn new(definitions: &[Definition]) -> Result<Self, BuildError> {
        let ring = |definition: &Definition| {
            let ring = MemberRing::new(definition.options.placement)?;
            let name = Arc::clone(&definition.name);
            Ok(Named {
                name,
                checksum: ring.checksum(),
                ring: Arc::new(ring),
                subrings: Arc::default(),
            })
        };
        definitions.iter().map(ring).collect::<Result<_, _>>().map(Self)
    }

    /// The ring of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<MemberRing>> {
        self.position(name).map(|i| &self.0[i].ring)
    }

    /// All of them, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<MemberRing>)> {
        self.0.iter().map(|named| (&*named.name, &named.ring))
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|named| *named.name == *name)
    }

    /// The ring at the place that [`position`](Self::position) gave: all views have the same ones.
    pub(crate) fn at(&self, i: usize) -> &Named {
        &self.0[i]
    }

    pub(super) fn checksums(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|named| named.checksum)
    }
}

/// The members of the next view.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub(super) members: &'a MemberList,
    pub(super) eligible: Eligible<'a>,
    /// Those that may belong elsewhere.
    pub(super) touched: Touched<'a>,
}

/// The rings of the next view, and which of them have changed.
pub(super) type Next = (NamedRings, Vec<(Arc<str>, RingChange)>);

/// Makes the rings of each view of those before and of what changed.
#[derive(Debug)]
pub(super) struct NamedRingsPublisher(Vec<Followed>);

#[derive(Debug)]
struct Followed {
    definition: Definition,
    /// This member, for the log.
    member: Address,
    /// The whole ring has to be compared with the members.
    all_touched: bool,
    /// Its members want more points than it may have.
    is_capped: bool,
}

impl NamedRingsPublisher {
    pub(super) fn new(member: &Address, definitions: &[Definition]) -> Self {
        let followed = |definition: &Definition| Followed {
            definition: definition.clone(),
            member: member.clone(),
            all_touched: true,
            is_capped: false,
        };
        Self(definitions.iter().map(followed).collect())
    }

    /// The rings over these members; over nobody when there are none.
    pub(super) fn next(
        &mut self,
        former: &NamedRings,
        candidates: Option<Candidates<'_>>,
        waiting: &mut Waiting,
    ) -> Next {
        let mut changes = Vec::new();
        let next = |(followed, before): (&mut Followed, &Named)| {
            let Some((after, change)) = followed.next(before, candidates) else {
                return before.clone();
            };
            changes.push((
                Arc::clone(&after.name),
                change.with_moves(waiting.keep(Moves::new(&before.ring, &after.ring))),
            ));
            after
        };
        let rings: Vec<Named> = self.0.iter_mut().zip(former.0.iter()).map(next).collect();
        match changes.is_empty() {
            true => (former.clone(), changes),
            false => (NamedRings(rings.into()), changes),
        }
    }
}

impl NamedRings {
    /// The same rings, whose subrings are chosen anew.
    pub(super) fn without_subrings(&self) -> Self {
        let anew = |named: &Named| Named { subrings: Arc::default(), ..named.clone() };
        Self(self.0.iter().map(anew).collect())
    }
}

impl Followed {
    /// The ring that follows and how it differs; `None` when it does not.
    fn next(
        &mut self,
        before: &Named,
        candidates: Option<Candidates<'_>>,
    ) -> Option<(Named, RingChange)> {
        let edits = match candidates {
            None => {
                self.all_touched = true;
                Edits::clear(&before.ring)
            }
            Some(candidates) => self.edits(&before.ring, candidates),
        };
        let Edits { edits, mut change } = edits;
        if edits.is_empty() {
            return None;
        }
        let ring = match before.ring.next(self.definition.options.placement, edits) {
            Ok(ring) => Arc::new(ring),
            Err(error) => {
                let (member, ring) = (&self.member, &self.definition.name);
                tracing::error!(%member, %ring, %error, "a ring cannot follow the membership");
                self.all_touched = true;
                return None;
            }
        };
        change.describe((&before.ring, before.checksum), &ring);
        let (name, checksum) = (Arc::clone(&before.name), change.checksum_after);
        Some((Named { name, checksum, ring, subrings: Arc::default() }, change))
    }

    fn edits(&mut self, ring: &MemberRing, candidates: Candidates<'_>) -> Edits {
        let Candidates { members, eligible, touched } = candidates;
        let touched = if self.all_touched { Touched::All } else { touched };
        let eligible = Eligible { options: Some(&self.definition.options), ..eligible };
        let sum_max = weight_sum_max(self.definition.options.placement, RING_POINTS_MAX);
        let (edits, cap) = Edits::between(ring, members, &eligible, touched, sum_max);
        // The weights that count depend on all members then.
        self.all_touched = cap.is_some();
        if let Some(cap) = cap
            && !self.is_capped
        {
            let (ring, weight_max) = (&self.definition.name, cap.weight_max);
            tracing::warn!(
                member = %self.member,
                %ring,
                weight_max,
                left_out = cap.left_out,
                "the members of a ring want more points than it may have: the largest weights count for less"
            );
        }
        self.is_capped = self.all_touched;
        edits
    }
}

/// Weight that all members together may have on a ring.
pub(super) fn weight_sum_max(placement: PlacementChoice, points_max: u32) -> u64 {
    placement.points().map_or(u64::MAX, |points| u64::from(points_max / points))
}

/// Of a whole list, or of those that are known.
pub(super) fn touched(all: bool, some: &BTreeSet<Address>) -> Touched<'_> {
    if all { Touched::All } else { Touched::These(some) }
}

#[cfg(test)]
mod tests;
