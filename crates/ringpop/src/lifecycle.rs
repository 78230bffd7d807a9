//! The life of a member.

use swim_core::Address;
use tokio::sync::watch;

use crate::event::{Event, Listeners};
use crate::state::State;

/// The state of one member, to be watched.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    /// Tells the members of one process apart in the log.
    member: Address,
    state: watch::Sender<State>,
    listeners: Listeners,
}

impl Lifecycle {
    pub(crate) fn new(member: Address, listeners: Listeners) -> Self {
        Self { member, state: watch::Sender::new(State::Bound), listeners }
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// The state, to be waited on by somebody who must not keep the member alive.
    #[cfg(feature = "health")]
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Goes from one of the states `from` to `to`. `Err` gives the state when
    /// it is another one.
    pub(crate) fn advance(&self, from: &[State], to: State) -> Result<(), State> {
        let mut found = None;
        let changed = self.state.send_if_modified(|state| {
            found = Some(*state);
            let may = from.contains(state);
            if may {
                *state = to;
            }
            may
        });
        if !changed {
            return Err(found.unwrap_or(to));
        }
        tracing::info!(member = %self.member, state = %to, "lifecycle");
        self.listeners.tell(Event::StateChanged(to));
        Ok(())
    }

    /// Waits until the state is `wanted` or a later one.
    pub(crate) async fn reached(&self, wanted: State) {
        // Waiting cannot fail: the sender lives as long as `self`.
        let _ = self.state.subscribe().wait_for(|state| *state >= wanted).await;
    }
}
