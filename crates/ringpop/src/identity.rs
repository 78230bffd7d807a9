//! The holder of an identity, the stable name that places a member on the ring.
//!
//! Two members may claim one. For a moment they do when a process that died is
//! replaced at another address and its former self has not been missed yet: the
//! newer incarnation is the successor and gets the keys at once. When both live,
//! somebody gave two processes one name, and one of them owns nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use swim_core::{Address, IDENTITY_LABEL, Instant, Member, Status};

/// An identity that several members claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SharedIdentity {
    /// The identity.
    pub identity: String,
    /// The member that owns its keys: the one of the newest incarnation, of
    /// equal ones that of the lowest address.
    pub owner: Address,
    /// The others, which own nothing. Sorted.
    pub others: Vec<Address>,
}

/// The identities that more than one of these members claims, sorted. All
/// members that know the same get the same: nothing but what is gossiped counts.
pub(crate) fn shared<'a>(members: impl Iterator<Item = &'a Member> + Clone) -> Vec<SharedIdentity> {
    // As a rule there are no identities but addresses, and these are unique.
    if members.clone().all(|member| member.labels.get(IDENTITY_LABEL).is_none()) {
        return Vec::new();
    }
    let mut claims: Vec<&Member> = members.collect();
    claims.sort_unstable_by_key(|member| {
        (member.identity(), Reverse(member.incarnation), &member.address)
    });
    let of_one = claims.chunk_by(|a, b| a.identity() == b.identity());
    of_one
        .filter_map(|claims| match claims {
            [owner, others @ ..] if !others.is_empty() => {
                let mut others: Vec<Address> = others.iter().map(|m| m.address.clone()).collect();
                others.sort_unstable();
                let identity = owner.identity().to_owned();
                Some(SharedIdentity { identity, owner: owner.address.clone(), others })
            }
            _ => None,
        })
        .collect()
}

/// Tells of identities that live members share, once each, when they have done
/// so for longer than a member that died can look alive.
#[derive(Debug, Default)]
pub(crate) struct Watch(BTreeMap<Claimants, Claim>);

/// An identity and those who claim it, sorted, whoever is the owner.
type Claimants = (String, Vec<Address>);

#[derive(Debug)]
struct Claim {
    latest: SharedIdentity,
    /// When it is told; `None` when it was.
    due: Option<Instant>,
}

impl Watch {
    /// Takes note of the members as they are now.
    pub(crate) fn update(&mut self, now: Instant, patience: Duration, members: &[Member]) {
        let alive = members.iter().filter(|member| member.status == Status::Alive);
        let mut former = std::mem::take(&mut self.0);
        for latest in shared(alive) {
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
    use swim_core::Labels;

    use super::*;

    fn member(i: u32, identity: Option<&str>, incarnation: u64) -> Member {
        let address = Address::new(&format!("10.0.0.{i}:7100")).unwrap();
        let labels = identity.into_iter().map(|identity| (IDENTITY_LABEL, identity));
        Member::new(address, Status::Alive, incarnation, Labels::new(labels).unwrap())
    }

    fn owners(members: &[Member]) -> Vec<(String, Vec<String>)> {
        let texts = |all: &[Address]| all.iter().map(ToString::to_string).collect();
        shared(members.iter())
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

    #[test]
    fn live_members_that_share_an_identity_are_told_of_once_and_not_at_once() {
        let at = |ms| Instant::from_start(Duration::from_millis(ms));
        let patience = Duration::from_millis(100);
        let mut watch = Watch::default();
        let both = [member(1, Some("p1"), 5), member(2, Some("p1"), 6)];
        watch.update(at(0), patience, &both);
        assert_eq!(watch.next(), Some(at(100)));
        assert!(watch.take_due(at(99)).is_empty());
        // The member that refutes takes over; that is the same mistake.
        let both = [member(1, Some("p1"), 7), member(2, Some("p1"), 6)];
        watch.update(at(50), patience, &both);
        let told = watch.take_due(at(100));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].owner.as_str(), "10.0.0.1:7100");
        watch.update(at(200), patience, &both);
        assert!(watch.next().is_none() && watch.take_due(at(900)).is_empty());
        // A predecessor that is missed in time was no mistake.
        let mut replaced = [member(3, Some("p2"), 5), member(4, Some("p2"), 6)];
        watch.update(at(1000), patience, &replaced);
        replaced[0].status = Status::Suspect;
        watch.update(at(1050), patience, &replaced);
        assert!(watch.take_due(at(2000)).is_empty());
    }
}
