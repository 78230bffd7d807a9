//! Who owns a key: the one question that forwarding asks of the world around it.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use http::uri::Authority;
use smallvec::SmallVec;
use thiserror::Error;
use tonic::Status;
use twox_hash::XxHash3_64;

use crate::retry::policy::AttemptOutcome;

/// Owners of one key, best first. Three fit without an allocation.
pub type Owners = SmallVec<[Owner; 3]>;

/// Resolves when the answers of a [`Resolver`] may have changed.
pub type Changed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Resolves when a call may be placed, or with the answer to a call that may not.
pub type Held = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// Answers who owns a key.
///
/// A static list, a cluster's view of its ring and a client's selection of backends are resolvers.
/// Forwarding knows nothing else about them.
pub trait Resolver: Send + Sync + 'static {
    /// Appends at most `n` distinct owners of `key` to `out`, best first. Owners at one address are
    /// one owner.
    ///
    /// Runs on the request path: it must not block, and should not allocate beyond `out`.
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners);

    /// Identifies the state of the ring that answers, such as its checksum. Two members with the
    /// same epoch agree on every key. Zero means unknown and is never compared.
    fn epoch(&self) -> u64 {
        0
    }

    /// The member of this id or address, if it can be asked now: for calls to a stated member.
    ///
    /// The default knows nobody.
    fn member(&self, id: &str) -> Option<Owner> {
        let _ = id;
        None
    }

    /// Learns how an attempt at `peer` ended, so a selection of backends can keep away from
    /// one that fails. What an outcome says about it is in the table of
    /// [`AttemptOutcome::evidence`]. Failed attempts of one call at one peer are reported once;
    /// `peer` is as it came from [`owners`](Self::owners).
    ///
    /// Runs on the request path: it must not block. The default does nothing.
    fn report(&self, peer: &Peer, outcome: AttemptOutcome) {
        let _ = (peer, outcome);
    }

    /// The same, with the key of the call: failures of one key are no evidence against every peer
    /// that it is tried at.
    ///
    /// The default tells [`report`](Self::report).
    fn report_attempt(&self, key: &[u8], peer: &Peer, outcome: AttemptOutcome) {
        let _ = key;
        self.report(peer, outcome);
    }

    /// Resolves when the epoch is no longer `seen`, so a retry that waits for a better owner
    /// can stop waiting.
    ///
    /// The default never resolves: the retry then waits for its whole back-off.
    fn changed(&self, seen: u64) -> Changed {
        let _ = seen;
        Box::pin(pending())
    }

    /// Why no key has an owner now, for the answer to a call that finds none.
    ///
    /// The default tells nothing.
    fn why_nobody(&self) -> Option<String> {
        None
    }

    /// What a call waits for that this process would handle, when its key is about to move to
    /// another owner. Afterwards it is placed anew. The wait must have bounds of its own; the
    /// deadline of the call ends it as well.
    ///
    /// Runs on the request path: it must not block. The default holds no call.
    fn hold(&self, key: &[u8]) -> Option<Held> {
        let _ = key;
        None
    }
}

impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        (**self).owners(key, n, out);
    }

    fn epoch(&self) -> u64 {
        (**self).epoch()
    }

    fn member(&self, id: &str) -> Option<Owner> {
        (**self).member(id)
    }

    fn report(&self, peer: &Peer, outcome: AttemptOutcome) {
        (**self).report(peer, outcome);
    }

    fn report_attempt(&self, key: &[u8], peer: &Peer, outcome: AttemptOutcome) {
        (**self).report_attempt(key, peer, outcome);
    }

    fn changed(&self, seen: u64) -> Changed {
        (**self).changed(seen)
    }

    fn why_nobody(&self) -> Option<String> {
        (**self).why_nobody()
    }

    fn hold(&self, key: &[u8]) -> Option<Held> {
        (**self).hold(key)
    }
}

/// One owner of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This process.
    Local,
    /// Another process.
    Remote(Arc<Peer>),
}

/// Another process that can be forwarded to.
///
/// Peers are equal when their addresses are, and connections are kept by address, so a resolver may
/// build a new `Peer` at any time. Keeping the `Arc`s saves the parsing.
#[derive(Clone)]
pub struct Peer {
    authority: Authority,
    id: Option<Arc<str>>,
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.authority == other.authority
    }
}

