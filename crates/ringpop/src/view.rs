//! The view: what this member knows of the cluster, as one immutable value.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashring::{Edit, Node as RingNode, Reader, Ring, Shared, UpdateError};
use ringpop_forward::{Changed, Owner, Owners, Peer, Resolver};
use swim_core::{Address, Member, Status};
use thread_local::ThreadLocal;
use tokio::sync::watch;

use crate::identity::{self, SharedIdentity};
use crate::limits::{RING_POINTS_MAX, WEIGHT_LABEL, WEIGHT_MAX};

/// The ring of the cluster. Nodes are named by address, placed by identity,
/// and carry how to reach them.
pub type MemberRing = Ring<Owner>;

/// Members and ring at one moment.
///
/// A new view is published after each batch of membership changes, before
/// anybody is told of them: who hears of a change finds it in the view.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct View {
    /// All known members, sorted by address, whatever their status.
    pub members: Arc<[Member]>,
    /// Addresses of members that fail and come back too often: they are kept
    /// off the ring for a while. Sorted.
    pub damped: Arc<[Address]>,
    /// Identities that several members on the ring claim: only one of them owns
    /// keys. Sorted.
    pub shared_identities: Arc<[SharedIdentity]>,
    /// The reachable members on their points, but for the damped ones and those
    /// whose identity belongs to another member.
    pub ring: MemberRing,
    /// Checksum of the membership: equal at members with equal views.
    pub membership_checksum: u64,
    /// Checksum of the ring: members with equal ones agree on every key.
    pub ring_checksum: u64,
}

/// How a ring differs from the one before. Addresses are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingChange {
    /// Members that were added.
    pub added: Vec<Address>,
    /// Members that were removed.
    pub removed: Vec<Address>,
    /// Members whose weight or identity changed.
    pub updated: Vec<Address>,
    /// Checksum of the ring before.
    pub checksum_before: u64,
    /// Checksum of the ring after.
    pub checksum_after: u64,
}

/// What becomes of the ring with the next view.
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

impl View {
    /// The owner of a key: the first point clockwise of it. `None` when no
    /// member is on the ring.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<&str> {
        self.ring.lookup(key).map(|node| node.id())
    }

    /// The first `n` distinct owners of a key, best first; fewer when there
    /// are fewer.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<&str> {
        self.ring.walk(key).take(n).map(|node| node.id()).collect()
    }

    /// What is known about a member.
    #[must_use]
    pub fn member(&self, address: &str) -> Option<&Member> {
        let place = self.members.binary_search_by(|member| member.address.as_str().cmp(address));
        place.ok().map(|place| &self.members[place])
    }
}

/// Publishes views and answers lookups from the latest one.
#[derive(Debug)]
pub(crate) struct Views {
    shared: Shared<View>,
    /// Checksum of the latest ring, for those who wait for another one.
    epoch: watch::Sender<u64>,
    /// Whether others took this member for faulty and nobody reaches it.
    unreachable: watch::Sender<bool>,
    local: Address,
    /// What each thread saw last.
    readers: ThreadLocal<RefCell<Reader<View>>>,
    /// How often live members were found to share an identity.
    identities_shared: AtomicU64,
    points_per_weight_unit: u32,
    /// Weight that all members together may have on the ring.
    weight_sum_max: u64,
    capped: AtomicU64,
    stale: AtomicU64,
}

/// How often views had a ring that is not what the members want.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingStats {
    /// Heavy members got fewer points than they want.
    pub(crate) capped: u64,
    /// The ring could not be changed.
    pub(crate) stale: u64,
}

/// What became of the ring.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// How it changed, when it did.
    pub(crate) change: Option<RingChange>,
    /// Set when the members want more points than a ring may have.
    pub(crate) cap: Option<Cap>,
}

/// How members that want too many points fit on the ring. It depends on the
/// members alone, so that all who see the same ones cap them alike: the largest
/// weights count only up to a common one, as water fills vessels, and light
/// members keep what they have. When not even all weights of one fit, the first
/// members by address have their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cap {
    /// Weight that the members want.
    pub(crate) wanted: u64,
    /// The largest weight that counts.
    pub(crate) weight_max: u32,
    /// Members that have a place.
    pub(crate) members_max: usize,
    /// Members that have none.
    pub(crate) left_out: usize,
}

