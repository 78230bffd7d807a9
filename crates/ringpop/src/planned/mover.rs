//! The move of this member.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use swim_core::wire::pb;
use swim_core::{Address, Member};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::{Instant as Clock, sleep, sleep_until, timeout_at};

use super::reach::{Answers as _, Reach};
use super::succession::hand_place_on;
use super::{Planner, count};
use crate::command_error::SetLabelsError;
use crate::generated::{AnnounceRequest, AnnounceResponse};
use crate::inner::Inner;
use crate::labels::OwnLabels;
use crate::limits::{
    ANNOUNCE_TIMEOUT, ANNOUNCED_AT_ONCE_MAX, MOVE_MEMBERS_MAX, MOVE_RETRY_PAUSE, SWITCH_LEAD_MAX,
    SWITCH_LEAD_MIN,
};
use crate::peer_clocks::RoundTrip;
use crate::state::State;
use crate::weight::NextWeight;

/// The turn of one move of this member; dropping it ends it.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// Changes the weight of this member on the ring together with all others, after state was handed
/// over, within `limit`; then `settle` makes it what this member says of itself. When there is
/// nobody to plan with, or it cannot be planned, only that is done, and the others follow one after
/// the other.
///
/// It goes on when the future is dropped.
///
/// # Errors
///
/// When this member begins to stop, which changes its weight to nothing, or has stopped.
pub(crate) async fn change_weight(
    inner: &Arc<Inner>,
    turn: Turn,
    weight: u32,
    limit: Duration,
    settle: impl FnOnce(&mut OwnLabels) + Send + 'static,
) -> Result<(), SetLabelsError> {
    let mover = Arc::clone(inner);
    let moving = async move {
        let _turn = turn;
        move_to(&mover, weight, limit, settle).await
    };
    until_it_drains(inner, moving).await
}

/// Changes the weight of this member, as [`change_weight`], to the one that was asked for last when
/// its turn comes. Of several calls the first takes along what all others asked for until then.
///
/// # Errors
///
/// As [`change_weight`].
pub(crate) async fn change_to_asked_weight(
    inner: &Arc<Inner>,
    limit: Duration,
) -> Result<(), SetLabelsError> {
    let mover = Arc::clone(inner);
    let moving = async move {
        let _turn = mover.planner.turn().await;
        let Some(asked) = mover.labels.lock().await.asked_weight else { return Ok(()) };
        let settle = move |own: &mut OwnLabels| {
            own.weight = asked;
            // Another call may have asked for another one meanwhile, and has a turn of its own.
            if own.asked_weight == Some(asked) {
                own.asked_weight = None;
            }
        };
        move_to(&mover, asked.unwrap_or(1), limit, settle).await
    };
    until_it_drains(inner, moving).await
}

/// Runs a move in a task of its own, until this member begins to stop.
async fn until_it_drains(
    inner: &Arc<Inner>,
    moving: impl Future<Output = Result<(), SetLabelsError>> + Send + 'static,
) -> Result<(), SetLabelsError> {
    let inner = Arc::clone(inner);
    let moving = tokio::spawn(async move {
        tokio::select! {
            biased;
            () = inner.lifecycle.reached(State::Draining) => Err(SetLabelsError::Stopped),
            changed = moving => changed,
        }
    });
    moving.await.unwrap_or(Err(SetLabelsError::Stopped))
}

/// Moves in a turn that the caller has.
async fn move_to(
    inner: &Arc<Inner>,
    weight: u32,
    limit: Duration,
    settle: impl FnOnce(&mut OwnLabels) + Send,
) -> Result<(), SetLabelsError> {
    plan(inner, &inner.planner, &Aim { weight, successor: None }, limit).await;
    let settle = |own: &mut OwnLabels| {
        own.next = None;
        settle(own);
        Ok(())
    };
    inner.update_labels(settle).await
}

/// Takes this member off the ring together with all others, after its state was handed over, within
/// `limit`. It says so until it leaves, which has to follow, also when the future is dropped.
pub(crate) async fn off_ring(inner: &Arc<Inner>, limit: Duration) {
    let _turn = inner.planner.turn().await;
    let successor = hand_place_on(&**inner, &inner.planner, limit).await;
    plan(inner, &inner.planner, &Aim { weight: 0, successor }, limit).await;
}

/// What a member plans.
pub(super) struct Aim {
    pub(super) weight: u32,
    /// The member that takes its place over.
    pub(super) successor: Option<Address>,
}

/// How an attempt ended.
enum Attempt {
    Switched,
    /// The planned move of this member comes first.
    After(Address),
    /// Nobody answers or could own the keys, or the label has no room.
    Impossible,
}

