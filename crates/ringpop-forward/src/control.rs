//! What only the owner of a server does with its forwarder.

use std::fmt;
use std::sync::Arc;

use crate::resolver::Peer;
use crate::retry::peer_state::PeerState;
use crate::shared::Shared;
use crate::transport::{H2Transport, PeerTransport};

/// Takes a [`Forwarder`](crate::Forwarder) out of service, and tells it what others know of its
/// peers. [`Builder::build_with_control`](crate::Builder::build_with_control) gives the only one
/// to the code that sets the forwarder up; code that merely sends requests holds the forwarder and
/// can stop nobody.
///
/// Clones control the same forwarder.
///
/// ```
/// use ringpop_forward::{Forwarder, Peer, PeerState, StaticResolver};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = StaticResolver::new("a:1", ["a:1", "b:1"])?;
/// let (forwarder, control) = Forwarder::builder(resolver).name("a:1").build_with_control()?;
///
/// // What a failure detector hears of a peer.
/// let peer = Peer::new("b:1")?;
/// control.set_peer_state(&peer, PeerState::Doubtful);
/// control.set_peer_state(&peer, PeerState::Good);
/// control.reset_backoff(&peer);
/// control.forget(&peer);
///
/// // A shutdown in three steps.
/// control.drain();
/// control.refuse_new_work();
/// forwarder.drained().await;
/// assert_eq!(forwarder.stats().in_flight, 0);
/// # Ok(())
/// # }
/// ```
///
/// A forwarder cannot be drained by its users:
///
/// ```compile_fail,E0599
/// # fn used(forwarder: &ringpop_forward::Forwarder) {
/// forwarder.refuse_new_work();
/// # }
/// ```
pub struct ForwarderControl<T = H2Transport>(Arc<Shared<T>>);

impl<T> ForwarderControl<T> {
    pub(crate) const fn new(shared: Arc<Shared<T>>) -> Self {
        Self(shared)
    }

    /// Begins to drain. Calls are still handled and forwarded, and a call that another member
    /// forwarded here for a key that is no longer ours may go one hop further.
    pub fn drain(&self) {
        self.0.gate.drain();
    }

    /// Ends the drain: calls of routed methods are refused from now on, with an answer that makes a
    /// forwarding member ask the next owner. Calls in flight go on;
    /// [`Forwarder::drained`](crate::Forwarder::drained) waits for them.
    pub fn refuse_new_work(&self) {
        self.0.gate.close();
    }
}

impl<T: PeerTransport> ForwarderControl<T> {
    /// Closes the connections to `peer` when the calls on them have ended. For members that left.
    pub fn forget(&self, peer: &Peer) {
        self.0.transport.forget(peer);
        self.0.budgets.forget(peer);
        self.0.peers.set(peer, PeerState::Good);
    }

    /// Tells what others know of `peer`, such as a failure detector, so no call
    /// waits for an owner that others know to be silent. It holds until something else is said.
    ///
    /// [`Doubtful`](PeerState::Doubtful): idempotent attempts under way are hedged to the next
    /// owner at once, as a hedge does, and the first good answer counts. Streams and long uploads
    /// that may be sent again go on at the next owner instead. New calls go past the owner,
    /// whatever their method, because nothing of them was sent; unless the owner answered one
    /// within the last second, or there is nobody else, or
    /// [`RetryTarget::Reroute`](crate::RetryTarget) forbids it.
    ///
    /// [`Gone`](PeerState::Gone): every attempt at it ends at once. Idempotent ones, and those of
    /// which nothing was sent, go on at the next owner; others fail with a status that says that
    /// they may have been executed. Its connections close.
    pub fn set_peer_state(&self, peer: &Peer, state: PeerState) {
        self.0.peers.set(peer, state);
        if state == PeerState::Gone {
            self.0.transport.abandon(peer);
            self.0.budgets.forget(peer);
        }
    }

    /// Says that `peer` lives, for example because the membership heard of its restart. If calls
    /// skip it, the next one has it dialled in the background without the pause that grows with
    /// each failed dial.
    pub fn reset_backoff(&self, peer: &Peer) {
        self.0.transport.reset_backoff(peer);
    }
}

impl<T> Clone for ForwarderControl<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for ForwarderControl<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ForwarderControl");
        debug.field("name", &self.0.settings.name).finish_non_exhaustive()
    }
}
