//! Following the owner of a key while a call runs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::resolver::{Changed, Owner, Owners, Resolver};
use crate::route::key::Key;

/// The owner of a key, followed from the moment at which this was made.
///
/// A handler of a streaming method finds one for its own call in the extensions of its request, and
/// any code gets one from [`Forwarder::ownership`](crate::Forwarder::ownership). It holds no
/// connection, task or timer: dropping it, or a future that it gave, is all the cleaning up.
///
/// ```
/// use ringpop_forward::Ownership;
/// use tonic::{Request, Response, Status};
///
/// # struct Subscription;
/// # type Updates = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<(), Status>> + Send>>;
/// async fn watch(request: Request<Subscription>) -> Result<Response<Updates>, Status> {
///     let ownership = request.extensions().get::<Ownership>().cloned();
///     let ownership = ownership.ok_or_else(|| Status::internal("the method has no route"))?;
///     let (updates, receiver) = tokio::sync::mpsc::channel(16);
///     tokio::spawn(async move {
///         tokio::select! {
///             // The caller has gone.
///             () = updates.closed() => {}
///             // The key has: store what the new owner must know, and end the stream.
///             _owner = ownership.lost() => {
///                 let _ = updates.send(Err(Status::aborted("the key has moved"))).await;
///             }
///         }
///     });
///     Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver))))
/// }
/// # let _ = watch;
/// ```
///
/// # What it costs
///
/// Waiting costs nothing until the ring changes. Then each waiting task is woken once, looks its
/// key up (some 50 ns), and goes on waiting unless the key has moved. A change that leaves the ring
/// as it is wakes nobody.
#[derive(Clone)]
pub struct Ownership {
    resolver: Arc<dyn Resolver>,
    key: Key,
    /// The process that does the work of the key.
    handler: Owner,
    /// The owner at the last look.
    owner: Option<Owner>,
    /// The epoch at the last look.
    epoch: u64,
    is_held: bool,
}

impl Ownership {
    /// Looks up `key`, whose work is done here.
    pub(crate) fn new(resolver: Arc<dyn Resolver>, key: Key) -> Self {
        // The epoch first: a ring that changes in between is noticed by the next wait.
        let epoch = resolver.epoch();
        let owner = first_owner(&*resolver, &key);
        let is_held = owner == Some(Owner::Local);
        Self { resolver, key, handler: Owner::Local, owner, epoch, is_held }
    }

    /// The same key, whose work is done by `handler`: the owner, or a process that stands in for it
    /// until the ring changes.
    pub(crate) fn handled_by(mut self, handler: Owner) -> Self {
        self.handler = handler;
        self.is_held = true;
        self
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The owner at the last look: when this was made, or when [`changed`](Self::changed) last
    /// returned. `None` when nobody was known to own the key.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Whether the key is this process's, as of the last look. A call that came here because the
    /// owner of its key did not answer counts as this process's until the owner changes.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Waits until another process owns the key than at the last look, and gives the new owner;
    /// `None` when nobody owns it, as at a member that has left or stopped. Changes in quick
    /// succession may be seen as one.
    ///
    /// May be dropped at any time: what happened meanwhile is told by the next call.
    pub async fn changed(&mut self) -> Option<Owner> {
        loop {
            self.resolver.changed(self.epoch).await;
            if self.look() {
                return self.owner.clone();
            }
        }
    }

    /// Resolves when the key has moved from this process to another one, and gives the new owner;
    /// `None` when nobody owns the key any more, as at a member that has left or stopped. At once
    /// when the key is not [held](Self::is_held) as it is.
    pub fn lost(&self) -> Lost {
        Lost { ownership: self.clone(), changed: None }
    }

    /// Looks again, and tells whether the owner is another one.
    fn look(&mut self) -> bool {
        self.epoch = self.resolver.epoch();
        let owner = first_owner(&*self.resolver, &self.key);
        let is_other = owner != self.owner;
        if is_other {
            self.is_held = owner.as_ref() == Some(&self.handler);
            self.owner = owner;
        }
        is_other
    }
}

impl fmt::Debug for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Ownership");
        debug.field("key", &self.key).field("owner", &self.owner).field("is_held", &self.is_held);
        debug.finish_non_exhaustive()
    }
}

/// Resolves when a key is lost; see [`Ownership::lost`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Lost {
    ownership: Ownership,
    changed: Option<Changed>,
}

impl Future for Lost {
    type Output = Option<Owner>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Owner>> {
        let Self { ownership, changed } = self.get_mut();
        while ownership.is_held {
            let change = changed.get_or_insert_with(|| ownership.resolver.changed(ownership.epoch));
            ready!(change.as_mut().poll(cx));
            *changed = None;
            ownership.look();
        }
        Poll::Ready(ownership.owner.clone())
    }
}

impl fmt::Debug for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lost").field("ownership", &self.ownership).finish_non_exhaustive()
    }
}

