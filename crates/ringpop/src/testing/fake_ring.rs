//! A ring for unit tests of code that only asks who owns a key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hashring::{BuildError, UpdateError};
use swim_core::{Address, AddressError, Labels, Member, Status};

use crate::lookup::Lookup;
use crate::owner::Owner;
use crate::view::{OnRing, Publisher, Views};

/// A ring without a cluster: it places keys as members with default settings do, and changes when
/// the test says so. Keys may be [given](Self::give) to owners of the test's choice.
///
/// ```
/// use ringpop::Lookup;
/// use ringpop::testing::FakeRing;
///
/// /// The orders that this process works on.
/// fn mine<'a>(ring: &impl Lookup, orders: &[&'a str]) -> Vec<&'a str> {
///     orders.iter().copied().filter(|order| ring.owns(order.as_bytes())).collect()
/// }
///
/// let ring = FakeRing::new("10.0.0.1:7100", ["10.0.0.2:7100"])?;
/// ring.give(b"order-1", ["10.0.0.1:7100"])?;
/// ring.give(b"order-2", ["10.0.0.2:7100"])?;
/// assert_eq!(mine(&ring, &["order-1", "order-2"]), ["order-1"]);
///
/// ring.remove("10.0.0.2:7100")?;
/// assert_eq!(mine(&ring, &["order-1", "order-3"]), ["order-1", "order-3"]);
/// # Ok::<(), ringpop::testing::FakeRingError>(())
/// ```
#[derive(Debug)]
pub struct FakeRing {
    local: Address,
    views: Arc<Views>,
    publisher: Mutex<Publisher>,
    /// Owners of keys that the test chose, best first.
    given: Mutex<HashMap<Vec<u8>, Vec<Address>>>,
}

