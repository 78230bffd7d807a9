//! The part of one member in a planned move: it hands over what it holds of the keys that move, or
//! gets ready to own them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use swim_core::{Address, Member};
use tokio::sync::oneshot;
use tokio::time::{Instant as Clock, sleep, timeout_at};

use super::{Planner, count};
use crate::event::Event;
use crate::generated::AnnounceResponse;
use crate::hand_off::Outset;
use crate::hand_off::{HandOff, HandOffError, MoveEnd, PlannedMove};
use crate::limits::{HAND_OFF_GRACE, MOVE_END_MARGIN, MOVES_UNDER_WAY_MAX, SWITCH_LEAD_MAX};
use crate::move_event::{MoveEvent, MoveStep};
use crate::rolls;
use crate::view::Moves;
use crate::weight::NextWeight;

/// Resolves when a member is done with its part.
pub(super) type Ready = oneshot::Receiver<Result<(), HandOffError>>;

/// The answer of a member that is done with its part.
pub(super) async fn last_answer(ready: Ready) -> AnnounceResponse {
    let failure = match ready.await {
        Ok(Ok(())) => String::new(),
        Ok(Err(error)) => error.to_string(),
        Err(_ended) => "the hook ended without an answer".to_owned(),
    };
    AnnounceResponse { failure, ..AnnounceResponse::default() }
}

impl Planner {
    /// Takes part in a move that another member announces, which the view has already: the first
    /// answer, and what the last one waits for.
    pub(super) fn take_part(
        self: &Arc<Self>,
        mover: &Address,
        plan: NextWeight,
        limit: Duration,
    ) -> (AnnounceResponse, Option<Ready>) {
        let mut first = AnnounceResponse::default();
        if plan.at_ms.is_some() {
            return (first, None);
        }
        if let Some(other) = self.hook.as_ref().and_then(|_| self.comes_first(mover)) {
            first.comes_first = other.to_string();
            return (first, None);
        }
        let view = self.views.load();
        let ready = view.member(mover.as_str()).and_then(|member| self.begin(member, limit));
        first.is_under_way = ready.is_some();
        (first, ready)
    }

    /// Begins the part of this member in a move, which may take until `limit` has passed. `None`
    /// when it has none. Dropping what it gives gives the move up.
    pub(super) fn begin(self: &Arc<Self>, mover: &Member, limit: Duration) -> Option<Ready> {
        let hook = Arc::clone(self.hook.as_ref()?);
        let after = NextWeight::of(&mover.labels)?.weight;
        let view = self.views.load();
        let before = view.ring.node(mover.address.as_str()).map_or(0, |node| node.weight());
        let successor = rolls::successor_of(&view, mover);
        let moves = Moves::planned(&view.ring, mover, after, successor, &self.local)?;
        let deadline = Clock::now() + limit.min(self.limit);
        let outset = Outset {
            mover: mover.address.clone(),
            weights: (before, after),
            moves,
            deadline,
            end: deadline + SWITCH_LEAD_MAX + MOVE_END_MARGIN,
        };
        let planned = PlannedMove::new(outset, &self.local, &self.views, &self.sending);
        {
            let mut parts = self.parts();
            // A second move of one member takes the place of the first.
            if parts.len() >= MOVES_UNDER_WAY_MAX && !parts.contains_key(&mover.address) {
                tracing::warn!(mover = %mover.address, "too many planned moves are under way");
                return None;
            }
            parts.insert(mover.address.clone(), planned.clone());
        }
        // A member that grows gets keys of all others; one that shrinks gives to all others.
        let gives = (after > before) != (mover.address == self.local);
        let (tell, ready) = oneshot::channel();
        if let Some(moving) = self.moving.as_ref().filter(|_| gives) {
            moving.begin(&planned);
        }
        let registered = Registered { planner: Arc::clone(self), planned: planned.clone() };
        tokio::spawn(take_part(registered, hook, planned, gives, tell));
        Some(ready)
    }

    async fn ended(&self, planned: &PlannedMove) -> MoveEnd {
        let mut end = MoveEnd::GivenUp;
        let is_over = |view: &crate::view::View| {
            planned.ended(view).is_some_and(|ended| {
                end = ended;
                true
            })
        };
        self.until(planned.end(), is_over).await;
        end
    }

    /// Places the calls that wait for the end of a move.
    fn release(&self, planned: &PlannedMove) {
        if let Some(moving) = &self.moving {
            moving.end(planned);
        }
    }

    fn tell_part(&self, planned: &PlannedMove, done: &Result<(), HandOffError>) {
        let step = match done {
            Ok(()) => MoveStep::HandedOff,
            Err(error) => MoveStep::HandOffFailed { reason: error.to_string() },
        };
        let (mover, weight) = (planned.mover_address().clone(), planned.weight_after());
        self.listeners.tell(Event::PlannedMove(MoveEvent { mover, weight, step }));
    }

    /// The move of a member in which this one gets state.
    pub(super) fn part_of(&self, mover: &Address) -> Option<PlannedMove> {
        self.parts().get(mover).cloned()
    }
}

/// Takes a move off the list at its end, also when its hook panics.
struct Registered {
    planner: Arc<Planner>,
    planned: PlannedMove,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut parts = self.planner.parts();
        parts.retain(|_, planned| !planned.is_same(&self.planned));
        self.planner.release(&self.planned);
        if parts.is_empty() {
            self.planner.sending.close();
        }
    }
}

async fn take_part(
    registered: Registered,
    hook: Arc<dyn HandOff>,
    planned: PlannedMove,
    gives: bool,
    mut tell: oneshot::Sender<Result<(), HandOffError>>,
) {
    let planner = &registered.planner;
    let work = async {
        match gives {
            true => hook.give(planned.clone()).await,
            false => hook.prepare(planned.clone()).await,
        }
    };
    let done = tokio::select! {
        biased;
        done = timeout_at(planned.deadline(), work) => Some(done.unwrap_or(Err(HandOffError::Deadline))),
        // The member that planned the move is gone, or took it back.
        () = tell.closed() => None,
    };
    let follows = gives && matches!(done, Some(Ok(())));
    if let Some(done) = done {
        planner.tell_part(&planned, &done);
        if let Err(error) = &done {
            count(&planner.counts.hand_offs_failed, 1);
            let (member, mover) = (&planner.local, planned.mover());
            tracing::warn!(%member, mover, %error, "state does not move with its keys");
        }
        // Nobody may wait any more.
        let _ = tell.send(done);
    }
    let keeps_up = async {
        if follows {
            hook.keep_up(planned.clone()).await;
        }
        std::future::pending::<Infallible>().await
    };
    let mut keeps_up = std::pin::pin!(keeps_up);
    let end = tokio::select! {
        end = planner.ended(&planned) => end,
        never = &mut keeps_up => match never {},
    };
    planner.release(&planned);
    // Requests that came before the switch may write until they are answered.
    tokio::select! {
        () = sleep(HAND_OFF_GRACE) => {}
        never = &mut keeps_up => match never {},
    }
    hook.ended(&planned, end);
}
