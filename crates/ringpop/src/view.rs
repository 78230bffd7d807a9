//! The view: what this member knows of the cluster, as one immutable value.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashring::BuildError;
use ringpop_forward::{Changed, Owners, Resolver};
use swim_core::{Address, Member, MemberList, Status};
use tokio::sync::watch;

use crate::identity::SharedIdentity;
use crate::limits::{WARMING_LABEL, ZONE_LABEL};
use crate::off_ring::{Eviction, OffRing};
use crate::owner::Owner;
use crate::placement::PlacementChoice;

mod cap;
mod edits;
mod latest;
mod member_ring;
mod moves;
mod named;
mod publish;
mod rings;
mod subring;
#[cfg(test)]
mod tests;
mod votes;
mod withdrawn;
mod zones;

pub(crate) use cap::Cap;
pub(crate) use latest::Latest;
pub use member_ring::{MemberRing, MemberWalk};
use moves::Kept;
pub use moves::{Moved, Moves};
pub(crate) use named::Definition;
pub use named::NamedRings;
pub(crate) use publish::{Dissent, OnRing, Publisher};
pub(crate) use rings::Rings;
pub use subring::Subring;
use subring::Subrings;
pub use zones::ZoneOrder;

/// Members and ring at one moment.
///
/// A new view is published after each batch of membership changes, before
/// anybody is told of them: who hears of a change finds it in the view.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct View {
    /// All known members, sorted by address, whatever their status.
    pub members: MemberList,
    /// Addresses of members that fail and come back too often: they are kept
    /// off the ring for a while. Sorted.
    pub damped: Arc<[Address]>,
    /// Identities that several members on the ring claim: only one of them owns
    /// keys. Sorted.
    pub shared_identities: Arc<[SharedIdentity]>,
    /// The reachable members and who owns which key, but for the damped ones and those
    /// whose identity belongs to another member.
    pub ring: Arc<MemberRing>,
    /// Reachable members that are off the ring, and why. Sorted by address.
    pub(crate) off_ring: Arc<[(Address, OffRing)]>,
    /// The newest eviction of each target, or its undoing. Sorted by target.
    pub(crate) evictions: Arc<[Eviction]>,
    /// Checksum of the membership: equal at members with equal views.
    pub membership_checksum: u64,
    /// Checksum of the ring: members with equal ones agree on every key.
    pub ring_checksum: u64,
    /// The [further rings](crate::Builder::ring).
    pub named_rings: NamedRings,
    /// Those of the main ring.
    subrings: Arc<Subrings>,
}

/// How a ring differs from the one before. Addresses are sorted.
///
/// Which keys move is computed when it is asked for. A process that keeps state asks for each of
/// its keys, and one whose state is sorted by place asks for the ranges:
///
/// ```
/// # use ringpop::{Moves, RingChange};
/// # use ringpop::hashring::PlaceRange;
/// /// The keys that this member has to drop, or to hand over, and to whom.
/// fn lost<'c>(moves: &'c Moves, me: &str, keys: &'c [&'c str]) -> Vec<(&'c str, &'c str)> {
///     let moved = keys.iter().filter_map(|key| Some((*key, moves.of(key.as_bytes())?)));
///     moved
///         .filter(|(_, moved)| moved.from == Some(me))
///         .filter_map(|(key, moved)| Some((key, moved.to?)))
///         .collect()
/// }
///
/// /// The same as ranges of places, which only the classic ring has.
/// fn lost_ranges(moves: &Moves, me: &str) -> Option<Vec<PlaceRange>> {
///     let movement = moves.ranges()?;
///     let lost = movement.iter().filter(|moved| moved.from.is_some_and(|node| node.id() == me));
///     Some(lost.map(|moved| moved.range).collect())
/// }
///
/// fn on_change(change: &RingChange, me: &str, keys: &[&str]) {
///     match change.moves() {
///         Some(moves) => println!("{:?} {:?}", lost(&moves, me, keys), lost_ranges(&moves, me)),
///         None => println!("too far behind: look each key up"),
///     }
/// }
/// # let _ = on_change;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RingChange {
    /// Members that were added.
    pub added: Vec<Address>,
    /// Members that were removed.
    pub removed: Vec<Address>,
    /// Members whose weight or identity changed.
    pub updated: Vec<Address>,
    /// The placement in use.
    pub placement: PlacementChoice,
    /// The placement before, when it was another one: most keys have another owner now.
    pub placement_before: Option<PlacementChoice>,
    /// Checksum of the ring before.
    pub checksum_before: u64,
    /// Checksum of the ring after.
    pub checksum_after: u64,
    moves: Option<Arc<Kept>>,
}