impl Eq for Peer {}

impl Peer {
    /// Makes a peer from `host:port`, where host is a DNS name, an IPv4 address or a bracketed IPv6
    /// address.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] when `address` is not of that form.
    pub fn new(address: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress { address: address.to_owned() };
        let authority: Authority = address.parse().map_err(|_| invalid())?;
        let has_user = authority.as_str().contains('@');
        if has_user || authority.host().is_empty() || authority.port_u16().is_none() {
            return Err(invalid());
        }
        Ok(Self { authority, id: None })
    }

    /// Gives the peer the name by which its resolver knows it, for resolvers that know several at
    /// one address and want to be [told](Resolver::report) which of them was asked. It has no part
    /// in equality.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The name by which its resolver knows the peer, if it gave one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The address as it was given.
    #[must_use]
    pub fn address(&self) -> &str {
        self.authority.as_str()
    }

    /// The address as the authority of a request; cloning it costs a reference count.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.address()).finish()
    }
}

/// An address that is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("address {address:?} is not of the form host:port, for example 10.0.0.7:7100")]
pub struct InvalidAddress {
    address: String,
}

type OwnersFn = Box<dyn Fn(&[u8], usize, &mut Owners) + Send + Sync>;

/// A resolver whose members do not change.
///
/// ```
/// use ringpop_forward::{Owners, Resolver, StaticResolver};
///
/// let members = ["10.0.0.1:7100", "10.0.0.2:7100", "10.0.0.3:7100"];
/// let resolver = StaticResolver::new("10.0.0.2:7100", members)?;
/// let mut owners = Owners::new();
/// resolver.owners(b"user-42", 2, &mut owners);
/// assert_eq!(owners.len(), 2);
/// # Ok::<(), ringpop_forward::InvalidAddress>(())
/// ```
pub struct StaticResolver {
    owners: OwnersFn,
    /// The members, sorted by address; empty when only the function knows them.
    members: Arc<[Candidate]>,
    epoch: u64,
}

impl StaticResolver {
    /// Spreads keys over `members` by rendezvous hashing, in which the order of the list does not
    /// matter and a list that is one member shorter moves only that member's keys. `local` is this
    /// process; a client that owns nothing passes an address that is not in the list.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] for the first member that is not `host:port`.
    pub fn new<'a>(
        local: &str,
        members: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidAddress> {
        let mut candidates = Vec::new();
        for address in members {
            let owner = match Peer::new(address)? {
                peer if peer.address() == local => Owner::Local,
                peer => Owner::Remote(Arc::new(peer)),
            };
            candidates.push(Candidate {
                address: address.to_owned(),
                seed: XxHash3_64::oneshot(address.as_bytes()),
                owner,
            });
        }
        candidates.sort_by(|a, b| a.address.cmp(&b.address));
        candidates.dedup_by(|a, b| a.address == b.address);
        let epoch = candidates
            .iter()
            .fold(0, |epoch, c| XxHash3_64::oneshot_with_seed(epoch, c.address.as_bytes()));
        let members: Arc<[Candidate]> = candidates.into();
        let candidates = Arc::clone(&members);
        let owners = Box::new(move |key: &[u8], n: usize, out: &mut Owners| {
            rendezvous(&candidates, key, n, out);
        });
        Ok(Self { owners, members, epoch })
    }

    /// Spreads keys over `members` as [`new`](Self::new) does, for a process that is none of them.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] for the first member that is not `host:port`.
    pub fn remote<'a>(members: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidAddress> {
        // No member has the empty address.
        Self::new("", members)
    }

    /// Asks `owners`, which follows the contract of [`Resolver::owners`]. The epoch is unknown, and
    /// so are members by their addresses.
    pub fn from_fn(owners: impl Fn(&[u8], usize, &mut Owners) + Send + Sync + 'static) -> Self {
        Self { owners: Box::new(owners), members: Arc::default(), epoch: 0 }
    }
}

