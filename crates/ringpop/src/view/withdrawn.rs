//! Which reachable members are off the ring: evicted, draining, or unwell.
//!
//! It follows from the list of members alone, without a clock: members with equal views agree at
//! each moment. Two floors keep a ring in place. Evictions and drains leave the last member on it;
//! and of those that are left, failing health checks take off half at most, those that failed
//! first: one that fails later puts nobody back on.

use std::collections::BTreeMap;

use swim_core::{Address, Member, MemberList};

use crate::limits::{DRAINING_LABEL, UNHEALTHY_LABEL, UNHEALTHY_PART_MAX};
use crate::off_ring::{Eviction, OffRing, since};
use crate::weight::weight_of;

/// What reachable members say of their own place on the ring, and of others'.
#[derive(Debug, Default)]
pub(super) struct Withdrawn {
    /// Reachable members that have a weight.
    placeable: usize,
    unhealthy: BTreeMap<Address, u64>,
    draining: BTreeMap<Address, u64>,
    /// By the member that holds them.
    evictions: BTreeMap<Address, Vec<Eviction>>,
}

/// Members that are off the ring, sorted by address.
pub(super) type Off = Vec<(Address, OffRing)>;

impl Withdrawn {
    /// Takes note that a member has changed; whether what holders say of evictions has changed, and
    /// whether there were entries that could not be read.
    pub(super) fn changed(&mut self, before: Option<&Member>, after: Option<&Member>) -> Noted {
        let placeable = |member: Option<&Member>| usize::from(member.is_some_and(is_placeable));
        self.placeable = self.placeable + placeable(after) - placeable(before);
        let Some(address) = after.or(before).map(|member| &member.address) else {
            return Noted::default();
        };
        // One that cannot be reached says nothing any more: what its last labels ask for would
        // never end.
        let labels = after.filter(|member| member.is_reachable()).map(|member| &member.labels);
        for (all, key) in
            [(&mut self.unhealthy, UNHEALTHY_LABEL), (&mut self.draining, DRAINING_LABEL)]
        {
            match labels.and_then(|labels| since(labels, key)) {
                Some(since) => all.insert(address.clone(), since),
                None => all.remove(address),
            };
        }
        let (evictions, all_read) =
            labels.map_or_else(|| (Vec::new(), true), |labels| Eviction::all_of(address, labels));
        let before = match evictions.is_empty() {
            true => self.evictions.remove(address).unwrap_or_default(),
            false => self.evictions.insert(address.clone(), evictions.clone()).unwrap_or_default(),
        };
        Noted { evictions: before != evictions, unreadable: !all_read }
    }

    /// The newest eviction of each target, or its undoing. Sorted by target.
    pub(super) fn newest(&self) -> Vec<Eviction> {
        let mut newest = BTreeMap::<&Address, &Eviction>::new();
        for eviction in self.evictions.values().flatten() {
            let known = newest.entry(&eviction.target).or_insert(eviction);
            *known = (*known).max(eviction);
        }
        newest.into_values().cloned().collect()
    }

    /// The members that are off the ring. `newest` are the evictions, and `damped` (sorted) are off
    /// the ring anyway.
    pub(super) fn off(&self, members: &MemberList, damped: &[Address], newest: &[Eviction]) -> Off {
        let counts = |address: &Address| {
            damped.binary_search(address).is_err()
                && members.get(address.as_str()).is_some_and(is_placeable)
        };
        let is_damped =
            |address: &&Address| members.get(address.as_str()).is_some_and(is_placeable);
        let mut left = self.placeable - damped.iter().filter(is_damped).count();
        let mut off = BTreeMap::new();
        let mut asked_for = self.asked_for(newest);
        asked_for.retain(|(_, address, _)| counts(address));
        for (_, address, reason) in asked_for {
            if left > 1 && !off.contains_key(address) {
                off.insert(address.clone(), reason);
                left -= 1;
            }
        }
        let unhealthy = self.unhealthy.iter().filter(|(address, _)| counts(address));
        let mut unhealthy: Vec<_> =
            unhealthy.filter(|(address, _)| !off.contains_key(*address)).collect();
        unhealthy.sort_unstable_by_key(|(address, since)| (**since, *address));
        let unhealthy = unhealthy.into_iter().take(left / UNHEALTHY_PART_MAX);
        off.extend(unhealthy.map(|(address, _)| (address.clone(), OffRing::Unhealthy)));
        off.into_iter().collect()
    }

