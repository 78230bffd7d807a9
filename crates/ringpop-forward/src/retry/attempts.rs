//! The attempts of one forwarded call: ask an owner, and when that fails, do what the policy
//! decides.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode};
use tokio::time::{sleep, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use crate::body::{ReadAhead, Replay, ReplayBuffer, Reply};
use crate::hop::header::{strip_hop_by_hop, strip_unproven_length};
use crate::limits::IDEMPOTENT_HEADER;
use crate::observe::{ForwardEvent, RetriedAt};
use crate::resolver::{Owner, Peer};
use crate::retry::attempt::{Asked, Failure};
use crate::retry::hedged::{Asking, Next, Trail, untried};
use crate::retry::policy::{Decision, FailureClass, GiveUp, RetryContext, decide};
use crate::route::key::Key;
use crate::server::answer::{Protocol, is_grpc};
use crate::server::call::Call;
use crate::server::call::moved::until_moved;
use crate::server::deadline::exceeded;
use crate::server::explain::explain;
use crate::server::local::LocalCall;
use crate::server::ownership::Lost;
use crate::transport::PeerTransport;

/// Forwards a call, first to `owner`, and gives the response to the caller. `local` handles it when
/// an owner that it comes to is this process.
pub(crate) async fn forward<S, T>(
    call: Call<T>,
    key: Key,
    owner: Option<Owner>,
    buffer: ReplayBuffer,
    local: S,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    T: PeerTransport,
{
    let (deadline, protocol) = (call.deadline, call.protocol);
    let (shared, route) = (Arc::clone(&call.shared), Arc::clone(&call.route));
    let attempts = Attempts::new(call, key, owner).run(buffer, local);
    let Some(deadline) = deadline else {
        return attempts.await;
    };
    // Dropping the attempts is what cancels the one in progress.
    timeout_at(deadline.answer_at, attempts).await.unwrap_or_else(|_| {
        shared.counters.deadlines_exceeded.add_one();
        let method = route.method();
        shared.record(
            &shared.counters.failed,
            ForwardEvent::Failed { method, attempts: 0, exhausted: false },
        );
        Ok(crate::server::answer::answer(exceeded(), protocol))
    })
}

/// Waits until the key of a call is lost, if the call is to end with that.
async fn when_lost(lost: &mut Option<Lost>) -> Option<Owner> {
    match lost {
        Some(lost) => lost.await,
        None => std::future::pending().await,
    }
}

/// Where the attempts of one call stand.
struct Attempts<T> {
    call: Call<T>,
    key: Key,
    /// The owner to ask next.
    next: Option<Next>,
    trail: Trail,
    waits: u32,
    idempotent: bool,
}

impl<T: PeerTransport> Attempts<T> {
    fn new(call: Call<T>, key: Key, owner: Option<Owner>) -> Self {
        let idempotent = call.route.idempotent || call.head.headers.contains_key(IDEMPOTENT_HEADER);
        let next = owner.map(Next::first);
        Self { call, key, next, trail: Trail::new(), waits: 0, idempotent }
    }

    async fn run<S>(
        mut self,
        mut buffer: ReplayBuffer,
        local: S,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        if self.call.route.unary {
            // One write for the head and the message, and no task that feeds it.
            let limit = self.call.shared.settings.first_message_timeout;
            match tokio::time::timeout(limit, std::future::poll_fn(|cx| buffer.poll_collect(cx)))
                .await
            {
                Ok(Ok(())) => {}
                Ok(Err(status)) => return Ok(self.call.answer_broken(status)),
                Err(_) => return Ok(self.call.answer_late()),
            }
        }
        let replay = Replay::new(buffer);
        strip_hop_by_hop(&mut self.call.head.headers);
        if self.call.protocol.is_grpc() || !self.call.is_received() {
            strip_unproven_length(&mut self.call.head.headers);
        }
        self.go_past_doubt();
        loop {
            if self.call.has_expired() {
                // Nothing is sent that nobody waits for. The timer around this answers.
                return std::future::pending().await;
            }
            let failure = match self.next.take() {
                Some(Next { owner: Owner::Local, .. }) => {
                    return self.handle_here(&replay, local).await;
                }
                Some(Next { owner: Owner::Remote(peer), chosen_among }) => {
                    match self.ask(peer, chosen_among, &replay).await {
                        Ok(response) => return Ok(self.finish(response, &replay)),
                        Err(failure) => failure,
                    }
                }
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

    /// Puts another owner in the place of the first one when that is in doubt: nothing was sent
    /// yet.
    fn go_past_doubt(&mut self) {
        let shared = &self.call.shared;
        let Some(Next { owner: Owner::Remote(peer), .. }) = &self.next else { return };
        if !self.call.policy().walks() || !shared.peers.avoids(peer) {
            return;
        }
        let other = untried(&self.call, &self.key, &self.trail, false);
        if let Some(other) = other.filter(|other| other.owner != Owner::Remote(Arc::clone(peer))) {
            shared.counters.doubtful_skips.add_one();
            self.next = Some(other);
        }
    }

    /// Asks `peer`, and others beside it when that is called for.
    async fn ask(
        &mut self,
        peer: Arc<Peer>,
        chosen_among: usize,
        replay: &Replay,
    ) -> Asked<T::Body> {
        let Self { call, key, trail, idempotent, .. } = self;
        let mut asking = Asking { call, key, trail, replay, idempotent: *idempotent };
        let (peer, asked) = asking.ask(peer, chosen_among).await;
        asking.note(&peer, &asked);
        self.trail.last = Some(peer);
        asked
    }

    /// Prepares the next attempt. Gives the failure back if there is none, with the reason.
    async fn go_on(
        &mut self,
        failure: Failure<T::Body>,
        replay: &Replay,
    ) -> Option<(Failure<T::Body>, GiveUp)> {
        let epoch = self.call.resolver().epoch();
        let class = failure.class();
        let untried = self.untried();
        let situation = RetryContext {
            class,
            idempotent: self.idempotent,
            replayable: replay.is_replayable(),
            attempts: self.trail.counted,
            waits: self.waits,
            untried: untried.is_some(),
            remaining: self.call.deadline.map(|deadline| deadline.remaining()),
            affordable: self.affords(class),
            pushback: failure.pushback(),
            jitter: fastrand::f64(),
        };
        let decision = decide(self.call.policy(), &situation);
        tracing::debug!(?class, ?decision, attempts = self.trail.made, "attempt failed");
        if class != FailureClass::NeverSent || decision != Decision::NextOwner {
            self.trail.counted += 1;
        }
        let wait = match decision {
            Decision::GiveUp(reason) => {
                self.count_give_up(class, reason);
                return Some((failure, reason));
            }
            Decision::NextOwner => None,
            Decision::Wait(wait) => Some(wait),
        };
        // With a failed response goes what it still holds: its stream, and its hold on the request
        // body.
        drop(failure);
        self.next = match wait {
            None => untried,
            Some(wait) => {
                self.waits += 1;
                if !wait.is_zero() {
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = self.call.resolver().changed(epoch) => {}
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
        let budgets = &self.call.shared.budgets;
        match &self.trail.last {
            Some(peer) if self.idempotent && class.may_be_executed() => budgets.on_failure(peer),
            _ => true,
        }
    }

    /// The first owner that was not asked yet.
    fn untried(&self) -> Option<Next> {
        untried(&self.call, &self.key, &self.trail, false)
    }

    /// Begins again with the first owner.
    fn new_round(&mut self) -> Option<Next> {
        self.trail.begin_round();
        self.untried()
    }

    fn count_give_up(&self, class: FailureClass, why: GiveUp) {
        let shared = &self.call.shared;
        let counters = &shared.counters;
        let event = ForwardEvent::NotRetried { class, reason: why.token() };
        let counter = match why {
            GiveUp::Caller => &counters.broken_requests,
            GiveUp::Overloaded => &counters.not_retried_overloaded,
            GiveUp::NotReplayable => &counters.not_retried_not_replayable,
            GiveUp::MaybeExecuted => &counters.not_retried_maybe_executed,
            GiveUp::BudgetSpent => &counters.not_retried_budget_spent,
            GiveUp::PushedBack => &counters.not_retried_pushed_back,
            GiveUp::AttemptsSpent => &counters.not_retried_attempts_spent,
            GiveUp::NoTimeLeft => &counters.not_retried_no_time_left,
            // Answered, which is counted as such.
            GiveUp::Committed => return shared.tell(event),
        };
        shared.record(counter, event);
    }

    fn count_retry(&self, class: FailureClass) {
        let counters = &self.call.shared.counters;
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
        let to = match (self.next.as_ref().map(|next| &next.owner), last) {
            (None, _) => RetriedAt::Nowhere,
            (Some(Owner::Local), _) => RetriedAt::Here,
            (Some(Owner::Remote(next)), Some(last)) if next == last => RetriedAt::SameOwner,
            (Some(Owner::Remote(_)), _) => RetriedAt::OtherOwner,
        };
        if last.is_some() && matches!(to, RetriedAt::Here | RetriedAt::OtherOwner) {
            counters.rerouted.add_one();
        }
        self.call.shared.tell(ForwardEvent::Retried { class, to });
    }

    /// Handles the call in this process: it became an owner, or it is the next one.
    async fn handle_here<S>(self, replay: &Replay, local: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        self.call.count_here();
        let mut call = self.call;
        let lost = call.follow_here();
        let head = std::mem::replace(&mut call.head, Request::new(()).into_parts().0);
        let request = Request::from_parts(head, Body::new(replay.attempt()));
        replay.commit();
        let (local, mut lost) = (LocalCall::new(local, request), lost);
        tokio::select! {
            biased;
            answered = local => answered.map(|response| call.finish_here(response, lost)),
            owner = when_lost(&mut lost) => Ok(call.answer_moved(owner.as_ref())),
        }
    }

    /// Completes a response that is given to the caller.
    fn finish(
        mut self,
        mut response: Response<ReadAhead<T::Body>>,
        replay: &Replay,
    ) -> Response<Body> {
        replay.commit();
        let hops = self.call.via.hops_on_arrival();
        let lost = self.trail.last.clone().and_then(|peer| self.call.follow_at(peer));
        let Call { shared, route, deadline, ticket, explain: wants_explanation, .. } = self.call;
        let (method, attempts) = (route.method(), self.trail.made);
        shared.record(&shared.counters.forwarded, ForwardEvent::Forwarded { method, attempts });
        if let Some(peer) = &self.trail.last {
            shared.budgets.on_answer(peer);
        }
        if wants_explanation
            && let Some(peer) = &self.trail.last
            && let Ok(address) = HeaderValue::from_str(peer.address())
        {
            explain(&mut response, address, hops);
        }
        let is_grpc = is_grpc(response.headers());
        let status_in_head = response.headers().contains_key(Status::GRPC_STATUS);
        let response = response.map(|body| {
            let shared = Arc::clone(&shared);
            Body::new(Reply::new(body, shared, deadline, is_grpc, status_in_head, ticket))
        });
        until_moved(response, lost, shared)
    }

    /// Answers with the last failure. A peer that answered is quoted word for word.
    fn give_up(self, failure: Failure<T::Body>, why: GiveUp, replay: &Replay) -> Response<Body> {
        let is_unusable = failure.class() == FailureClass::Committed;
        let status = match failure {
            Failure::Answered(_, response) => return self.finish(response, replay),
            Failure::Send(error) => match &self.trail.last {
                Some(peer) => error.into_status(peer, why.reason()),
                None => Status::unavailable(error.to_string()),
            },
            Failure::NoOwner => {
                let cause = self.call.resolver().why_nobody();
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                let reason = why.reason();
                Status::unavailable(format!("no owner is known for the key{cause}; {reason}"))
            }
        };
        let shared = &self.call.shared;
        let (method, exhausted) = (self.call.route.method(), why == GiveUp::AttemptsSpent);
        shared.record(
            &shared.counters.failed,
            ForwardEvent::Failed { method, attempts: self.trail.made, exhausted },
        );
        let mut response = self.call.answer(status);
        if is_unusable && self.call.protocol == Protocol::Http {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        response
    }
}
