//! The steps of a slow start.

use std::sync::Weak;

use tokio::time::{sleep, timeout};

use super::Ringpop;
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::limits::SLOW_START_MAX;
use crate::slow_start::{SlowStart, Step};
use crate::state::State;
use crate::view::another_ring;

/// Goes from step to step whenever this member is on the ring, and back to the first one
/// whenever it is not.
pub(super) async fn attend(slow_start: SlowStart, member: Weak<Inner>) {
    let pause = slow_start.pause();
    loop {
        let Some(inner) = member.upgrade() else { return };
        let member_now = Ringpop(inner);
        if member_now.state() >= State::Draining {
            return;
        }
        let epoch = member_now.0.views.load().ring_checksum;
        let is_on = member_now.is_on_ring();
        if !is_on {
            member_now.warm(Some(slow_start.first())).await;
        }
        let warming = member_now.0.labels.lock().await.standing.warming;
        let changed = another_ring(&member_now.0.views, epoch);
        drop(member_now);
        match warming.filter(|_| is_on) {
            // Nothing to do until it is off the ring.
            None => {
                // A stopped member has nobody who changes its ring any more.
                let _ = timeout(SLOW_START_MAX, changed).await;
            }
            Some(step) => {
                sleep(pause).await;
                let Some(inner) = member.upgrade() else { return };
                let member_now = Ringpop(inner);
                if member_now.is_on_ring() {
                    member_now.warm(step.next()).await;
                }
            }
        }
    }
}

impl Ringpop {
    fn is_on_ring(&self) -> bool {
        self.0.views.with(|view| view.ring.node(self.whoami()).is_some())
    }

    /// Says which step this member is at.
    async fn warm(&self, step: Option<Step>) {
        if self.0.labels.lock().await.standing.warming == step {
            return;
        }
        let change = |own: &mut OwnLabels| {
            own.standing.warming = step;
            Ok(())
        };
        if let Err(error) = self.update_labels(change).await {
            tracing::debug!(member = self.whoami(), %error, "a step of the slow start is not told");
        }
    }
}
