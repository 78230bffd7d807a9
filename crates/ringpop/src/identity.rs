//! The holder of an identity, the stable name that places a member on the ring.
//!
//! Two members may claim one. They do so for a while in a version-aware roll, where the place of a
//! member that leaves is taken over ([`crate::place`]): the member that leaves has it until it is
//! off the ring. For a moment they do when a process that died is replaced at another address and
//! its former self has not been missed yet: the newer incarnation is the successor and gets the
//! keys at once. When both live, somebody gave two processes one name, and one of them owns
//! nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use swim_core::{Address, Instant, Member, MemberList};

use crate::place::{former_holder, given_place, place_name, place_stamp};

/// An identity that several members claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SharedIdentity {
    /// The identity.
    pub identity: String,
    /// The member that owns its keys: the one of the newest incarnation, of
    /// equal ones that of the lowest address. In a version-aware roll, the member that leaves.
    pub owner: Address,
    /// The others, which own nothing. Sorted.
    pub others: Vec<Address>,
}

/// The claims of members on identities, kept up to date change by change.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Reachable members that were given an identity, by that.
    given: BTreeMap<String, BTreeSet<Address>>,
    /// Identities that more than one reachable member claims.
    contested: BTreeSet<String>,
}

impl Claims {
    /// Takes note that a member of `members`, the list of now, has changed.
    pub(crate) fn changed(
        &mut self,
        before: Option<&Member>,
        after: Option<&Member>,
        members: &MemberList,
    ) {
        for member in before.into_iter().filter(|member| member.is_reachable()) {
            let Some(identity) = given_place(member) else { continue };
            if let Some(claimants) = self.given.get_mut(identity) {
                claimants.remove(&member.address);
                if claimants.is_empty() {
                    self.given.remove(identity);
                }
            }
        }
        for member in after.into_iter().filter(|member| member.is_reachable()) {
            if let Some(identity) = given_place(member) {
                let claimants = self.given.entry(identity.to_owned()).or_default();
                claimants.insert(member.address.clone());
            }
        }
        for member in before.into_iter().chain(after) {
            // The address is the identity of a member that has no other.
            for identity in [place_name(member), member.address.as_str()] {
                if self.claimants(identity, members).nth(1).is_some() {
                    self.contested.insert(identity.to_owned());
                } else {
                    self.contested.remove(identity);
                }
            }
        }
    }

    /// The reachable members that claim an identity.
    fn claimants<'a>(
        &'a self,
        identity: &str,
        members: &'a MemberList,
    ) -> impl Iterator<Item = &'a Member> + use<'a> {
        let by_address = members.get(identity);
        let by_address =
            by_address.filter(|member| member.is_reachable() && given_place(member).is_none());
        let given = self.given.get(identity).into_iter().flatten();
        given.filter_map(|address| members.get(address.as_str())).chain(by_address)
    }

    /// The identities that more than one member claims of those that `counts` picks, sorted.
    /// Members with equal lists get the same: only gossiped data matters.
    pub(crate) fn shared(
        &self,
        members: &MemberList,
        counts: impl Fn(&Member) -> bool,
    ) -> Vec<SharedIdentity> {
        let of_one = |identity: &String| {
            let mut claimants: Vec<_> = self.claimants(identity, members).collect();
            claimants.retain(|member| counts(member));
            let stamps: BTreeMap<&str, u64> =
                claimants.iter().map(|m| (m.address.as_str(), place_stamp(m))).collect();
            let waits = |m: &Member| {
                let former = former_holder(m).and_then(|former| stamps.get(former));
                former.is_some_and(|former| *former < place_stamp(m))
            };
            claimants.sort_unstable_by_key(|m| (waits(m), precedence(m)));
            let (owner, others) = claimants.split_first()?;
            let mut others: Vec<_> = others.iter().map(|m| m.address.clone()).collect();
            others.sort_unstable();
            let (identity, owner) = (identity.clone(), owner.address.clone());
            (!others.is_empty()).then_some(SharedIdentity { identity, owner, others })
        };
        self.contested.iter().filter_map(of_one).collect()
    }
}

/// Orders members that claim one place: the least one has it.
pub(crate) const fn precedence(member: &Member) -> (Reverse<u64>, &Address) {
    (Reverse(member.incarnation), &member.address)
}

/// Tells of identities that live members share, once each, when they have done
/// so for longer than a member that died can look alive.
#[derive(Debug, Default)]
pub(crate) struct Watch(BTreeMap<Claimants, Claim>);

/// An identity and the members that claim it, sorted; any of them may be the owner.
type Claimants = (String, Vec<Address>);

#[derive(Debug)]
struct Claim {
    latest: SharedIdentity,
    /// When it is told; `None` when it was.
    due: Option<Instant>,
}

impl Watch {
    /// Takes note of the identities that live members share now.
    pub(crate) fn update(&mut self, now: Instant, patience: Duration, live: Vec<SharedIdentity>) {
        let mut former = std::mem::take(&mut self.0);
        for latest in live {
            let mut claimants = latest.others.clone();
            claimants.push(latest.owner.clone());
            claimants.sort_unstable();
            let key = (latest.identity.clone(), claimants);
            let due = former.remove(&key).map_or(Some(now + patience), |claim| claim.due);
            self.0.insert(key, Claim { latest, due });
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|claim| claim.due).min()
    }