impl Cap {
    /// `None` when the members fit as they are.
    fn of(weights: impl Iterator<Item = u32>, sum_max: u64) -> Option<Self> {
        let mut count = [0_u64; WEIGHT_MAX as usize + 1];
        for weight in weights {
            count[weight.min(WEIGHT_MAX) as usize] += 1;
        }
        let all: u64 = count[1..].iter().sum();
        // The sum if weights count up to `max` grows with each step by those
        // that have at least that weight.
        let (mut sum, mut at_least, mut weight_max, mut wanted) = (0, all, 0, 0);
        for weight in 1..=WEIGHT_MAX {
            sum += at_least;
            if sum <= sum_max {
                weight_max = weight;
            }
            wanted = sum;
            at_least -= count[weight as usize];
        }
        if wanted <= sum_max {
            return None;
        }
        let members_max = if weight_max == 0 { sum_max } else { all };
        let left_out = usize::try_from(all - members_max).unwrap_or(usize::MAX);
        let members_max = usize::try_from(members_max).unwrap_or(usize::MAX);
        Some(Self { wanted, weight_max: weight_max.max(1), members_max, left_out })
    }
}

impl Views {
    pub(crate) fn new(local: Address, points_per_weight_unit: u32) -> Result<Self, UpdateError> {
        let ring = Ring::builder()
            .points_per_weight_unit(points_per_weight_unit)
            .max_points(RING_POINTS_MAX)
            .build()?;
        let ring_checksum = ring.checksum();
        let view = View {
            members: Arc::new([]),
            damped: Arc::new([]),
            shared_identities: Arc::new([]),
            ring,
            membership_checksum: 0,
            ring_checksum,
        };
        Ok(Self {
            shared: Shared::new(view),
            epoch: watch::Sender::new(ring_checksum),
            unreachable: watch::Sender::new(false),
            local,
            readers: ThreadLocal::new(),
            identities_shared: AtomicU64::new(0),
            points_per_weight_unit,
            weight_sum_max: u64::from(RING_POINTS_MAX / points_per_weight_unit),
            capped: AtomicU64::new(0),
            stale: AtomicU64::new(0),
        })
    }

    /// Counts an identity that live members share.
    pub(crate) fn count_shared_identity(&self) {
        self.identities_shared.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters of the ring, by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 1] {
        [("identities_shared", self.identities_shared.load(Ordering::Relaxed))]
    }

    pub(crate) const fn points_per_weight_unit(&self) -> u32 {
        self.points_per_weight_unit
    }