impl View {
    /// The owner of a key; `None` when no member is on the ring.
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

    /// The members that are alive or suspect, sorted by address.
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// let view = member.view();
    /// let dispatchers = view.reachable().filter(|member| member.labels.get("role") == Some("dispatch"));
    /// assert_eq!(dispatchers.count(), 0);
    /// assert_eq!(view.reachable().count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reachable(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.status.is_reachable())
    }

    /// Why a reachable member is kept off the ring, by any spelling of its address; `None` for one
    /// that is not.
    #[must_use]
    pub fn off_ring(&self, address: &str) -> Option<&OffRing> {
        let address = self.member(address)?.address.as_str();
        let place = self.off_ring.binary_search_by(|(off, _)| off.as_str().cmp(address));
        place.ok().map(|place| &self.off_ring[place].1)
    }

    /// The first `n` distinct owners of a key whose zones differ while that is possible, then the
    /// next ones whatever their zone; the owner is the first.
    #[must_use]
    pub fn lookup_spread(&self, key: &[u8], n: usize) -> Vec<&str> {
        zones::spread(self, &self.ring, key, n).into_iter().map(|node| node.id()).collect()
    }

    /// The same on one of the rings of this view.
    pub(crate) fn spread(&self, ring: &MemberRing, key: &[u8], n: usize) -> Vec<Owner> {
        zones::spread(self, ring, key, n).into_iter().map(Owner::of).collect()
    }

    /// The subring of a tenant on the further ring at this place.
    pub(crate) fn subring_on(&self, place: usize, tenant: &[u8], n: usize) -> Subring {
        let named = self.named_rings.at(place);
        named.subrings.get(self, &named.ring, tenant, n)
    }

    /// The failure domain of a member; `None` when it has none or is not known.
    #[must_use]
    pub fn zone(&self, address: &str) -> Option<&str> {
        self.member(address)?.labels.get(ZONE_LABEL)
    }

    /// A member, as this one sees it, by any spelling of its address.
    #[must_use]
    pub fn member(&self, address: &str) -> Option<&Member> {
        let known = self.members.get(address);
        known.or_else(|| self.members.get(Address::new(address).ok()?.as_str()))
    }
}

/// Publishes views and answers lookups from the latest one.
#[derive(Debug)]
pub(crate) struct Views {
    latest: Latest<View>,
    /// The latest rings in their order.
    rings: Arc<Rings>,
    /// The same for those who wait for the next one.
    watched: watch::Sender<Arc<View>>,
    /// Checksum of the latest ring, for those who wait for another one.
    epoch: watch::Sender<u64>,
    /// The same of each further ring.
    ring_epochs: Vec<watch::Sender<u64>>,
    definitions: Vec<Definition>,
    zone_order: ZoneOrder,
    /// Whether new work should go elsewhere: nobody reaches this member, or its health check keeps
    /// it off the ring.
    unfit: watch::Sender<bool>,
    /// Told when what members say of evictions changes.
    evictions: watch::Sender<()>,
    local: Address,
    /// Labels of members about evictions that this version could not read, or not all of.
    evictions_unreadable: AtomicU64,
    /// How often live members were found to share an identity.
    identities_shared: AtomicU64,
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

impl Views {
    /// Views with a main ring only.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn new(local: Address) -> Result<Self, BuildError> {
        Self::with_rings(local, Vec::new(), ZoneOrder::default())
    }