    /// What operators ask for, the earliest first; of one member an eviction comes before a drain.
    fn asked_for<'a>(&'a self, newest: &'a [Eviction]) -> Vec<(u64, &'a Address, OffRing)> {
        let evicted = newest.iter().filter(|eviction| !eviction.is_undone);
        let mut all: Vec<_> = evicted
            .map(|Eviction { stamp, target, by, until, .. }| {
                let reason = OffRing::Evicted { by: by.clone(), until_unix_ms: *until };
                (*stamp, target, reason)
            })
            .collect();
        let evicted = all.len();
        for (address, since) in &self.draining {
            match all[..evicted].iter_mut().find(|(_, target, _)| *target == address) {
                // Off since the earlier of the two.
                Some((stamp, ..)) => *stamp = (*stamp).min(*since),
                None => all.push((*since, address, OffRing::Draining)),
            }
        }
        all.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        all
    }
}

/// What a change of a member meant.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    /// The evictions that members tell have changed.
    pub(super) evictions: bool,
    /// There are entries that could not be read, or too many.
    pub(super) unreadable: bool,
}

/// Whether a member would be on the ring if nothing kept it off. One whose planned move onto the
/// ring goes on does not count yet, whatever the time is: this looks at no clock.
fn is_placeable(member: &Member) -> bool {
    member.is_reachable() && weight_of(&member.labels, false) > 0
}

#[cfg(test)]
mod tests {
    use swim_core::{Labels, Status};

    use super::*;
    use crate::limits::{EVICTIONS_LABEL, WEIGHT_LABEL};

    fn address(i: usize) -> Address {
        Address::new(&format!("10.0.0.{i:03}:7100")).unwrap()
    }

    /// A list of members, and what follows from its changes.
    #[derive(Default)]
    struct Cluster {
        members: MemberList,
        withdrawn: Withdrawn,
        damped: Vec<Address>,
    }

    impl Cluster {
        fn of(n: usize) -> Self {
            let mut cluster = Self::default();
            (1..=n).for_each(|i| cluster.set(i, Status::Alive, &[]));
            cluster
        }

        fn set(&mut self, i: usize, status: Status, labels: &[(&str, &str)]) {
            let labels = Labels::new(labels.iter().copied()).unwrap();
            let member = Member::new(address(i), status, 1, labels);
            let before = self.members.get(member.address.as_str()).cloned();
            self.withdrawn.changed(before.as_ref(), Some(&member));
            self.members.insert(member);
        }

        fn label(&mut self, i: usize, key: &str, value: impl ToString) {
            self.set(i, Status::Alive, &[(key, &value.to_string())]);
        }

        fn off(&self) -> Off {
            self.withdrawn.off(&self.members, &self.damped, &self.withdrawn.newest())
        }

        fn off_ids(&self) -> Vec<usize> {
            self.off()
                .iter()
                .map(|(off, _)| (1..=60).find(|i| address(*i) == *off).unwrap())
                .collect()
        }
    }

    fn evict(target: usize, stamp: u64) -> String {
        format!("evict,{},,{stamp},9000", address(target))
    }

    fn undo(target: usize, stamp: u64) -> String {
        format!("undo,{},,{stamp},9000", address(target))
    }

    /// The floor of the issue: with every check failing, half of them stay on.
    #[test]
    fn failing_checks_leave_half_of_the_members_on_the_ring_for_any_number() {
        for n in 1..=12 {
            let mut cluster = Cluster::of(n);
            for i in 1..=n {
                cluster.label(i, UNHEALTHY_LABEL, 1_000 - i);
                assert_eq!(cluster.off().len(), i.min(n / 2), "{n} members, {i} fail");
            }
            // Those that failed first, which here are the last in the list.
            let first: Vec<usize> = (n - n / 2 + 1..=n).collect();
            assert_eq!(cluster.off_ids(), first);
            for i in 1..=n {
                cluster.set(i, Status::Alive, &[]);
            }
            assert_eq!(cluster.off(), []);
        }
    }

    #[test]
    fn a_member_that_fails_later_puts_nobody_back_and_one_that_dies_may() {
        let mut cluster = Cluster::of(6);
        cluster.label(5, UNHEALTHY_LABEL, 10);
        cluster.label(6, UNHEALTHY_LABEL, 11);
        assert_eq!(cluster.off_ids(), [5, 6]);
        cluster.label(1, UNHEALTHY_LABEL, 12);
        cluster.label(2, UNHEALTHY_LABEL, 13);
        assert_eq!(cluster.off_ids(), [1, 5, 6], "half are off");
        // The floor is one of those that are there.
        cluster.set(3, Status::Faulty, &[]);
        cluster.set(4, Status::Leave, &[]);
        assert_eq!(cluster.off_ids(), [5, 6]);
        cluster.label(3, WEIGHT_LABEL, 0);
        assert_eq!(cluster.off_ids(), [5, 6], "one of weight 0 holds nothing up");
        cluster.damped = vec![address(2)];
        assert_eq!(cluster.off_ids(), [5], "one that is damped neither");
    }