/// Has all members that can be reached switch together.
pub(super) async fn plan<R: Reach>(
    reach: &Arc<R>,
    planner: &Arc<Planner>,
    aim: &Aim,
    limit: Duration,
) {
    let now = planner
        .views
        .with(|view| view.ring.node(planner.local.as_str()).map_or(0, |node| node.weight()));
    let others = planner.others();
    if now == aim.weight || others.is_empty() {
        return;
    }
    let deadline = Clock::now() + limit.min(planner.limit);
    let is_switched = switch(reach, planner, aim, others, deadline).await;
    let counts = &planner.counts;
    count(if is_switched { &counts.switched_together } else { &counts.switched_alone }, 1);
}

/// Whether all members that could be reached switch together.
async fn switch<R: Reach>(
    reach: &Arc<R>,
    planner: &Arc<Planner>,
    aim: &Aim,
    mut others: Vec<Address>,
    deadline: Clock,
) -> bool {
    while !others.is_empty() && others.len() <= MOVE_MEMBERS_MAX {
        match attempt(reach, planner, aim, others, deadline).await {
            Attempt::Switched => return true,
            Attempt::Impossible => return false,
            Attempt::After(first) => {
                tracing::debug!(member = %planner.local, %first, "another planned move comes first");
                if reach.say(None, None).await.is_none() {
                    return false;
                }
                // The other plan may not have come here yet: it is not asked for in a hurry.
                sleep(MOVE_RETRY_PAUSE.mul_f32(0.5 + fastrand::f32())).await;
                if !planner.is_over(&first, deadline).await {
                    return false;
                }
            }
        }
        others = planner.others();
    }
    false
}

async fn attempt<R: Reach>(
    reach: &Arc<R>,
    planner: &Arc<Planner>,
    aim: &Aim,
    others: Vec<Address>,
    deadline: Clock,
) -> Attempt {
    let weight = aim.weight;
    if weight == 0 && aim.successor.is_none() && !planner.has_others_on_ring() {
        // Nobody could take the keys over: those who asked at the same time have gone before.
        return Attempt::Impossible;
    }
    let say = async |plan| reach.say(Some(plan), aim.successor.as_ref()).await;
    let compared = planner.compare_all(reach, others).await;
    if compared.is_empty() {
        return Attempt::Impossible;
    }
    let Some(ping) = say(NextWeight { weight, at_ms: None }).await else {
        return Attempt::Impossible;
    };
    if let Some(first) = planner.all_ready(reach, &compared, &ping, deadline).await {
        return Attempt::After(first);
    }
    let slowest = compared.iter().map(|(_, trip)| trip.time_us()).max().unwrap_or(0);
    let slowest = Duration::from_micros(u64::try_from(slowest).unwrap_or(0));
    let lead = (SWITCH_LEAD_MIN + 2 * slowest).min(SWITCH_LEAD_MAX / 2);
    let at_us = planner.clocks.now_us().saturating_add(lead.as_micros().try_into().unwrap_or(0));
    // The label holds milliseconds: the next whole one.
    let at_ms = u64::try_from(at_us / 1000).unwrap_or(0) + 1;
    let Some(ping) = say(NextWeight { weight, at_ms: Some(at_ms) }).await else {
        return Attempt::Impossible;
    };
    let at = planner.clocks.when(at_ms);
    let told = timeout_at(at, planner.tell_all(reach, &compared, &ping)).await;
    if told.is_err() {
        tracing::debug!(member = %planner.local, "not all members were told of a switch in time");
    }
    sleep_until(at).await;
    Attempt::Switched
}

type Asked<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What came of announcing the plan to one member.
enum Answer {
    Ready,
    ComesFirst(Address),
}

impl Planner {
    /// Compares the clocks of others with that of this member; leaves out those that do not answer.
    async fn compare_all<R: Reach>(
        &self,
        reach: &Arc<R>,
        others: Vec<Address>,
    ) -> Vec<(Address, RoundTrip)> {
        let compare = async |other: Address| {
            let mut best: Option<RoundTrip> = None;
            // The first round trip opens the connection.
            for _ in 0..2 {
                let sent = self.clocks.now_us();
                let answer = reach.compare(&other).await?;
                let returned = self.clocks.now_us();
                let (received, answered) = (answer.received_us, answer.answered_us);
                let trip = RoundTrip { sent, received, answered, returned };
                let is_better = best.is_none_or(|best| trip.time_us() < best.time_us());
                best = if is_better { Some(trip) } else { best };
            }
            Some((other, best?))
        };
        let until = Clock::now() + ANNOUNCE_TIMEOUT;
        let comparing = futures_util::stream::iter(others)
            .map(|other| async { timeout_at(until, compare(other)).await.ok().flatten() })
            .buffer_unordered(ANNOUNCED_AT_ONCE_MAX);
        comparing.filter_map(std::future::ready).collect().await
    }

