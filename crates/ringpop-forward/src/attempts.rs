//! The attempts of one forwarded call: ask an owner, and when that fails, do what the policy decides.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use smallvec::SmallVec;
use tokio::time::{sleep, timeout, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use crate::answer::is_grpc;
use crate::attempt::{Asked, Failure, ask, outcome};
use crate::body::{Early, Intake, Replay, Reply};
use crate::call::Call;
use crate::constants::IDEMPOTENT_HEADER;
use crate::deadline::exceeded;
use crate::explain::explain;
use crate::header::{strip_hop_by_hop, strip_unproven_length};
use crate::hedge::{Beginning, Side, hedge_after, race};
use crate::key::Key;
use crate::local::LocalCall;
use crate::observe::{ForwardEvent, RetriedAt};
use crate::policy::{AttemptOutcome, Decision, FailureClass, GiveUp, Situation, decide};
use crate::resolver::{Owner, Peer};
use crate::transport::PeerTransport;

/// Forwards a call, first to `owner`, and gives the response to the caller. `local` handles it when an owner that it
/// comes to is this process.
pub(crate) async fn forward<S, T>(
    call: Call<T>,
    key: Key,
    owner: Option<Owner>,
    intake: Intake,
    local: S,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    T: PeerTransport,
{
    let (deadline, protocol) = (call.deadline, call.protocol);
    let (engine, route) = (Arc::clone(&call.engine), Arc::clone(&call.route));
    let attempts = Attempts::new(call, key, owner).run(intake, local);
    let Some(deadline) = deadline else {
        return attempts.await;
    };
    // Dropping the attempts is what cancels the one in progress.
    timeout_at(deadline.answer_at, attempts).await.unwrap_or_else(|_| {
        engine.counters.failed.add_one();
        engine.counters.deadlines_exceeded.add_one();
        let method = route.method();
        engine.tell(ForwardEvent::Failed { method, attempts: 0, exhausted: false });
        Ok(crate::answer::answer(exceeded(), protocol))
    })
}

/// Where the attempts of one call stand.
struct Attempts<T> {
    call: Call<T>,
    key: Key,
    /// The owner to ask next.
    next: Option<Owner>,
    trail: Trail,
    waits: u32,
    idempotent: bool,
}

/// Who was asked.
#[derive(Default)]
struct Trail {
    /// Owners asked in this round.
    tried: SmallVec<[Arc<Peer>; 3]>,
    /// The owner whose answer, or failure, counted last.
    last: Option<Arc<Peer>>,
    /// Attempts made, in all rounds.
    made: u32,
    /// Owners that failed, in all rounds.
    failed: SmallVec<[Arc<Peer>; 3]>,
}

impl Trail {
    fn begin(&mut self, peer: &Arc<Peer>) {
        self.tried.push(Arc::clone(peer));
        self.made += 1;
    }

    /// Takes note that `peer` has failed, and says whether it had not before.
    fn fails_first_time(&mut self, peer: &Arc<Peer>) -> bool {
        let is_first = !self.failed.contains(peer);
        if is_first {
            self.failed.push(Arc::clone(peer));
        }
        is_first
    }

    fn was_tried(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Local => false,
            Owner::Remote(peer) => self.tried.contains(peer),
        }
    }
}

impl<T: PeerTransport> Attempts<T> {
    fn new(call: Call<T>, key: Key, next: Option<Owner>) -> Self {
        let idempotent = call.route.idempotent || call.head.headers.contains_key(IDEMPOTENT_HEADER);
        Self { call, key, next, trail: Trail::default(), waits: 0, idempotent }
    }

    async fn run<S>(mut self, mut intake: Intake, local: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        if self.call.route.unary {
            // One write for the head and the message, and no task that feeds it.
            if let Err(status) = std::future::poll_fn(|cx| intake.poll_collect(cx)).await {
                return Ok(self.call.answer_broken(status));
            }
        }
        let replay = Replay::new(intake);
        strip_hop_by_hop(&mut self.call.head.headers);
        if self.call.protocol.is_grpc() || !self.call.is_received() {
            strip_unproven_length(&mut self.call.head.headers);
        }
        loop {
            if self.call.has_expired() {
                // Nothing is sent that nobody waits for. The timer around this answers.
                return std::future::pending().await;
            }
            let failure = match self.next.take() {
                Some(Owner::Local) => return self.handle_here(&replay, local).await,
                Some(Owner::Remote(peer)) => match self.ask(peer, &replay).await {
                    Ok(response) => return Ok(self.finish(response, &replay)),
                    Err(failure) => failure,
                },
                None => {
                    self.trail.made += 1;
                    Failure::NoOwner
                }
            };
            if let Some((failure, why)) = self.go_on(failure, &replay).await {
                return Ok(self.give_up(failure, why, &replay));
            }
        }
    }

    /// Asks `peer`, and another owner beside it if the policy wants that.
    async fn ask(&mut self, peer: Arc<Peer>, replay: &Replay) -> Asked<T::Body> {
        self.trail.begin(&peer);
        let (peer, asked) = match self.hedge_after(replay) {
            None => {
                let asked = ask(&self.call, &peer, self.trail.made, replay).await;
                (peer, asked)
            }
            // In a box, so that calls that are not hedged need no room for a second attempt.
            Some(delay) => Box::pin(self.ask_hedged(peer, delay, replay)).await,
        };
        report(&self.call, &self.key, &mut self.trail, &peer, &asked);
        self.trail.last = Some(peer);
        asked
    }

    fn hedge_after(&self, replay: &Replay) -> Option<Duration> {
        let policy = &self.call.engine.settings.policy;
        // Asked for first: whoever wants no hedges pays for none of the rest.
        policy.hedge()?;
        let now = Beginning {
            unary: self.call.route.unary,
            idempotent: self.idempotent,
            begins_here: self.call.travel.hops == 0,
            whole: replay.is_whole(),
            attempts: self.trail.made,
            remaining: self.call.deadline.map(|deadline| deadline.remaining()),
        };
        hedge_after(policy, &now)
    }

    /// Asks `peer`, and when it has not answered after `delay`, the next owner too. Gives the first answer, or else the
    /// failure that came last, and whose it is.
    async fn ask_hedged(
        &mut self,
        peer: Arc<Peer>,
        delay: Duration,
        replay: &Replay,
    ) -> (Arc<Peer>, Asked<T::Body>) {
        let Self { call, key, trail, .. } = self;
        let call = &*call;
        let engine = &call.engine;
        let mut first = pin!(ask(call, &peer, trail.made, replay));
        if let Ok(asked) = timeout(delay, first.as_mut()).await {
            return (Arc::clone(&peer), asked);
        }
        let is_candidate =
            |owner: &Owner| matches!(owner, Owner::Remote(_)) && !trail.was_tried(owner);
        let Some(Owner::Remote(beside)) = call.owners(key).into_iter().find(is_candidate) else {
            return (Arc::clone(&peer), first.await);
        };
        if !engine.budgets.spend(&peer) {
            engine.counters.hedges_unaffordable.add_one();
            return (Arc::clone(&peer), first.await);
        }
        engine.counters.hedges.add_one();
        engine.tell(ForwardEvent::Hedged { method: call.route.method() });
        trail.begin(&beside);
        let second = ask(call, &beside, trail.made, replay);
        let raced = race(first, second).await;
        let (peer, other) = match raced.side {
            Side::First => (&peer, &beside),
            Side::Second => (&beside, &peer),
        };
        if let Some(failure) = raced.other {
            report(call, key, trail, other, &Err(failure));
        }
        if raced.result.is_ok() && raced.side == Side::Second {
            engine.counters.hedges_won.add_one();
            engine.tell(ForwardEvent::HedgeWon { method: call.route.method() });
        }
        (Arc::clone(peer), raced.result)
    }

    /// Prepares the next attempt. Gives the failure back if there is none, with the reason.
    async fn go_on(
        &mut self,
        failure: Failure<T::Body>,
        replay: &Replay,
    ) -> Option<(Failure<T::Body>, GiveUp)> {
        let engine = Arc::clone(&self.call.engine);
        let epoch = engine.resolver.epoch();
        let class = failure.class();
        let untried = self.untried();
        let situation = Situation {
            class,
            idempotent: self.idempotent,
            replayable: replay.is_replayable(),
            attempts: self.trail.made,
            waits: self.waits,
            untried: untried.is_some(),
            remaining: self.call.deadline.map(|deadline| deadline.remaining()),
            affordable: self.affords(class),
            pushback: failure.pushback(),
            jitter: fastrand::f64(),
        };
        let decision = decide(&engine.settings.policy, &situation);
        tracing::debug!(?class, ?decision, attempts = self.trail.made, "attempt failed");
        let wait = match decision {
            Decision::GiveUp(reason) => {
                self.count_give_up(class, reason);
                return Some((failure, reason));
            }
            Decision::NextOwner => None,
            Decision::Wait(wait) => Some(wait),
        };
        // With a failed response goes what it still holds: its stream, and its hold on the request body.
        drop(failure);
        self.next = match wait {
            None => untried,
            Some(wait) => {
                self.waits += 1;
                if !wait.is_zero() {
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = engine.resolver.changed(epoch) => {}
                    }
                }
                self.untried().or_else(|| self.new_round())
            }
        };
        self.count_retry(class);
        None
    }

    /// Pays for an attempt that may have been executed and could be tried again.
    fn affords(&self, class: FailureClass) -> bool {
        let budgets = &self.call.engine.budgets;
        match &self.trail.last {
            Some(peer) if self.idempotent && class.may_be_executed() => budgets.on_failure(peer),
            _ => true,
        }
    }

    /// The first owner that was not asked yet, looked up now.
    fn untried(&self) -> Option<Owner> {
        let owners = self.call.owners(&self.key);
        owners.into_iter().find(|owner| !self.trail.was_tried(owner))
    }

    /// Begins again with the first owner.
    fn new_round(&mut self) -> Option<Owner> {
        self.trail.tried.clear();
        self.untried()
    }

    fn count_give_up(&self, class: FailureClass, why: GiveUp) {
        let counters = &self.call.engine.counters;
        match why {
            GiveUp::Caller => counters.broken_requests.add_one(),
            GiveUp::Overloaded => counters.not_retried_overloaded.add_one(),
            GiveUp::NotReplayable => counters.not_retried_not_replayable.add_one(),
            GiveUp::MaybeExecuted => counters.not_retried_maybe_executed.add_one(),
            GiveUp::BudgetSpent => counters.not_retried_budget_spent.add_one(),
            GiveUp::PushedBack => counters.not_retried_pushed_back.add_one(),
            GiveUp::AttemptsSpent => counters.not_retried_attempts_spent.add_one(),
            GiveUp::NoTimeLeft => counters.not_retried_no_time_left.add_one(),
            // Answered, which is counted as such.
            GiveUp::Committed => {}
        }
        self.call.engine.tell(ForwardEvent::NotRetried { class, reason: why.token() });
    }

    fn count_retry(&self, class: FailureClass) {
        let counters = &self.call.engine.counters;
        match class {
            FailureClass::NeverSent => counters.retries_never_sent.add_one(),
            FailureClass::Refused => counters.retries_refused.add_one(),
            FailureClass::Unavailable | FailureClass::HttpError => {
                counters.retries_unavailable.add_one();
            }
            FailureClass::Ambiguous => counters.retries_ambiguous.add_one(),
            FailureClass::Unanswered => counters.retries_unanswered.add_one(),
            // Not sent again, by the table.
            FailureClass::Overloaded | FailureClass::Committed | FailureClass::Caller => {}
        }
        let last = &self.trail.last;
        let to = match (&self.next, last) {
            (None, _) => RetriedAt::Nowhere,
            (Some(Owner::Local), _) => RetriedAt::Here,
            (Some(Owner::Remote(next)), Some(last)) if next == last => RetriedAt::SameOwner,
            (Some(Owner::Remote(_)), _) => RetriedAt::OtherOwner,
        };
        if last.is_some() && matches!(to, RetriedAt::Here | RetriedAt::OtherOwner) {
            counters.rerouted.add_one();
        }
        self.call.engine.tell(ForwardEvent::Retried { class, to });
    }

    /// Handles the call in this process: it became an owner, or it is the next one.
    async fn handle_here<S>(self, replay: &Replay, local: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        self.call.count_here();
        let mut call = self.call;
        let head = std::mem::replace(&mut call.head, Request::new(()).into_parts().0);
        let request = Request::from_parts(head, Body::new(replay.attempt()));
        replay.commit();
        LocalCall::new(local, request).await.map(|response| call.finish_here(response))
    }

    /// Completes a response that is given to the caller.
    fn finish(self, mut response: Response<Early<T::Body>>, replay: &Replay) -> Response<Body> {
        replay.commit();
        let hops = self.call.travel.hops_on_arrival();
        let Call { engine, route, deadline, ticket, explain: wants_explanation, .. } = self.call;
        engine.counters.forwarded.add_one();
        let (method, attempts) = (route.method(), self.trail.made);
        engine.tell(ForwardEvent::Forwarded { method, attempts });
        if let Some(peer) = &self.trail.last {
            engine.budgets.on_answer(peer);
        }
        if wants_explanation
            && let Some(peer) = &self.trail.last
            && let Ok(address) = HeaderValue::from_str(peer.address())
        {
            explain(&mut response, address, hops);
        }
        let is_grpc = is_grpc(response.headers());
        let status_in_head = response.headers().contains_key(Status::GRPC_STATUS);
        response.map(|body| {
            Body::new(Reply::new(body, engine, deadline, is_grpc, status_in_head, ticket))
        })
    }

    /// Answers with the last failure. A peer that answered is quoted word for word.
    fn give_up(self, failure: Failure<T::Body>, why: GiveUp, replay: &Replay) -> Response<Body> {
        let status = match failure {
            Failure::Answered(_, response) => return self.finish(response, replay),
            Failure::Send(error) => match &self.trail.last {
                Some(peer) => error.into_status(peer, why.reason()),
                None => Status::unavailable(error.to_string()),
            },
            Failure::NoOwner => {
                Status::unavailable(format!("no owner is known for the key; {}", why.reason()))
            }
        };
        let engine = &self.call.engine;
        engine.counters.failed.add_one();
        let (method, exhausted) = (self.call.route.method(), why == GiveUp::AttemptsSpent);
        engine.tell(ForwardEvent::Failed { method, attempts: self.trail.made, exhausted });
        self.call.answer(status)
    }
}

/// Tells the resolver how an attempt ended, unless it says nothing about the peer. Attempts at one peer that one call has
/// made in vain are one failure.
fn report<T: PeerTransport>(
    call: &Call<T>,
    key: &Key,
    trail: &mut Trail,
    peer: &Arc<Peer>,
    asked: &Asked<T::Body>,
) {
    let Some(outcome) = outcome(asked) else { return };
    if matches!(outcome, AttemptOutcome::Failed(_)) && !trail.fails_first_time(peer) {
        return;
    }
    call.engine.resolver.report_attempt(key.as_bytes(), peer, outcome);
}
