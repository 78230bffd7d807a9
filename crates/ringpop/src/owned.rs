//! Owning a key without a break.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringpop_forward::Key;

use crate::member::Ringpop;
use crate::view::Rings;

/// The number of no ring: ownership has ended.
const ENDED: u64 = u64::MAX;

/// That this process has owned a key without a break since the handle was made, as far as this
/// member knows. Clones are one handle.
///
/// Work that takes longer than a lookup is true [checks](Self::check) before each step with an
/// effect, for one atomic number while the ring stays as it is. A key that went to another member
/// and came back has had another owner meanwhile, and the handle has ended: rings in between count.
///
/// It promises nothing beyond this member's view. Members learn of a change one after the other,
/// and a member that is cut off from the others goes on to own its keys. Where two writers at a
/// time do harm, pass the token of a lease to a store that decides ([`Leases`](crate::Leases)).
///
/// ```
/// # use ringpop::{Owned, Ringpop};
/// async fn compact(member: &Ringpop, key: &str) -> Result<(), &'static str> {
///     let owned = member.owned(key).ok_or("this member does not own the key")?;
///     for segment in 0..10 {
///         if !owned.check() {
///             return Err("another member has the key now");
///         }
///         println!("{key}: segment {segment} at epoch {}", owned.epoch());
///     }
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
/// # member.serve(tonic::service::Routes::default())?;
/// # member.bootstrap().await?;
/// compact(&member, "driver-42").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Owned(Arc<Inner>);

struct Inner {
    rings: Arc<Rings>,
    key: Key,
    /// Up to this ring, the key is this member's.
    seen: AtomicU64,
    epoch: u64,
    since: Instant,
}

impl Owned {
    /// Whether the key has been this process's without a break until now. Once it is `false` it
    /// stays so. Takes a nanosecond while the ring stays as it is, and a lookup in each new ring
    /// after it changed.
    ///
    /// A handle that nobody checks while the ring changes more than
    /// [`OWNED_RINGS_MAX`](crate::limits::OWNED_RINGS_MAX) times ends: a break may have been
    /// missed.
    #[inline]
    #[must_use]
    pub fn check(&self) -> bool {
        self.0.seen.load(Ordering::Acquire) == self.0.rings.generation() || self.look()
    }

    #[cold]
    fn look(&self) -> bool {
        let Inner { rings, key, seen, .. } = &*self.0;
        let before = seen.load(Ordering::Acquire);
        if before == ENDED {
            return false;
        }
        let now = rings.owned_since(key.as_bytes(), before).unwrap_or(ENDED);
        // Of two that look at the same time the one that saw the end is right.
        seen.fetch_max(now, Ordering::AcqRel).max(now) != ENDED
    }