    /// Announces the plan, and waits until all are done with their part, at most until the
    /// deadline. Gives the member whose planned move comes first, if there is one.
    async fn all_ready<R: Reach>(
        self: &Arc<Self>,
        reach: &Arc<R>,
        compared: &[(Address, RoundTrip)],
        ping: &pb::Message,
        deadline: Clock,
    ) -> Option<Address> {
        let places = Arc::new(Semaphore::new(ANNOUNCED_AT_ONCE_MAX));
        let mut asked: FuturesUnordered<Asked<Answer>> = compared
            .iter()
            .map(|(other, trip)| {
                let request = request(ping, trip, deadline);
                let (reach, places) = (Arc::clone(reach), Arc::clone(&places));
                let asking = Arc::clone(self).ask(reach, other.clone(), request, places);
                Box::pin(async move { asking.await.unwrap_or(Answer::Ready) }) as Asked<Answer>
            })
            .collect();
        let view = self.views.load();
        let own = view.member(self.local.as_str());
        let limit = deadline.saturating_duration_since(Clock::now());
        if let Some(ready) = own.and_then(|own| self.begin(own, limit)) {
            asked.push(Box::pin(async move {
                let _done_or_failed = ready.await;
                Answer::Ready
            }));
        }
        let all = async {
            while let Some(answer) = asked.next().await {
                if let Answer::ComesFirst(first) = answer {
                    return Some(first);
                }
            }
            None
        };
        // The view is looked at first: nobody may come first when the last answer comes.
        let decided = async {
            tokio::select! {
                biased;
                first = self.overtaken(), if self.hook.is_some() => Some(first),
                first = all => first,
            }
        };
        timeout_at(deadline, decided).await.ok().flatten()
    }

    /// Waits until another member announces a move that comes before that of this one. Members that
    /// were asked before it did so have not named it.
    async fn overtaken(&self) -> Address {
        let mut published = self.views.published();
        loop {
            if let Some(first) = self.comes_first(&self.local) {
                return first;
            }
            if published.changed().await.is_err() {
                // The member has stopped: nothing changes any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Announces the plan to one member. `None` when it has no part in the move, or is gone.
    async fn ask<R: Reach>(
        self: Arc<Self>,
        reach: Arc<R>,
        other: Address,
        request: AnnounceRequest,
        places: Arc<Semaphore>,
    ) -> Option<Answer> {
        let place = places.acquire_owned().await.ok()?;
        let until = Clock::now() + ANNOUNCE_TIMEOUT;
        let mut answers = timeout_at(until, reach.announce(&other, request)).await.ok()??;
        let first = timeout_at(until, answers.next()).await.ok()??;
        drop(place);
        let AnnounceResponse { is_under_way, comes_first, .. } = first;
        if !comes_first.is_empty() {
            return Address::new(&comes_first).ok().map(Answer::ComesFirst);
        }
        if is_under_way {
            let is_gone = self.is_gone(&other);
            tokio::select! {
                last = answers.next() => {
                    let failure = last.map(|last| last.failure)?;
                    if !failure.is_empty() {
                        tracing::warn!(member = %self.local, %other, failure, "state does not move with its keys");
                    }
                }
                () = is_gone => {}
            }
        }
        Some(Answer::Ready)
    }

    /// Tells the agreed instant.
    async fn tell_all<R: Reach>(
        &self,
        reach: &Arc<R>,
        compared: &[(Address, RoundTrip)],
        ping: &pb::Message,
    ) {
        let tell = async |(other, trip): &(Address, RoundTrip)| {
            reach.announce(other, request(ping, trip, Clock::now())).await
        };
        let telling =
            futures_util::stream::iter(compared).map(tell).buffer_unordered(ANNOUNCED_AT_ONCE_MAX);
        telling.for_each(async |_told| {}).await;
    }

    /// Waits until a member is not alive any more.
    async fn is_gone(&self, other: &Address) {
        let mut published = self.views.published();
        let is_there = |member: Option<&Member>| member.is_some_and(Member::is_reachable);
        while self.views.with(|view| is_there(view.member(other.as_str()))) {
            if published.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until a member plans nothing any more; `false` when that takes until the deadline.
    async fn is_over(&self, first: &Address, deadline: Clock) -> bool {
        self.until(deadline, |view| {
            let member = view.member(first.as_str()).filter(|member| member.is_reachable());
            member.is_none_or(|member| NextWeight::of(&member.labels).is_none())
        })
        .await
    }
}

fn request(ping: &pb::Message, trip: &RoundTrip, deadline: Clock) -> AnnounceRequest {
    let limit = deadline.saturating_duration_since(Clock::now());
    AnnounceRequest {
        ping: Some(ping.clone()),
        limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        // This member is ahead of the other by as much as the other is behind.
        mover_ahead_us: trip.ahead_us().saturating_neg(),
    }
}