    #[test]
    fn the_newest_word_on_a_member_counts_whoever_holds_it() {
        let mut cluster = Cluster::of(4);
        cluster.label(1, EVICTIONS_LABEL, evict(4, 5));
        let by = OffRing::Evicted { by: address(1), until_unix_ms: 9000 };
        assert_eq!(cluster.off(), [(address(4), by)]);
        cluster.label(2, EVICTIONS_LABEL, undo(4, 6));
        assert_eq!(cluster.off(), []);
        cluster.label(1, EVICTIONS_LABEL, evict(4, 7));
        assert_eq!(cluster.off_ids(), [4]);
        cluster.label(2, EVICTIONS_LABEL, undo(4, 7));
        assert_eq!(cluster.off(), [], "of equal ones that which undoes");
        // A holder that is gone does not count.
        cluster.set(2, Status::Suspect, &[(EVICTIONS_LABEL, &undo(4, 7))]);
        assert_eq!(cluster.off(), []);
        cluster.set(2, Status::Faulty, &[(EVICTIONS_LABEL, &undo(4, 7))]);
        assert_eq!(cluster.off_ids(), [4]);
        // The copy of the target counts when the asked member is gone.
        let copy = format!("evict,,{},7,9000", address(1));
        cluster.label(4, EVICTIONS_LABEL, copy);
        cluster.set(1, Status::Alive, &[]);
        let by = OffRing::Evicted { by: address(1), until_unix_ms: 9000 };
        assert_eq!(cluster.off(), [(address(4), by)]);
        cluster.label(3, EVICTIONS_LABEL, evict(77, 8));
        assert_eq!(cluster.off_ids(), [4], "nobody has that address");
    }

    /// Nobody could take over the keys of the last one.
    #[test]
    fn evictions_and_drains_leave_the_last_member_on_the_ring() {
        let mut cluster = Cluster::of(3);
        cluster.label(1, DRAINING_LABEL, 5);
        cluster.label(2, DRAINING_LABEL, 6);
        assert_eq!(cluster.off_ids(), [1, 2]);
        cluster.label(3, EVICTIONS_LABEL, evict(3, 7));
        assert_eq!(cluster.off_ids(), [1, 2], "the latest stays");
        // The earlier of two reasons gives the place in the order, and evictions the name.
        cluster.label(3, EVICTIONS_LABEL, evict(2, 7));
        let evicted = OffRing::Evicted { by: address(3), until_unix_ms: 9000 };
        assert_eq!(cluster.off(), [(address(1), OffRing::Draining), (address(2), evicted)]);
        // The floor of health checks is that of the members which are left.
        cluster.label(3, UNHEALTHY_LABEL, 1);
        assert_eq!(cluster.off_ids(), [1, 2]);
        assert_eq!(Cluster::of(1).off(), []);
        let mut one = Cluster::of(1);
        one.label(1, DRAINING_LABEL, 5);
        assert_eq!(one.off(), []);
    }

    /// However the list came about, what counts is the list.
    #[test]
    fn who_is_off_depends_on_the_list_alone() {
        let mut random = 11_u64;
        let mut draw = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        let mut cluster = Cluster::of(9);
        let (mut most, mut kept_on) = (0, 0);
        for _ in 0..4_000 {
            let i = 1 + draw(9);
            let status = [Status::Alive, Status::Alive, Status::Suspect, Status::Faulty][draw(4)];
            let stamp = draw(20).to_string();
            let entries = match draw(3) {
                0 => evict(1 + draw(9), draw(20) as u64),
                1 => format!("{} {}", undo(1 + draw(9), draw(20) as u64), evict(i, 3)),
                _ => "what is this".to_owned(),
            };
            let labels = [
                (UNHEALTHY_LABEL, stamp.as_str()),
                (DRAINING_LABEL, stamp.as_str()),
                (EVICTIONS_LABEL, entries.as_str()),
                (WEIGHT_LABEL, ["0", "1", "7"][draw(3)]),
            ];
            let labels: Vec<_> = labels.into_iter().filter(|_| draw(3) == 0).collect();
            cluster.set(i, status, &labels);
            let mut afresh = Cluster::default();
            for member in cluster.members.iter() {
                afresh.withdrawn.changed(None, Some(member));
                afresh.members.insert(member.clone());
            }
            let off = cluster.off();
            assert_eq!(off, afresh.off());
            assert!(off.is_sorted_by_key(|(address, _)| address.clone()));
            let on = cluster.withdrawn.placeable - off.len();
            assert!(on >= 1 || cluster.withdrawn.placeable == 0, "{off:?}");
            most = most.max(off.len());
            kept_on += usize::from(on == 1 && off.len() > 2);
        }
        assert!(most > 4 && kept_on > 0, "the floor was met: {most}, {kept_on}");
    }
}