    pub(crate) fn stats(&self) -> RingStats {
        RingStats {
            capped: self.capped.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn load(&self) -> Arc<View> {
        self.shared.load()
    }

    /// Whether others took this member for faulty and nobody reaches it, to be
    /// watched.
    #[cfg(feature = "health")]
    pub(crate) fn unreachable(&self) -> watch::Receiver<bool> {
        self.unreachable.subscribe()
    }

    /// Publishes the view that `members` make, of whom those in `damped`
    /// (sorted) are kept off the ring. An error leaves the ring as it was.
    pub(crate) fn publish(
        &self,
        mut members: Vec<Member>,
        damped: Vec<Address>,
        membership_checksum: u64,
        on_ring: OnRing,
    ) -> Result<Published, UpdateError> {
        members.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        let former = self.shared.load();
        let mut cap = None;
        let (edits, mut change, shared_identities) = match on_ring {
            OnRing::Nobody => {
                let (edits, change) = self.difference(&former.ring, Vec::new());
                (edits, change, Arc::default())
            }
            OnRing::AsBefore => {
                (Vec::new(), RingChange::default(), former.shared_identities.clone())
            }
            OnRing::Reachable => {
                let belongs = |member: &&Member| {
                    weight(member) > 0 && damped.binary_search(&member.address).is_err()
                };
                let shared = identity::shared(members.iter().filter(belongs));
                let mut off_ring = damped.clone();
                off_ring.extend(shared.iter().flat_map(|shared| shared.others.iter().cloned()));
                off_ring.sort_unstable();
                let (wanted, found) = self.wanted(&members, &off_ring);
                cap = found;
                let (edits, change) = self.difference(&former.ring, wanted);
                (edits, change, shared.into())
            }
        };
        if cap.is_some() {
            self.capped.fetch_add(1, Ordering::Relaxed);
        }
        let ring =
            if edits.is_empty() { Ok(former.ring.clone()) } else { former.ring.apply(edits) };
        let (ring, failure) = match ring {
            Ok(ring) => (ring, None),
            Err(error) => (former.ring.clone(), Some(error)),
        };
        let ring_checksum = ring.checksum();
        change.checksum_before = former.ring_checksum;
        change.checksum_after = ring_checksum;
        // A member of this crate leaves, and never declares itself faulty.
        let faulty = |member: &Member| member.status == Status::Faulty;
        let local = members.iter().find(|member| member.address == self.local);
        let unreachable = local.is_some_and(faulty);
        self.unreachable.send_if_modified(|known| {
            let changed = *known != unreachable;
            *known = unreachable;
            changed
        });
        let (members, damped) = (members.into(), damped.into());
        let view =
            View { members, damped, shared_identities, ring, membership_checksum, ring_checksum };
        self.shared.publish(Arc::new(view));
        // Whoever waits for another ring is not woken by what leaves it as it is.
        self.epoch
            .send_if_modified(|epoch| std::mem::replace(epoch, ring_checksum) != ring_checksum);
        if let Some(error) = failure {
            self.stale.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        Ok(Published { change: (!change.is_empty()).then_some(change), cap })
    }

    /// Empties the ring of a member that has stopped, which does not learn any more
    /// who owns a key. Whoever follows a key is told.
    pub(crate) fn end(&self) {
        let View { members, damped, membership_checksum, .. } = &*self.load();
        let published =
            self.publish(members.to_vec(), damped.to_vec(), *membership_checksum, OnRing::Nobody);
        if let Err(error) = published {
            tracing::warn!(%error, "the ring of a member that has stopped stays as it was");
        }
    }

    /// The members that belong on the ring, all but those in `off_ring`, each with
    /// the weight that counts.
    fn wanted<'a>(
        &self,
        members: &'a [Member],
        off_ring: &[Address],
    ) -> (Vec<(&'a Member, u32)>, Option<Cap>) {
        let belongs = |member: &&Member| off_ring.binary_search(&member.address).is_err();
        let mut wanted: Vec<_> = members
            .iter()
            .filter(belongs)
            .map(|member| (member, weight(member)))
            .filter(|(_, weight)| *weight > 0)
            .collect();
        let cap = Cap::of(wanted.iter().map(|(_, weight)| *weight), self.weight_sum_max);
        if let Some(cap) = &cap {
            wanted.truncate(cap.members_max);
            wanted.iter_mut().for_each(|(_, weight)| *weight = (*weight).min(cap.weight_max));
        }
        (wanted, cap)
    }

    /// The edits that turn a ring into that of these members. All are sorted
    /// by address, so that one pass finds them.
    fn difference(
        &self,
        ring: &MemberRing,
        wanted: Vec<(&Member, u32)>,
    ) -> (Vec<Edit<Owner>>, RingChange) {
        let (mut edits, mut change) = (Vec::new(), RingChange::default());
        let mut wanted = wanted.into_iter().peekable();
        for node in ring.nodes() {
            while let Some((new, weight)) =
                wanted.next_if(|(member, _)| member.address.as_str() < node.id())
            {
                self.add(new, weight, &mut edits, &mut change);
            }
            match wanted.next_if(|(member, _)| member.address.as_str() == node.id()) {
                None => {
                    change.removed.push(address_of(node));
                    edits.push(Edit::remove(node.shared_id().clone()));
                }
                Some((member, weight))
                    if node.identity() != member.identity() || node.weight() != weight =>
                {
                    change.updated.push(member.address.clone());
                    edits.push(Edit::replace(place(member, weight, node.data().clone())));
                }
                Some(_) => {}
            }
        }
        for (new, weight) in wanted {
            self.add(new, weight, &mut edits, &mut change);
        }
        (edits, change)
    }

    fn add(
        &self,
        member: &Member,
        weight: u32,
        edits: &mut Vec<Edit<Owner>>,
        change: &mut RingChange,
    ) {
        let owner = if member.address == self.local {
            Owner::Local
        } else {
            match Peer::new(member.address.as_str()) {
                Ok(peer) => Owner::Remote(Arc::new(peer)),
                Err(error) => {
                    tracing::warn!(%error, "a member that cannot be dialled stays off the ring");
                    return;
                }
            }
        };
        change.added.push(member.address.clone());
        edits.push(Edit::add(place(member, weight, owner)));
    }

    /// Runs `f` on the latest view. Each thread keeps the view that it saw last, so
    /// that this costs one atomic load while nothing changes. What threads keep
    /// lives here: it goes with the cluster, and a thread that ends leaves its place
    /// to the next one.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&View) -> T) -> T {
        let reader = self.readers.get_or(|| RefCell::new(self.shared.reader()));
        match reader.try_borrow_mut() {
            Ok(mut reader) => f(reader.load()),
            // `f` of an outer call looks something up itself.
            Err(_) => f(self.shared.reader().load()),
        }
    }
}

impl RingChange {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.updated.is_empty()
    }
}

impl Resolver for Views {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        self.with(|view| out.extend(view.ring.walk(key).take(n).map(|node| node.data().clone())));
    }