    pub(crate) fn with_rings(
        local: Address,
        definitions: Vec<Definition>,
        zone_order: ZoneOrder,
    ) -> Result<Self, BuildError> {
        // Nobody is on the ring and asks for another placement.
        let ring = MemberRing::new(PlacementChoice::Rendezvous)?;
        let ring_checksum = ring.checksum();
        let ring = Arc::new(ring);
        let rings = Arc::new(Rings::new(Arc::clone(&ring)));
        let named_rings = NamedRings::new(&definitions)?;
        let ring_epochs = named_rings.checksums().map(watch::Sender::new).collect();
        let view = View {
            members: MemberList::default(),
            damped: Arc::new([]),
            shared_identities: Arc::new([]),
            off_ring: Arc::new([]),
            evictions: Arc::new([]),
            ring,
            membership_checksum: 0,
            ring_checksum,
            named_rings,
            subrings: Arc::default(),
        };
        Ok(Self {
            watched: watch::Sender::new(Arc::new(view.clone())),
            latest: Latest::new(view),
            rings,
            epoch: watch::Sender::new(ring_checksum),
            ring_epochs,
            definitions,
            zone_order,
            unfit: watch::Sender::new(false),
            evictions: watch::Sender::new(()),
            local,
            evictions_unreadable: AtomicU64::new(0),
            identities_shared: AtomicU64::new(0),
            capped: AtomicU64::new(0),
            stale: AtomicU64::new(0),
        })
    }

    /// The address of this member.
    pub(crate) const fn local(&self) -> &Address {
        &self.local
    }

    /// Counts an identity that live members share.
    pub(crate) fn count_shared_identity(&self) {
        self.identities_shared.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters of the ring, by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 6] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let view = self.load();
        let off = |name: &str| {
            view.off_ring.iter().filter(|(_, reason)| reason.as_str() == name).count() as u64
        };
        let warming = view
            .members
            .iter()
            .filter(|member| member.is_reachable() && member.labels.get(WARMING_LABEL).is_some());
        [
            ("identities_shared", read(&self.identities_shared)),
            ("evictions_unreadable", read(&self.evictions_unreadable)),
            ("draining", off("draining")),
            ("evicted", off("evicted")),
            ("unhealthy", off("unhealthy")),
            ("warming", warming.count() as u64),
        ]
    }

    /// Told each time that what members say of evictions changes.
    pub(crate) fn evictions_changed(&self) -> watch::Receiver<()> {
        self.evictions.subscribe()
    }

    pub(crate) fn stats(&self) -> RingStats {
        RingStats {
            capped: self.capped.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
        }
    }

    /// Changes with each view from now on.
    pub(crate) fn published(&self) -> watch::Receiver<Arc<View>> {
        self.watched.subscribe()
    }

    pub(crate) fn load(&self) -> Arc<View> {
        self.latest.load()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.watched.subscribe()
    }

    /// Whether nobody reaches this member, or its health check keeps it off the ring, to be
    /// watched.
    #[cfg(feature = "health")]
    pub(crate) fn unfit(&self) -> watch::Receiver<bool> {
        self.unfit.subscribe()
    }

    pub(crate) const fn rings(&self) -> &Arc<Rings> {
        &self.rings
    }

    /// Makes a view the latest one. Gives a ring that is not kept any more, if there is one.
    fn replace(&self, view: View) -> Option<Arc<MemberRing>> {
        // A member of this crate leaves, and never declares itself faulty.
        let local = view.member(self.local.as_str());
        let is_unreachable = local.is_some_and(|local| local.status == Status::Faulty);
        let is_unwell = view.off_ring(self.local.as_str()) == Some(&OffRing::Unhealthy);
        let unfit = is_unreachable || is_unwell;
        self.unfit.send_if_modified(|known| std::mem::replace(known, unfit) != unfit);
        let ring_checksum = view.ring_checksum;
        let evictions_changed = self.with(|former| former.evictions != view.evictions);
        let is_other = self.with(|former| former.ring_checksum != ring_checksum);
        let old = is_other.then(|| self.rings.push(Arc::clone(&view.ring))).flatten();
        let view = Arc::new(view);
        self.latest.publish(Arc::clone(&view));
        if evictions_changed {
            self.evictions.send_replace(());
        }
        set_epoch(&self.epoch, ring_checksum);
        for (epoch, checksum) in self.ring_epochs.iter().zip(view.named_rings.checksums()) {
            set_epoch(epoch, checksum);
        }
        self.watched.send_replace(view);
        old
    }

    /// The subring of a tenant on the main ring.
    pub(crate) fn subring(&self, tenant: &[u8], n: usize) -> Subring {
        self.with(|view| view.subrings.get(view, &view.ring, tenant, n))
    }

    /// The place of a further ring among all of them.
    pub(crate) fn ring_named(&self, name: &str) -> Option<usize> {
        self.definitions.iter().position(|definition| *definition.name == *name)
    }

    /// Appends the first `n` owners of a key on a ring of this view.
    pub(crate) fn fill(
        &self,
        view: &View,
        ring: &MemberRing,
        key: &[u8],
        n: usize,
        out: &mut Owners,
    ) {
        self.zone_order.owners(view, ring, key, n, |node| out.push(node.data().clone()));
    }

    /// The epoch of a further ring, to be waited on.
    pub(crate) fn ring_epoch(&self, i: usize) -> &watch::Sender<u64> {
        &self.ring_epochs[i]
    }

    /// Runs `f` on the latest view.
    #[inline]
    pub(crate) fn with<T>(&self, f: impl FnOnce(&View) -> T) -> T {
        self.latest.with(f)
    }
}

