//! Events of the cluster.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use swim_core::Address;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt};

use crate::identity::SharedIdentity;
use crate::limits::EVENTS_MAX;
use crate::move_event::MoveEvent;
use crate::off_ring::OffRing;
use crate::problem::Problem;
use crate::state::State;
use crate::view::RingChange;

/// Something that happened. The [`View`](crate::View) has it already.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The membership machine reports something: a member changed, a join
    /// went on or ended, a message was refused.
    Membership(swim_core::Event),
    /// Owners of keys changed.
    RingChanged(RingChange),
    /// A reachable member is kept off the ring, for another reason than before, or no more. Also
    /// told when nothing follows for the ring, such as for a member of weight 0.
    OffRingChanged {
        /// The member.
        address: Address,
        /// Why it is kept off the ring; `None`: it is not any more.
        off: Option<OffRing>,
    },
    /// Owners of keys changed on a [further ring](crate::Builder::ring);
    /// [`NamedRing::events`](crate::NamedRing::events) has those of one ring.
    NamedRingChanged {
        /// Its name.
        ring: Arc<str>,
        /// How it changed.
        change: RingChange,
    },
    /// A [planned move](crate::hand_off) was announced, went on or ended.
    PlannedMove(MoveEvent),
    /// Leases were lost, because they could not be renewed or the store ended them: nothing may be
    /// written with them any more.
    LeasesLost {
        /// Why.
        reason: String,
        /// How many there were.
        leases: usize,
    },
    /// Several live members claim one identity, and have for longer than a member
    /// that died can look alive. All but one own nothing: give each a name of its
    /// own.
    IdentityShared(SharedIdentity),
    /// This member entered another state of its life.
    StateChanged(State),
    /// A person should look after something. Also in the status of the member
    /// as long as it lasts.
    ProblemBegan(Problem),
    /// What [`ProblemBegan`](Self::ProblemBegan) told is over.
    ProblemEnded(Problem),
    /// This listener was too slow and missed so many events.
    Missed(u64),
}

/// Receives events in the order in which they happened. Ends when the member
/// has stopped. It is a [`Stream`], too.
#[derive(Debug)]
#[must_use = "a listener that is dropped hears nothing"]
pub struct Events(BroadcastStream<Event>);

impl Events {
    /// The next event; `None` after the last one. A listener that lags far behind gets
    /// [`Event::Missed`] and goes on with the events that are kept.
    pub async fn next(&mut self) -> Option<Event> {
        StreamExt::next(self).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let received = Pin::new(&mut self.0).poll_next(cx);
        received.map(|event| {
            Some(match event? {
                Ok(event) => event,
                Err(BroadcastStreamRecvError::Lagged(missed)) => Event::Missed(missed),
            })
        })
    }
}

/// Sends events to all listeners. Listeners never hold the sender back.
#[derive(Debug, Clone)]
pub(crate) struct Listeners(broadcast::WeakSender<Event>);

impl Listeners {
    /// The listeners, and what keeps their streams open.
    pub(crate) fn new() -> (Self, broadcast::Sender<Event>) {
        let (sender, _) = broadcast::channel(EVENTS_MAX);
        (Self(sender.downgrade()), sender)
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listening is no error.
        if let Some(sender) = self.0.upgrade() {
            let _ = sender.send(event);
        }
    }

    /// A stream of the events from now on; it ends at once when the member has
    /// stopped.
    pub(crate) fn subscribe(&self) -> Events {
        match self.0.upgrade() {
            Some(sender) => Events(BroadcastStream::new(sender.subscribe())),
            None => Events(BroadcastStream::new(broadcast::channel(1).1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_listener_is_told_how_much_it_missed_and_holds_nobody_up() {
        let (listeners, sender) = Listeners::new();
        let mut slow = listeners.subscribe();
        let more = 3;
        for _ in 0..EVENTS_MAX + more {
            listeners.tell(Event::StateChanged(State::Ready));
        }
        drop(sender);
        assert!(matches!(slow.next().await, Some(Event::Missed(missed)) if missed == more as u64));
        let mut left = 0;
        while let Some(event) = slow.next().await {
            assert!(matches!(event, Event::StateChanged(State::Ready)));
            left += 1;
        }
        assert_eq!(left, EVENTS_MAX);
    }
}