    /// Those that are due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<SharedIdentity> {
        let due = |claim: &&mut Claim| claim.due.is_some_and(|at| at <= now);
        let tell = |claim: &mut Claim| {
            claim.due = None;
            claim.latest.clone()
        };
        self.0.values_mut().filter(due).map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use swim_core::{IDENTITY_LABEL, Labels, Status};

    use super::*;
    use crate::limits::PLACE_LABEL;

    fn member(i: u32, identity: Option<&str>, incarnation: u64) -> Member {
        let address = Address::new(&format!("10.0.0.{i}:7100")).unwrap();
        let labels = identity.into_iter().map(|identity| (IDENTITY_LABEL, identity));
        Member::new(address, Status::Alive, incarnation, Labels::new(labels).unwrap())
    }

    fn shared(members: &[Member]) -> Vec<SharedIdentity> {
        let (mut list, mut claims) = (MemberList::default(), Claims::default());
        for member in members {
            list.insert(member.clone());
            claims.changed(None, Some(member), &list);
        }
        claims.shared(&list, |member| member.status == Status::Alive)
    }

    fn owners(members: &[Member]) -> Vec<(String, Vec<String>)> {
        let texts = |all: &[Address]| all.iter().map(ToString::to_string).collect();
        shared(members)
            .iter()
            .map(|shared| (shared.owner.to_string(), texts(&shared.others)))
            .collect()
    }

    #[test]
    fn the_newest_incarnation_owns_an_identity_and_then_the_lowest_address() {
        let dead = member(1, Some("p1"), 5);
        let successor = member(9, Some("p1"), 6);
        let expected = [("10.0.0.9:7100".to_owned(), vec!["10.0.0.1:7100".to_owned()])];
        assert_eq!(owners(&[dead.clone(), successor.clone()]), expected);
        assert_eq!(owners(&[successor, dead.clone()]), expected);
        let equal = member(2, Some("p1"), 5);
        assert_eq!(owners(&[equal, dead])[0].0, "10.0.0.1:7100");
    }

    /// The address is the identity of a member that has no other.
    #[test]
    fn an_identity_may_be_the_address_of_another_member() {
        let members = [member(1, None, 5), member(2, Some("10.0.0.1:7100"), 6), member(3, None, 1)];
        assert_eq!(owners(&members)[0].0, "10.0.0.2:7100");
        assert_eq!(owners(&members).len(), 1);
        assert!(owners(&[member(1, None, 5), member(2, None, 5)]).is_empty());
        assert!(owners(&[member(1, Some("a"), 5), member(2, Some("b"), 5)]).is_empty());
    }

    /// In either order of their claims, and with any incarnations.
    #[test]
    fn a_place_is_its_former_holders_until_that_is_off_the_ring() {
        let heir = |i, text: &str| {
            let address = Address::new(&format!("10.0.0.{i}:7100")).unwrap();
            let labels = Labels::new([(PLACE_LABEL, text)]).unwrap();
            Member::new(address, Status::Alive, 100, labels)
        };
        let taken = heir(2, "10.0.0.1:7100 5 10.0.0.1:7100");
        let mut leaver = member(1, None, 5);
        let expected = [("10.0.0.1:7100".to_owned(), vec!["10.0.0.2:7100".to_owned()])];
        assert_eq!(owners(&[leaver.clone(), taken.clone()]), expected);
        assert_eq!(owners(&[taken.clone(), leaver.clone()]), expected);
        leaver.status = Status::Leave;
        assert!(owners(&[leaver, taken.clone()]).is_empty());
        // It hands on what it took over.
        let next = heir(3, "10.0.0.2:7100 6 10.0.0.1:7100");
        assert_eq!(owners(&[next, taken.clone()])[0].0, "10.0.0.2:7100");
        // And back to the one from which it came.
        let back = heir(1, "10.0.0.2:7100 6 10.0.0.1:7100");
        assert_eq!(owners(&[back, taken])[0].0, "10.0.0.2:7100");
        // Of two that chose one free place, the lower address, when both are as new.
        let own = |i: u32| heir(i, &format!("10.0.0.{i}:7100 5 free"));
        assert_eq!(owners(&[own(5), own(4)])[0].0, "10.0.0.4:7100");
    }

    #[test]
    fn live_members_that_share_an_identity_are_told_of_once_and_not_at_once() {
        let at = |ms| Instant::from_start(Duration::from_millis(ms));
        let patience = Duration::from_millis(100);
        let mut watch = Watch::default();
        let both = [member(1, Some("p1"), 5), member(2, Some("p1"), 6)];
        watch.update(at(0), patience, shared(&both));
        assert_eq!(watch.next(), Some(at(100)));
        assert!(watch.take_due(at(99)).is_empty());
        // The member that refutes takes over; that is the same mistake.
        let both = [member(1, Some("p1"), 7), member(2, Some("p1"), 6)];
        watch.update(at(50), patience, shared(&both));
        let told = watch.take_due(at(100));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].owner.as_str(), "10.0.0.1:7100");
        watch.update(at(200), patience, shared(&both));
        assert!(watch.next().is_none() && watch.take_due(at(900)).is_empty());
        // A predecessor that is missed in time was no mistake.
        let mut replaced = [member(3, Some("p2"), 5), member(4, Some("p2"), 6)];
        watch.update(at(1000), patience, shared(&replaced));
        replaced[0].status = Status::Suspect;
        watch.update(at(1050), patience, shared(&replaced));
        assert!(watch.take_due(at(2000)).is_empty());
    }
}