    fn epoch(&self) -> u64 {
        self.with(|view| view.ring_checksum)
    }

    fn changed(&self, seen: u64) -> Changed {
        let mut epoch = self.epoch.subscribe();
        Box::pin(async move {
            if epoch.wait_for(|epoch| *epoch != seen).await.is_err() {
                // The member has stopped: nothing changes any more.
                std::future::pending::<()>().await;
            }
        })
    }
}

/// The weight of a member on the ring: 0 keeps it off.
fn weight(member: &Member) -> u32 {
    if !member.is_reachable() {
        return 0;
    }
    let label = member.labels.get(WEIGHT_LABEL);
    label.and_then(|text| text.parse().ok()).unwrap_or(1).min(WEIGHT_MAX)
}

fn place(member: &Member, weight: u32, owner: Owner) -> RingNode<Owner> {
    RingNode::new(member.address.as_str())
        .with_identity(member.identity())
        .with_weight(weight)
        .with_data(owner)
}

fn address_of(node: &RingNode<Owner>) -> Address {
    Address::new(node.id()).expect("nodes are named by the addresses of members")
}

#[cfg(test)]
mod tests {
    use swim_core::{IDENTITY_LABEL, Labels, Status};

    use super::*;

    fn member(i: u32, status: Status, labels: &[(&str, &str)]) -> Member {
        let address = Address::new(&format!("10.0.0.{i}:7100")).unwrap();
        Member::new(address, status, 1, Labels::new(labels.iter().copied()).unwrap())
    }

    fn views() -> Views {
        Views::new(Address::new("10.0.0.1:7100").unwrap(), 100).unwrap()
    }

    fn publish(
        views: &Views,
        members: Vec<Member>,
        checksum: u64,
        on_ring: OnRing,
    ) -> Result<Option<RingChange>, UpdateError> {
        views.publish(members, Vec::new(), checksum, on_ring).map(|published| published.change)
    }

    fn ids(addresses: &[Address]) -> Vec<&str> {
        addresses.iter().map(Address::as_str).collect()
    }

    #[test]
    fn reachable_members_are_on_the_ring_and_others_are_not() {
        let views = views();
        let change = publish(
            &views,
            vec![
                member(5, Status::Tombstone, &[]),
                member(4, Status::Leave, &[]),
                member(3, Status::Faulty, &[]),
                member(2, Status::Suspect, &[]),
                member(1, Status::Alive, &[]),
            ],
            7,
            OnRing::Reachable,
        );
        let change = change.unwrap().unwrap();
        assert_eq!(ids(&change.added), ["10.0.0.1:7100", "10.0.0.2:7100"]);
        let view = views.load();
        assert_eq!((view.ring.len(), view.members.len()), (2, 5));
        assert_eq!(view.membership_checksum, 7);
        assert_eq!(view.member("10.0.0.4:7100").unwrap().status, Status::Leave);
        assert_eq!(change.checksum_after, view.ring_checksum);
    }

    #[test]
    fn what_does_not_concern_the_ring_does_not_change_it() {
        let views = views();
        publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
        let suspect = member(1, Status::Suspect, &[("color", "red")]);
        let faulty = member(2, Status::Faulty, &[]);
        assert_eq!(publish(&views, vec![suspect, faulty], 2, OnRing::Reachable).unwrap(), None);
    }

