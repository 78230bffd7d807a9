//! A further ring, as an application holds it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ringpop_forward::{Changed, Owners, Resolver};
use tokio_stream::{Stream, StreamExt};

use crate::event::{Event, Events, Listeners};
use crate::lookup::Lookup;
use crate::owner::Owner;
use crate::view::{self, MemberRing, RingChange, Subring, View, Views};

/// A further ring of a member: answers who owns a key there, and tells changes. Made by
/// [`Ringpop::ring`](crate::Ringpop::ring). Clones are the same ring.
///
/// It is the [`Resolver`] of a forwarder, too, for services whose keys are placed on it:
/// [`Builder::routes_on`](crate::Builder::routes_on) does that for the forwarder of the member.
///
/// ```
/// # use ringpop::{Ringpop, RingOptions};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let member = Ringpop::builder("rides")
///     .label("role", "worker")
///     .ring("workers", RingOptions::new().label("role", "worker"))
///     .ring("storage", RingOptions::new().label("role", "storage"))
///     .bind()
///     .await?;
/// member.serve(tonic::service::Routes::default())?;
/// member.bootstrap().await?;
///
/// let workers = member.ring("workers").expect("it is set up");
/// assert!(workers.owns(b"driver-42"));
/// assert_eq!(workers.lookup_n(b"driver-42", 3).len(), 1);
/// assert_eq!(workers.lookup_spread(b"driver-42", 3)[0], member.whoami());
/// assert_eq!(workers.subring("tenant-7", 3).len(), 1);
/// assert_eq!(workers.snapshot().checksum(), workers.checksum());
/// let storage = member.ring("storage").expect("it is set up");
/// assert_eq!(storage.lookup(b"driver-42"), None); // nobody has that role
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NamedRing {
    name: Arc<str>,
    /// Its place among the rings of a view.
    place: usize,
    views: Arc<Views>,
    listeners: Listeners,
}

impl NamedRing {
    pub(crate) fn new(views: &Arc<Views>, listeners: &Listeners, name: &str) -> Option<Self> {
        let place = views.ring_named(name)?;
        let (views, listeners) = (Arc::clone(views), listeners.clone());
        Some(Self { name: name.into(), place, views, listeners })
    }

    fn with<T>(&self, f: impl FnOnce(&View, &MemberRing) -> T) -> T {
        self.views.with(|view| f(view, &view.named_rings.at(self.place).ring))
    }

    /// The name that it was set up by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The owner of a key; `None` when nobody is on the ring. Takes no lock in the steady state,
    /// allocates nothing and does no I/O.
    #[must_use]
    pub fn lookup(&self, key: &[u8]) -> Option<Owner> {
        self.with(|_, ring| ring.lookup(key).map(Owner::of))
    }

    /// The first `n` distinct owners of a key, best first; fewer when there are fewer members.
    #[must_use]
    pub fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        self.with(|_, ring| ring.walk(key).take(n).map(Owner::of).collect())
    }

    /// The same with as many zones as there are; see
    /// [`Ringpop::lookup_spread`](crate::Ringpop::lookup_spread).
    #[must_use]
    pub fn lookup_spread(&self, key: &[u8], n: usize) -> Vec<Owner> {
        self.with(|view, ring| view.spread(ring, key, n))
    }

    /// Whether this member owns a key.
    #[must_use]
    pub fn owns(&self, key: &[u8]) -> bool {
        self.lookup(key).is_some_and(|owner| owner.is_local())
    }

    /// The members of a tenant; see [`Ringpop::subring`](crate::Ringpop::subring).
    #[must_use]
    pub fn subring(&self, tenant: impl AsRef<[u8]>, n: usize) -> Subring {
        self.views.with(|view| view.subring_on(self.place, tenant.as_ref(), n))
    }

    /// The ring as it is now: its members, walks and shares.
    #[must_use]
    pub fn snapshot(&self) -> Arc<MemberRing> {
        self.views.with(|view| Arc::clone(&view.named_rings.at(self.place).ring))
    }

    /// Checksum of the ring: members with equal ones agree on the owner of every key.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.views.with(|view| view.named_rings.at(self.place).checksum)
    }

    /// The changes of this ring from now on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::{Ringpop, RingEvent, RingOptions};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let options = RingOptions::new();
    /// # let member = Ringpop::builder("rides").ring("all", options).bind().await?;
    /// let ring = member.ring("all").expect("it is set up");
    /// let mut changes = ring.events();
    /// member.serve(tonic::service::Routes::default())?;
    /// member.bootstrap().await?;
    /// let Some(RingEvent::Changed(change)) = changes.next().await else { panic!("it changed") };
    /// assert_eq!(change.added.len(), 1);
    /// assert_eq!(change.moves().map(|moves| moves.share()), Some(1.0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> RingEvents {
        RingEvents { name: Arc::clone(&self.name), events: self.listeners.subscribe() }
    }
}

impl Lookup for NamedRing {
    fn whoami(&self) -> &str {
        self.views.local().as_str()
    }

    fn lookup(&self, key: &[u8]) -> Option<Owner> {
        Self::lookup(self, key)
    }

    fn lookup_n(&self, key: &[u8], n: usize) -> Vec<Owner> {
        Self::lookup_n(self, key, n)
    }
}

impl Resolver for NamedRing {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        self.with(|view, ring| self.views.fill(view, ring, key, n, out));
    }

    fn member(&self, id: &str) -> Option<ringpop_forward::Owner> {
        self.views.member(id)
    }

    fn epoch(&self) -> u64 {
        self.checksum()
    }

    fn changed(&self, seen: u64) -> Changed {
        view::another(self.views.ring_epoch(self.place), seen)
    }
}

/// What [`RingEvents`] tells.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RingEvent {
    /// Owners of keys changed. The view has it already.
    Changed(RingChange),
    /// This listener was too slow and missed so many events of its member, among which may be
    /// changes of this ring: look at the ring.
    Missed(u64),
}

/// Receives the changes of one ring in their order; made by [`NamedRing::events`]. Ends when the
/// member has stopped. It is a [`Stream`], too.
#[derive(Debug)]
#[must_use = "a listener that is dropped hears nothing"]
pub struct RingEvents {
    name: Arc<str>,
    events: Events,
}

impl RingEvents {
    /// The next change; `None` after the last one.
    pub async fn next(&mut self) -> Option<RingEvent> {
        StreamExt::next(self).await
    }
}

impl Stream for RingEvents {
    type Item = RingEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RingEvent>> {
        loop {
            match std::task::ready!(Pin::new(&mut self.events).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Event::NamedRingChanged { ring, change }) if ring == self.name => {
                    return Poll::Ready(Some(RingEvent::Changed(change)));
                }
                Some(Event::Missed(count)) => return Poll::Ready(Some(RingEvent::Missed(count))),
                Some(_) => {}
            }
        }
    }
}