fn first_owner(resolver: &dyn Resolver, key: &Key) -> Option<Owner> {
    let mut owners = Owners::new();
    resolver.owners(key.as_bytes(), 1, &mut owners);
    owners.into_iter().next()
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::resolver::Peer;

    /// A ring of one key, whose epoch counts its changes.
    struct Ring(watch::Sender<(u64, Option<Owner>)>);

    impl Ring {
        fn new(owner: Option<Owner>) -> Arc<Self> {
            Arc::new(Self(watch::Sender::new((1, owner))))
        }

        fn give(&self, owner: Option<Owner>) {
            self.0.send_modify(|ring| *ring = (ring.0 + 1, owner));
        }
    }

    impl Resolver for Ring {
        fn owners(&self, _: &[u8], _: usize, out: &mut Owners) {
            out.extend(self.0.borrow().1.clone());
        }

        fn epoch(&self) -> u64 {
            self.0.borrow().0
        }

        fn changed(&self, seen: u64) -> Changed {
            let mut ring = self.0.subscribe();
            Box::pin(async move {
                ring.wait_for(|ring| ring.0 != seen).await.unwrap();
            })
        }
    }

    fn remote(address: &str) -> Owner {
        Owner::Remote(Arc::new(Peer::new(address).unwrap()))
    }

    fn ownership(ring: &Arc<Ring>) -> Ownership {
        Ownership::new(Arc::clone(ring) as Arc<dyn Resolver>, Key::from("k"))
    }

    fn poll(lost: &mut Lost) -> Poll<Option<Owner>> {
        Pin::new(lost).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_key_is_lost_when_it_moves_and_not_when_others_change() {
        let ring = Ring::new(Some(Owner::Local));
        let mut lost = ownership(&ring).lost();
        assert!(poll(&mut lost).is_pending());
        ring.give(Some(Owner::Local));
        assert!(poll(&mut lost).is_pending(), "another part of the ring changed");
        ring.give(Some(remote("b:1")));
        assert_eq!(poll(&mut lost), Poll::Ready(Some(remote("b:1"))));
    }

    #[test]
    fn a_key_is_lost_to_nobody_when_the_ring_is_empty() {
        let ring = Ring::new(Some(Owner::Local));
        let mut lost = ownership(&ring).lost();
        ring.give(None);
        assert_eq!(poll(&mut lost), Poll::Ready(None));
    }

    #[test]
    fn who_waits_for_a_key_of_others_does_not_wait() {
        let ring = Ring::new(Some(remote("b:1")));
        assert!(!ownership(&ring).is_held());
        assert_eq!(poll(&mut ownership(&ring).lost()), Poll::Ready(Some(remote("b:1"))));
    }

    /// The owner did not answer, and the next one handles the call: it stays there while the ring
    /// says nothing new, and for good when the ring makes it the owner.
    #[test]
    fn a_stand_in_keeps_the_key_until_it_moves_elsewhere() {
        let ring = Ring::new(Some(remote("dead:1")));
        let mut lost = ownership(&ring).handled_by(Owner::Local).lost();
        assert!(poll(&mut lost).is_pending());
        ring.give(Some(remote("dead:1")));
        assert!(poll(&mut lost).is_pending(), "the owner is the same");
        ring.give(Some(Owner::Local));
        assert!(poll(&mut lost).is_pending());
        ring.give(Some(remote("dead:1")));
        assert_eq!(poll(&mut lost), Poll::Ready(Some(remote("dead:1"))), "it is back");
    }

    #[test]
    fn a_change_between_the_look_and_the_wait_is_not_missed() {
        let ring = Ring::new(Some(Owner::Local));
        let ownership = ownership(&ring);
        ring.give(Some(remote("b:1")));
        assert_eq!(poll(&mut ownership.lost()), Poll::Ready(Some(remote("b:1"))));
    }

    #[tokio::test]
    async fn changes_are_told_one_after_the_other_and_survive_a_dropped_wait() {
        let ring = Ring::new(Some(Owner::Local));
        let mut ownership = ownership(&ring);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(1), ownership.changed());
        assert!(waits.await.is_err());
        ring.give(Some(remote("b:1")));
        assert_eq!(ownership.changed().await, Some(remote("b:1")));
        ring.give(None);
        assert_eq!(ownership.changed().await, None);
        ring.give(Some(Owner::Local));
        assert_eq!(ownership.changed().await, Some(Owner::Local));
        assert!(ownership.is_held());
    }

    #[test]
    fn nothing_is_left_behind_when_it_is_dropped() {
        let ring = Ring::new(Some(Owner::Local));
        let mut waits: Vec<Lost> = (0..1000).map(|_| ownership(&ring).lost()).collect();
        assert!(waits.iter_mut().all(|lost| poll(lost).is_pending()));
        assert_eq!(ring.0.receiver_count(), 1000);
        drop(waits);
        assert_eq!((ring.0.receiver_count(), Arc::strong_count(&ring)), (0, 1));
    }
}