    #[test]
    fn the_ring_is_empty_until_this_member_has_joined() {
        let views = views();
        let members = vec![member(1, Status::Alive, &[]), member(2, Status::Alive, &[])];
        assert_eq!(publish(&views, members.clone(), 1, OnRing::Nobody).unwrap(), None);
        let view = views.load();
        assert_eq!((view.ring.len(), view.members.len()), (0, 2));
        let change = publish(&views, members, 1, OnRing::Reachable).unwrap().unwrap();
        assert_eq!(ids(&change.added), ["10.0.0.1:7100", "10.0.0.2:7100"]);
    }

    #[test]
    fn damped_members_are_known_and_not_on_the_ring() {
        let views = views();
        let members: Vec<Member> = (1..4).map(|i| member(i, Status::Alive, &[])).collect();
        let damped = vec![members[1].address.clone()];
        let change = views.publish(members.clone(), damped.clone(), 1, OnRing::Reachable);
        assert_eq!(ids(&change.unwrap().change.unwrap().added), ["10.0.0.1:7100", "10.0.0.3:7100"]);
        let view = views.load();
        assert_eq!((view.members.len(), view.damped.to_vec()), (3, damped));
        let change = publish(&views, members, 1, OnRing::Reachable).unwrap().unwrap();
        assert_eq!(ids(&change.added), ["10.0.0.2:7100"]);
    }

    #[test]
    fn the_ring_waits_while_a_burst_goes_on() {
        let views = views();
        let members: Vec<Member> = (1..4).map(|i| member(i, Status::Alive, &[])).collect();
        publish(&views, members, 1, OnRing::Reachable).unwrap();
        for gone in 2..4 {
            let status = |i| if i <= gone && i > 1 { Status::Faulty } else { Status::Alive };
            let members = (1..4).map(|i| member(i, status(i), &[])).collect();
            assert_eq!(publish(&views, members, 2, OnRing::AsBefore).unwrap(), None);
            assert_eq!(views.load().ring.len(), 3);
            let second = views.load().member("10.0.0.2:7100").unwrap().status;
            assert_eq!(second, Status::Faulty, "the members are those of now");
        }
        let members = (1..4).map(|i| member(i, Status::Faulty, &[])).collect();
        let change = publish(&views, members, 3, OnRing::Reachable).unwrap().unwrap();
        assert_eq!(change.removed.len(), 3, "all at once");
    }

    #[test]
    fn weight_and_identity_come_from_labels() {
        let views = views();
        let one = |labels: &[(&str, &str)]| vec![member(1, Status::Alive, labels)];
        let points = |views: &Views| views.load().ring.points_of("10.0.0.1:7100");
        publish(&views, one(&[(WEIGHT_LABEL, "3")]), 1, OnRing::Reachable).unwrap();
        assert_eq!(points(&views), Some(300));
        let change = publish(&views, one(&[(WEIGHT_LABEL, "nonsense")]), 2, OnRing::Reachable)
            .unwrap()
            .unwrap();
        assert_eq!(points(&views), Some(100));
        assert_eq!(ids(&change.updated), ["10.0.0.1:7100"]);
        publish(&views, one(&[(WEIGHT_LABEL, "4000000000")]), 3, OnRing::Reachable).unwrap();
        assert_eq!(points(&views), Some(100 * WEIGHT_MAX));
        let change = publish(&views, one(&[(IDENTITY_LABEL, "worker-1")]), 4, OnRing::Reachable)
            .unwrap()
            .unwrap();
        assert_eq!(ids(&change.updated), ["10.0.0.1:7100"]);
        let change =
            publish(&views, one(&[(WEIGHT_LABEL, "0")]), 5, OnRing::Reachable).unwrap().unwrap();
        assert_eq!(ids(&change.removed), ["10.0.0.1:7100"]);
        assert!(views.load().ring.is_empty());
    }