impl RingChange {
    /// The keys that move. `None` for a listener that is too far behind: rings that are no longer
    /// in use are kept for slow listeners up to
    /// [`MOVES_BYTES_MAX`](crate::limits::MOVES_BYTES_MAX). The [`View`] says who owns a key now.
    #[must_use]
    pub fn moves(&self) -> Option<Moves> {
        self.moves.as_ref()?.get()
    }

    fn with_moves(mut self, moves: Arc<Kept>) -> Self {
        self.moves = Some(moves);
        self
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.updated.is_empty()
            && self.placement_before.is_none()
    }
}

impl Resolver for Views {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        self.with(|view| self.fill(view, &view.ring, key, n, out));
    }

    /// A reachable member by address or, which takes a look at each of them, by identity.
    fn member(&self, id: &str) -> Option<ringpop_forward::Owner> {
        self.with(|view| {
            let by_address = view.members.get(id).filter(|member| member.is_reachable());
            let member = by_address.or_else(|| view.reachable().find(|m| m.identity() == id))?;
            moves::owner(member, member.address == self.local)
        })
    }

    fn epoch(&self) -> u64 {
        self.with(|view| view.ring_checksum)
    }

    fn changed(&self, seen: u64) -> Changed {
        another(&self.epoch, seen)
    }
}

/// Resolves when the ring of this member is another one than that of the checksum `seen`.
pub(crate) fn another_ring(views: &Views, seen: u64) -> Changed {
    another(&views.epoch, seen)
}

/// A view with the same ring wakes nobody that waits for another ring.
fn set_epoch(epoch: &watch::Sender<u64>, checksum: u64) {
    epoch.send_if_modified(|epoch| std::mem::replace(epoch, checksum) != checksum);
}

/// Resolves when the ring is another one than that of the checksum `seen`.
pub(crate) fn another(epoch: &watch::Sender<u64>, seen: u64) -> Changed {
    let mut epoch = epoch.subscribe();
    Box::pin(async move {
        if epoch.wait_for(|epoch| *epoch != seen).await.is_err() {
            // The member has stopped, or the client: nothing changes any more.
            std::future::pending::<()>().await;
        }
    })
}