    /// Waits until ownership has ended. Many may wait; each is woken once for each change of the
    /// ring.
    ///
    /// ```
    /// # use ringpop::Owned;
    /// # async fn flush(_: &str) {}
    /// async fn cache(owned: Owned) {
    ///     owned.ended().await;
    ///     flush("what is not in the store yet").await;
    /// }
    /// ```
    pub async fn ended(&self) {
        let mut changed = self.0.rings.changed();
        while self.check() {
            // The sender lives as long as the handle.
            let _ = changed.changed().await;
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// A number for a store that keeps the largest it has seen for a key, and refuses smaller ones:
    /// larger than that of each earlier handle of this member. It begins with the wall clock in
    /// milliseconds: between members it grows as far as their clocks agree, which makes it a hint
    /// and no fencing token.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// How long ago this handle was made.
    #[must_use]
    pub fn held_for(&self) -> Duration {
        self.0.since.elapsed()
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { key, epoch, .. } = &*self.0;
        let is_held = self.check();
        f.debug_struct("Owned")
            .field("key", key)
            .field("epoch", epoch)
            .field("is_held", &is_held)
            .finish_non_exhaustive()
    }
}

impl Ringpop {
    /// A handle that tells whether this member owns `key` from now on without a break; `None` when
    /// another member owns it, or nobody is known to. See [`Owned`] for an example.
    #[must_use]
    pub fn owned(&self, key: impl Into<Key>) -> Option<Owned> {
        Owned::new(Arc::clone(self.0.views.rings()), key.into())
    }
}

impl Owned {
    fn new(rings: Arc<Rings>, key: Key) -> Option<Self> {
        let seen = rings.owned(key.as_bytes())?;
        let (epoch, since) = (rings.next_epoch(), Instant::now());
        Some(Self(Arc::new(Inner { rings, key, seen: AtomicU64::new(seen), epoch, since })))
    }
}

#[cfg(test)]
mod tests {
    use swim_core::{Address, Labels, Member, Status};

    use super::*;
    use crate::limits::{OWNED_RINGS_MAX, WEIGHT_LABEL};
    use crate::view::{OnRing, Publisher, Views};

    fn address(i: usize) -> Address {
        Address::new(&format!("10.0.0.{i}:7100")).unwrap()
    }

    /// Publishes rings of these members in turn; member 1 is this one.
    struct Cluster {
        views: Arc<Views>,
        publisher: Publisher,
        known: Vec<usize>,
    }

    impl Cluster {
        fn of(members: &[usize]) -> Self {
            let views = Arc::new(Views::new(address(1)).unwrap());
            let publisher = Publisher::new(Arc::clone(&views));
            let mut cluster = Self { views, publisher, known: Vec::new() };
            cluster.become_those(members);
            cluster
        }

        fn become_those(&mut self, members: &[usize]) {
            let gone = self.known.iter().map(|i| (address(*i), None));
            let there = members.iter().map(|i| {
                let member = Member::new(address(*i), Status::Alive, 1, Labels::default());
                (address(*i), Some(member))
            });
            let changes = gone.chain(there).collect();
            self.known = members.to_vec();
            self.publisher.publish(changes, [].into(), 1, OnRing::Reachable).unwrap();
        }

        fn owned(&self, key: &str) -> Option<Owned> {
            Owned::new(Arc::clone(self.views.rings()), key.into())
        }

        /// A key of member 1 among `before` that another one has among `after`.
        fn key_that_goes(before: &[usize], after: &[usize]) -> String {
            let (before, after) = (Self::of(before), Self::of(after));
            let mut keys = (0..10_000).map(|i| format!("key-{i}"));
            keys.find(|key| before.owned(key).is_some() && after.owned(key).is_none()).unwrap()
        }
    }

    #[test]
    fn a_key_that_stays_is_held_and_one_that_goes_and_comes_back_is_not() {
        let goes = Cluster::key_that_goes(&[1, 2], &[1, 2, 3]);
        let mut cluster = Cluster::of(&[1, 2]);
        let (gone, unseen) = (cluster.owned(&goes).unwrap(), cluster.owned(&goes).unwrap());
        let stays = (0..10_000).map(|i| format!("key-{i}")).find(|key| {
            cluster.owned(key).is_some() && Cluster::of(&[1, 2, 3]).owned(key).is_some()
        });
        let stays = cluster.owned(&stays.unwrap()).unwrap();
        assert!(gone.check() && unseen.check() && stays.check());
        cluster.become_those(&[1, 2, 3]);
        assert!(!gone.check() && stays.check());
        assert!(cluster.owned(&goes).is_none());
        cluster.become_those(&[1, 2]);
        assert!(!gone.check(), "another member had it");
        assert!(!unseen.check(), "also when nobody looked meanwhile");
        assert!(stays.check());
        let again = cluster.owned(&goes).unwrap();
        assert!(again.check() && again.epoch() > gone.epoch());
    }

    #[test]
    fn a_view_with_the_same_ring_costs_no_look() {
        let mut cluster = Cluster::of(&[1, 2]);
        let before = cluster.views.rings().generation();
        cluster.become_those(&[1, 2]);
        assert_eq!(cluster.views.rings().generation(), before);
    }

    /// More changes than rings are kept: a break may have been missed.
    #[test]
    fn a_handle_that_nobody_checked_for_too_many_rings_has_ended() {
        let mut cluster = Cluster::of(&[1]);
        let looked_at = cluster.owned("key").unwrap();
        let [in_time, forgotten] = [(); 2].map(|()| cluster.owned("key").unwrap());
        for change in 1..=OWNED_RINGS_MAX {
            // Another ring, of the same member.
            let weight = (change + 1).to_string();
            let labels = Labels::new([(WEIGHT_LABEL, weight.as_str())]).unwrap();
            let member = Member::new(address(1), Status::Alive, 1, labels);
            let changes = vec![(address(1), Some(member))];
            cluster.publisher.publish(changes, [].into(), 1, OnRing::Reachable).unwrap();
            assert!(looked_at.check());
            assert!(change < OWNED_RINGS_MAX || in_time.check());
        }
        cluster.become_those(&[1]);
        assert!(looked_at.check() && in_time.check());
        assert!(!forgotten.check());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_at_the_end_and_when_the_member_stops() {
        let goes = Cluster::key_that_goes(&[1, 2], &[1, 2, 3]);
        let mut cluster = Cluster::of(&[1, 2]);
        let owned = cluster.owned(&goes).unwrap();
        let waits = tokio::spawn({
            let owned = owned.clone();
            async move { owned.ended().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        cluster.become_those(&[1, 2, 3]);
        waits.await.unwrap();
        owned.ended().await;

        let mut cluster = Cluster::of(&[1]);
        let owned = cluster.owned("key").unwrap();
        cluster.publisher.end();
        owned.ended().await;
    }
}