    /// A process died, and its successor took its identity at another address:
    /// the keys are the successor's before anybody missed the dead one, whichever
    /// address sorts lower.
    #[test]
    fn a_successor_has_the_keys_of_its_identity_at_once() {
        for (dead, successor) in [(2, 3), (3, 2)] {
            let views = views();
            let mut one = member(dead, Status::Alive, &[(IDENTITY_LABEL, "p1")]);
            let mut two = member(successor, Status::Alive, &[(IDENTITY_LABEL, "p1")]);
            (one.incarnation, two.incarnation) = (5, 6);
            let local = member(1, Status::Alive, &[]);
            let before = vec![local.clone(), one.clone()];
            publish(&views, before, 1, OnRing::Reachable).unwrap();
            let owned = |views: &Views, address: &Address| {
                let view = views.load();
                (0..200).filter(|i| view.lookup(&[*i]) == Some(address.as_str())).count()
            };
            let keys = owned(&views, &one.address);
            assert!(keys > 0);
            publish(&views, vec![local, one.clone(), two.clone()], 2, OnRing::Reachable).unwrap();
            assert_eq!((owned(&views, &one.address), owned(&views, &two.address)), (0, keys));
            let shared = &views.load().shared_identities;
            assert_eq!(shared[0].owner, two.address);
            assert_eq!(shared[0].others, [one.address]);
        }
    }

    /// Views of a ring that is small, so that a few members exceed it.
    fn small(weight_sum_max: u64) -> Views {
        let mut views = views();
        views.weight_sum_max = weight_sum_max;
        views
    }

    fn weighing(weights: &[u32]) -> Vec<Member> {
        let one = |(i, weight): (u32, &u32)| {
            member(i, Status::Alive, &[(WEIGHT_LABEL, &weight.to_string())])
        };
        (1..).zip(weights).map(one).collect()
    }

    /// One message can bring so many members; the ring must follow all the same.
    #[test]
    fn members_that_want_too_many_points_are_capped_alike_everywhere() {
        let (one, two) = (small(20), small(20));
        let mut members = weighing(&[2, 9, 9, 9]);
        publish(&one, members[..2].to_vec(), 1, OnRing::Reachable).unwrap();
        let published = one.publish(members.clone(), Vec::new(), 2, OnRing::Reachable).unwrap();
        let cap = Cap { wanted: 29, weight_max: 6, members_max: 4, left_out: 0 };
        assert_eq!(published.cap, Some(cap));
        assert_eq!(one.stats().capped, 1);
        let points = |i: u32| one.load().ring.points_of(&format!("10.0.0.{i}:7100"));
        assert_eq!((points(1), points(2), points(4)), (Some(200), Some(600), Some(600)));

        members.reverse();
        publish(&two, members.clone(), 2, OnRing::Reachable).unwrap();
        assert_eq!(one.load().ring_checksum, two.load().ring_checksum);
        let published = one.publish(weighing(&[2, 9, 9]), Vec::new(), 3, OnRing::Reachable);
        assert_eq!(published.unwrap().cap, None, "it is over when they fit again");
        assert_eq!(points(2), Some(900));
    }

    #[test]
    fn when_even_weights_of_one_are_too_many_the_first_have_their_place() {
        let views = small(3);
        let members = weighing(&[2, 2, 0, 2, 2]);
        let published = views.publish(members, Vec::new(), 1, OnRing::Reachable).unwrap();
        let cap = Cap { wanted: 8, weight_max: 1, members_max: 3, left_out: 1 };
        assert_eq!(published.cap, Some(cap));
        let ring = views.load().ring.clone();
        assert_eq!((ring.len(), ring.points_of("10.0.0.4:7100")), (3, Some(100)));
    }

    #[test]
    fn a_cap_is_the_largest_that_fits() {
        for (weights, sum_max, expected) in [
            (vec![1, 2, 3], 6, None),
            (vec![0, 0, 6], 6, None),
            (vec![1, 2, 3], 5, Some((2, 3))),
            (vec![1, 2, 3], 4, Some((1, 3))),
            (vec![1, 2, 3], 2, Some((1, 2))),
            (vec![100; 839], 83_886, Some((99, 839))),
        ] {
            let cap = Cap::of(weights.iter().copied(), sum_max);
            assert_eq!(cap.map(|cap| (cap.weight_max, cap.members_max)), expected, "{weights:?}");
        }
    }