/// Why a fake ring is not as wanted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FakeRingError {
    /// An address is not of the form host:port.
    #[error(transparent)]
    Spelling(#[from] ringpop_discovery::AddressError),
    /// No member can have this address.
    #[error("no member can have the address {address:?}: {why}; give each member one of its own")]
    Address {
        /// The text.
        address: String,
        /// The fault.
        why: String,
    },
    /// A key is given to a member that is not on the ring.
    #[error("{0} is not on this ring; add it first")]
    Unknown(Address),
    /// A member is to be removed that is not on the ring.
    #[error("{0} cannot be removed, it is not on this ring; check its spelling")]
    Stranger(Address),
    /// The ring cannot have so many members.
    #[error(transparent)]
    Ring(#[from] UpdateError),
    /// No ring can be made.
    #[error(transparent)]
    Build(#[from] BuildError),
}

fn address(text: &str) -> Result<Address, FakeRingError> {
    let spelled: ringpop_discovery::Address = text.parse()?;
    let address = Address::new(spelled.as_str());
    let address = address.and_then(|address| address.check_diallable().map(|()| address));
    address.map_err(|error| {
        // The advice of that error is for those who advertise an address, which nobody does here.
        let why = match error {
            AddressError::Undiallable { why, .. } => why.to_owned(),
            error => error.to_string(),
        };
        FakeRingError::Address { address: text.to_owned(), why }
    })
}

impl FakeRing {
    /// A ring of the member `me`, which is the one that asks, and of others.
    ///
    /// # Errors
    ///
    /// When an address is none.
    pub fn new<A: AsRef<str>>(
        me: &str,
        others: impl IntoIterator<Item = A>,
    ) -> Result<Self, FakeRingError> {
        let local = address(me)?;
        let views = Arc::new(Views::new(local.clone())?);
        let publisher = Mutex::new(Publisher::new(Arc::clone(&views)));
        let ring = Self { local, views, publisher, given: Mutex::default() };
        ring.add(me)?;
        others.into_iter().try_for_each(|other| ring.add(other.as_ref()))?;
        Ok(ring)
    }

    /// Adds a member.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn add(&self, member: &str) -> Result<(), FakeRingError> {
        let address = address(member)?;
        let member = Member::new(address.clone(), Status::Alive, 1, Labels::default());
        self.publish(address, Some(member))
    }

    /// Removes a member, and its claim to keys that it was given.
    ///
    /// # Errors
    ///
    /// When the address is none, or no member of the ring has it.
    pub fn remove(&self, member: &str) -> Result<(), FakeRingError> {
        let address = address(member)?;
        if self.views.load().member(address.as_str()).is_none() {
            return Err(FakeRingError::Stranger(address));
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.values_mut().for_each(|owners| owners.retain(|owner| *owner != address));
        given.retain(|_, owners| !owners.is_empty());
        drop(given);
        self.publish(address, None)
    }

    /// Gives a key to these members, best first, whatever the ring says. A member that is named
    /// twice counts where it is named first. Without members, the ring decides again.
    ///
    /// # Errors
    ///
    /// When one of them is not on the ring.
    pub fn give<A: AsRef<str>>(
        &self,
        key: &[u8],
        owners: impl IntoIterator<Item = A>,
    ) -> Result<(), FakeRingError> {
        let view = self.views.load();
        let known = |owner: A| {
            let address = address(owner.as_ref())?;
            match view.member(address.as_str()) {
                Some(_) => Ok(address),
                None => Err(FakeRingError::Unknown(address)),
            }
        };
        let mut distinct: Vec<Address> = Vec::new();
        for owner in owners {
            let owner = known(owner)?;
            // Two spellings of one address are one owner.
            if !distinct.contains(&owner) {
                distinct.push(owner);
            }
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if distinct.is_empty() {
            given.remove(key);
        } else {
            given.insert(key.to_owned(), distinct);
        }
        Ok(())
    }

    fn publish(&self, address: Address, member: Option<Member>) -> Result<(), FakeRingError> {
        let mut publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.publish(vec![(address, member)], Arc::new([]), 0, OnRing::Reachable)?;
        Ok(())
    }

    fn owner(&self, address: &str) -> Owner {
        Owner::new(address.into(), address == self.local.as_str())
    }
}

impl Lookup for FakeRing {
    fn whoami(&self) -> &str {
        self.local.as_str()
    }

    fn lookup(&self, key: &[u8]) -> Option<Owner> {
        self.lookup_n(key, 1).pop()
    }

    fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let first: Vec<&str> = given.get(key).into_iter().flatten().map(Address::as_str).collect();
        let view = self.views.load();
        let all = view.lookup_n(key, n.saturating_add(first.len()));
        let rest = all.into_iter().filter(|owner| !first.contains(owner));
        first.iter().copied().chain(rest).take(n).map(|owner| self.owner(owner)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [&str; 3] = ["10.0.0.1:7100", "10.0.0.2:7100", "10.0.0.3:7100"];

    fn ring() -> FakeRing {
        FakeRing::new(MEMBERS[0], &MEMBERS[1..]).unwrap()
    }

    #[test]
    fn keys_are_spread_and_move_when_a_member_goes() {
        let ring = ring();
        let keys: Vec<String> = (0..300).map(|i| format!("key-{i}")).collect();
        let owner = |key: &String| ring.lookup(key.as_bytes()).unwrap();
        let before: Vec<Owner> = keys.iter().map(owner).collect();
        for member in MEMBERS {
            assert!(before.iter().filter(|owner| **owner == *member).count() > 30);
        }
        ring.remove(MEMBERS[2]).unwrap();
        for (key, before) in keys.iter().zip(before) {
            let now = owner(key);
            assert!(now == before || before == *MEMBERS[2], "only its keys move");
            assert_eq!(ring.owns(key.as_bytes()), now == *MEMBERS[0]);
        }
    }

    #[test]
    fn a_key_goes_to_the_owners_that_the_test_chose_and_then_to_the_others() {
        let ring = ring();
        ring.give(b"key", [MEMBERS[2], MEMBERS[0]]).unwrap();
        let owners = ring.lookup_n(b"key", 9);
        let owners: Vec<&str> = owners.iter().map(Owner::address).collect();
        assert_eq!(owners, [MEMBERS[2], MEMBERS[0], MEMBERS[1]]);
        ring.remove(MEMBERS[2]).unwrap();
        assert!(ring.owns(b"key"), "the next one that was chosen");
        let error = ring.give(b"key", [MEMBERS[2]]).unwrap_err().to_string();
        assert!(error.contains(MEMBERS[2]), "{error}");
        assert!(FakeRing::new("", MEMBERS).is_err());
    }

    #[test]
    fn owners_are_distinct_however_they_are_spelled_and_however_many_are_asked_for() {
        let ring = FakeRing::new("a:1", ["b:1"]).unwrap();
        ring.give(b"key", ["b:1", "B:1", "b:01"]).unwrap();
        for n in [2, usize::MAX] {
            let owners = ring.lookup_n(b"key", n);
            let owners: Vec<&str> = owners.iter().map(Owner::address).collect();
            assert_eq!(owners, ["b:1", "a:1"]);
        }
    }

    #[test]
    fn what_is_no_address_of_a_member_is_refused_with_advice_that_helps_here() {
        let none: [&str; 0] = [];
        for (text, part) in [
            ("h", "host:port"),
            ("h:", "from 1 to 65535"),
            ("h:x", "from 1 to 65535"),
            ("0.0.0.0:1", "it stands for all addresses of a host; give each member"),
        ] {
            let error = FakeRing::new(text, none).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{error}");
            assert!(!error.contains("advertise"), "{error}");
        }
    }

    #[test]
    fn a_member_that_is_not_on_the_ring_cannot_be_removed() {
        let ring = ring();
        let error = ring.remove("zzz:1").unwrap_err().to_string();
        assert_eq!(error, "zzz:1 cannot be removed, it is not on this ring; check its spelling");
        ring.remove(MEMBERS[1]).unwrap();
        assert!(ring.remove(MEMBERS[1]).is_err(), "it is gone already");
    }
}