impl Resolver for StaticResolver {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        (self.owners)(key, n, out);
    }

    fn member(&self, id: &str) -> Option<Owner> {
        let place = self.members.binary_search_by(|member| member.address.as_str().cmp(id));
        place.ok().map(|place| self.members[place].owner.clone())
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl fmt::Debug for StaticResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticResolver").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

struct Candidate {
    address: String,
    seed: u64,
    owner: Owner,
}

/// Highest random weight (Thaler and Ravishankar, 1998). Candidates are sorted by address, which
/// settles equal scores.
fn rendezvous(candidates: &[Candidate], key: &[u8], n: usize, out: &mut Owners) {
    let mut best: SmallVec<[(u64, usize); 8]> = SmallVec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let score = XxHash3_64::oneshot_with_seed(candidate.seed, key);
        let rank = best.partition_point(|&(other, _)| other >= score);
        if rank < n {
            best.truncate(n - 1);
            best.insert(rank, (score, index));
        }
    }
    out.extend(best.into_iter().map(|(_, index)| candidates[index].owner.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [&str; 4] = ["a:1", "b:1", "c:1", "d:1"];

    fn owners_of(resolver: &StaticResolver, key: &[u8], n: usize) -> Owners {
        let mut owners = Owners::new();
        resolver.owners(key, n, &mut owners);
        owners
    }

    fn address(owner: &Owner, local: &str) -> String {
        match owner {
            Owner::Local => local.to_owned(),
            Owner::Remote(peer) => peer.address().to_owned(),
        }
    }

    #[test]
    fn every_member_gives_the_same_order_whatever_the_order_of_its_list() {
        let mut reversed = MEMBERS;
        reversed.reverse();
        let a = StaticResolver::new("a:1", MEMBERS).unwrap();
        let b = StaticResolver::new("b:1", reversed).unwrap();
        assert_eq!(a.epoch(), b.epoch());
        for i in 0..200_u32 {
            let key = i.to_be_bytes();
            let from_a: Vec<_> = owners_of(&a, &key, 4).iter().map(|o| address(o, "a:1")).collect();
            let from_b: Vec<_> = owners_of(&b, &key, 4).iter().map(|o| address(o, "b:1")).collect();
            assert_eq!(from_a, from_b);
            let mut distinct = from_a.clone();
            distinct.sort();
            assert_eq!(distinct, MEMBERS);
        }
    }

    #[test]
    fn losing_a_member_moves_only_its_keys_to_their_next_owner() {
        let four = StaticResolver::new("x:1", MEMBERS).unwrap();
        let three = StaticResolver::new("x:1", ["a:1", "b:1", "d:1"]).unwrap();
        for i in 0..200_u32 {
            let key = i.to_be_bytes();
            let mut before = owners_of(&four, &key, 2);
            before.retain(|owner| address(owner, "") != "c:1");
            assert_eq!(before[0], owners_of(&three, &key, 1)[0]);
        }
    }

    #[test]
    fn keys_spread_over_all_members() {
        let resolver = StaticResolver::new("a:1", MEMBERS).unwrap();
        let local = (0..4000_u32)
            .filter(|i| owners_of(&resolver, &i.to_be_bytes(), 1)[0] == Owner::Local)
            .count();
        assert!((800..1200).contains(&local), "{local} of 4000 keys are local, 1000 expected");
    }

    #[test]
    fn members_are_known_by_address() {
        let resolver = StaticResolver::new("b:1", MEMBERS).unwrap();
        assert_eq!(resolver.member("b:1"), Some(Owner::Local));
        assert_eq!(address(&resolver.member("d:1").unwrap(), ""), "d:1");
        assert_eq!(resolver.member("e:1"), None);
    }

    #[test]
    fn asking_for_no_owner_gives_none() {
        let resolver = StaticResolver::new("a:1", MEMBERS).unwrap();
        assert!(owners_of(&resolver, b"k", 0).is_empty());
    }

    #[test]
    fn an_address_needs_a_host_and_a_port_and_nothing_else() {
        for good in ["localhost:1", "10.0.0.1:7100", "[::1]:7100"] {
            assert_eq!(Peer::new(good).unwrap().address(), good);
        }
        for bad in ["", "localhost", ":80", "a:b", "a:70000", "user@host:1", "a b:1", "http://a:1"]
        {
            assert!(Peer::new(bad).is_err(), "{bad:?}");
        }
    }
}