    #[test]
    fn the_ring_does_not_depend_on_its_history() {
        let (one, two) = (views(), views());
        let all: Vec<Member> = (1..6).map(|i| member(i, Status::Alive, &[])).collect();
        publish(&one, all.clone(), 1, OnRing::Reachable).unwrap();
        for i in (0..5).rev() {
            publish(&two, vec![all[i].clone()], 1, OnRing::Reachable).unwrap();
        }
        publish(&two, all.into_iter().rev().collect(), 1, OnRing::Reachable).unwrap();
        assert_eq!(one.load().ring_checksum, two.load().ring_checksum);
    }

    #[test]
    fn lookups_name_this_member_as_local_and_follow_the_latest_view() {
        let views = views();
        let mut owners = Owners::new();
        views.owners(b"key", 3, &mut owners);
        assert!(owners.is_empty());
        publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
        views.owners(b"key", 3, &mut owners);
        assert_eq!(owners[..], [Owner::Local]);
        publish(
            &views,
            (1..4).map(|i| member(i, Status::Alive, &[])).collect(),
            2,
            OnRing::Reachable,
        )
        .unwrap();
        owners.clear();
        views.owners(b"key", 3, &mut owners);
        assert_eq!(owners.len(), 3);
        assert_eq!(owners.iter().filter(|owner| **owner == Owner::Local).count(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_for_another_ring_is_woken_by_it() {
        let views = views();
        publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
        let seen = views.epoch();
        let mut changed = std::pin::pin!(views.changed(seen));
        publish(&views, vec![member(1, Status::Suspect, &[])], 2, OnRing::Reachable).unwrap();
        let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(changed.as_mut().poll(cx)));
        assert!(waits.await.is_pending(), "the ring is the same");
        publish(&views, vec![member(2, Status::Alive, &[])], 3, OnRing::Reachable).unwrap();
        changed.await;
    }

    #[tokio::test]
    async fn whoever_follows_a_key_is_told_when_the_member_stops() {
        let views = Arc::new(views());
        publish(&views, vec![member(2, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
        let forwarder = ringpop_forward::Forwarder::builder(Arc::clone(&views)).build().unwrap();
        let mut ownership = forwarder.ownership("key");
        assert!(ownership.owner().is_some());
        views.end();
        assert_eq!(ownership.changed().await, None);
        assert_eq!(views.load().members.len(), 1, "what it knew of the members stays");
    }

    /// Two clusters in one thread must not see each other's view.
    #[test]
    fn threads_keep_the_views_of_several_clusters_apart() {
        let (one, two) = (views(), views());
        publish(&one, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
        for _ in 0..3 {
            assert_eq!(one.with(|view| view.ring.len()), 1);
            assert_eq!(two.with(|view| view.ring.len()), 0);
        }
    }

    /// A thread that asks once and lives on must not keep a cluster in memory.
    #[test]
    fn no_thread_keeps_a_cluster_that_is_gone() {
        let views = Arc::new(views());
        publish(&views, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
        let (asked, was_asked) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let other = Arc::clone(&views);
        let thread = std::thread::spawn(move || {
            assert_eq!(other.with(|view| view.ring.len()), 1);
            drop(other);
            asked.send(()).unwrap();
            let _ = ends.recv();
        });
        assert_eq!(views.with(|view| view.ring.len()), 1);
        was_asked.recv().unwrap();
        let view = Arc::downgrade(&views.load());
        drop(views);
        assert!(view.upgrade().is_none(), "somebody keeps the view");
        drop(end);
        thread.join().unwrap();
    }

    /// What runs on a view may look into it, and into another, once more.
    #[test]
    fn lookups_within_lookups_see_the_latest_view() {
        let (one, two) = (views(), views());
        publish(&one, vec![member(1, Status::Alive, &[])], 1, OnRing::Reachable).unwrap();
        let seen = one.with(|view| {
            (view.ring.len(), one.with(|view| view.ring.len()), two.with(|view| view.ring.len()))
        });
        assert_eq!(seen, (1, 1, 0));
    }

    #[test]
    fn a_member_that_cannot_be_dialled_stays_off_the_ring() {
        let views = views();
        let odd = Address::new("not-a-host-and-port").unwrap();
        let odd = Member::new(odd, Status::Alive, 1, Labels::default());
        assert_eq!(publish(&views, vec![odd], 1, OnRing::Reachable).unwrap(), None);
    }
}
