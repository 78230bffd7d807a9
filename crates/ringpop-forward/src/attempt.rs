//! The attempts of one forwarded call: ask an owner, and when that fails, do what the policy decides.

use std::sync::Arc;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use smallvec::SmallVec;
use tokio::time::{sleep, timeout, timeout_at};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service;

use crate::answer::is_grpc;
use crate::arrival::Disagreement;
use crate::body::{Early, Intake, Replay, Reply};
use crate::call::Call;
use crate::constants::{
    EXPLAIN_HEADER, GRPC_ATTEMPTS_HEADER, HOP_HEADER, IDEMPOTENT_HEADER, REFUSED_HEADER,
};
use crate::deadline::exceeded;
use crate::explain::explain;
use crate::header::strip_hop_by_hop;
use crate::key::Key;
use crate::policy::{AttemptOutcome, Decision, FailureClass, GiveUp, Pushback, Situation, decide};
use crate::resolver::{Owner, Peer};
use crate::transport::{Class, PeerRequest, PeerTransport, SendError};

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
    let (deadline, is_grpc, engine) = (call.deadline, call.is_grpc, Arc::clone(&call.engine));
    let attempts = Attempts::new(call, key, owner).run(intake, local);
    let Some(deadline) = deadline else {
        return attempts.await;
    };
    // Dropping the attempts is what cancels the one in progress.
    timeout_at(deadline.answer_at, attempts).await.unwrap_or_else(|_| {
        engine.counters.failed.add_one();
        Ok(crate::answer::answer(exceeded(), is_grpc))
    })
}

/// Where the attempts of one call stand.
struct Attempts<T> {
    call: Call<T>,
    key: Key,
    /// The owner to ask next.
    next: Option<Owner>,
    /// Owners asked in this round.
    tried: SmallVec<[Arc<Peer>; 3]>,
    /// The owner asked last in the round before.
    last: Option<Arc<Peer>>,
    made: u32,
    waits: u32,
    idempotent: bool,
}

/// An attempt without a response for the caller.
enum Failure<B> {
    NoOwner,
    Send(SendError),
    /// A response that says that the call was not executed, or that it failed and may be tried elsewhere.
    Answered(FailureClass, Response<Early<B>>),
}

impl<B> Failure<B> {
    fn class(&self) -> FailureClass {
        match self {
            Self::NoOwner => FailureClass::NeverSent,
            Self::Send(error) => error.class(),
            Self::Answered(class, _) => *class,
        }
    }

    /// What the server says about being asked again.
    fn pushback(&self) -> Option<Pushback> {
        match self {
            Self::Answered(_, response) => response
                .body()
                .trailers()
                .and_then(Pushback::from_headers)
                .or_else(|| Pushback::from_headers(response.headers())),
            Self::NoOwner | Self::Send(_) => None,
        }
    }
}

impl<T: PeerTransport> Attempts<T> {
    fn new(call: Call<T>, key: Key, next: Option<Owner>) -> Self {
        let idempotent = call.route.idempotent || call.head.headers.contains_key(IDEMPOTENT_HEADER);
        Self { call, key, next, tried: SmallVec::new(), last: None, made: 0, waits: 0, idempotent }
    }

    async fn run<S>(mut self, mut intake: Intake, local: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        if self.call.route.unary {
            // One write for the head and the message, and no task that feeds it.
            if let Err(status) = std::future::poll_fn(|cx| intake.poll_collect(cx)).await {
                return Ok(self.call.answer(status));
            }
        }
        let replay = Replay::new(intake);
        strip_hop_by_hop(&mut self.call.head.headers, self.call.head.version);
        loop {
            let failure = match self.next.take() {
                Some(Owner::Local) => return self.handle_here(&replay, local).await,
                Some(Owner::Remote(peer)) => {
                    let asked = self.ask(&peer, &replay).await;
                    self.report(&peer, &asked);
                    match asked {
                        Ok(response) => return Ok(self.finish(response, &replay)),
                        Err(failure) => failure,
                    }
                }
                None => Failure::NoOwner,
            };
            self.made += 1;
            if let Some((failure, why)) = self.go_on(failure, &replay).await {
                return Ok(self.give_up(failure, why, &replay));
            }
        }
    }

    /// Sends the request once.
    async fn ask(
        &mut self,
        peer: &Arc<Peer>,
        replay: &Replay,
    ) -> Result<Response<Early<T::Body>>, Failure<T::Body>> {
        self.tried.push(Arc::clone(peer));
        let is_unary = self.call.route.unary;
        let class = if is_unary { Class::Unary } else { Class::Stream };
        let request = PeerRequest { head: self.head_for(peer), body: replay.attempt(), class };
        let answered = async {
            let response = self.call.engine.transport.send(peer, request).await?;
            if is_unary { Ok(Early::read(response).await) } else { Ok(Early::unread(response)) }
        };
        let response = match self.call.engine.settings.policy.attempt_limit() {
            None => answered.await,
            Some(limit) => timeout(limit, answered).await.unwrap_or_else(|_| {
                self.call.engine.transport.unanswered(peer);
                Err(SendError::unanswered(limit))
            }),
        };
        let response = response.map_err(Failure::Send)?;
        match failure_in(&response) {
            // Whoever began the journey looks again. If every member on the way did, attempts would multiply.
            Some(_) if self.call.travel.hops > 0 && is_disagreement(response.headers()) => {
                Ok(response)
            }
            Some(class) => Err(Failure::Answered(class, response)),
            None => Ok(response),
        }
    }

    /// Tells the resolver how an attempt ended, unless it says nothing about the peer.
    fn report(&self, peer: &Peer, asked: &Result<Response<Early<T::Body>>, Failure<T::Body>>) {
        let outcome = match asked.as_ref().map_err(Failure::class) {
            Ok(_) => AttemptOutcome::Answered,
            Err(FailureClass::Caller) => return,
            Err(class) => AttemptOutcome::Failed(class),
        };
        self.call.engine.resolver.report(peer, outcome);
    }

    /// The head of the request as `peer` gets it.
    fn head_for(&self, peer: &Peer) -> Request<()> {
        let from = &self.call.head;
        let path = from.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(peer.authority().clone())
            .path_and_query(path);
        let mut head = Request::new(());
        *head.method_mut() = from.method.clone();
        *head.uri_mut() = uri.build().expect("a scheme, an authority and a path are a URI");
        *head.version_mut() = Version::HTTP_2;
        let headers = head.headers_mut();
        headers.clone_from(&from.headers);
        headers.insert(HOP_HEADER, self.call.hop_header(self.made == 0));
        if let Some(deadline) = self.call.deadline {
            deadline.write(headers);
        }
        if self.call.explain {
            // Whoever handles the request knows best, whatever its own setting is.
            headers.insert(EXPLAIN_HEADER, HeaderValue::from_static("1"));
        }
        if self.made > 0 {
            headers.insert(GRPC_ATTEMPTS_HEADER, HeaderValue::from(self.made));
        }
        head
    }

    /// How often the request has been forwarded when it arrives.
    fn hops(&self) -> u8 {
        self.call.travel.hops.saturating_add(1)
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
            attempts: self.made,
            waits: self.waits,
            untried: untried.is_some(),
            remaining: self.call.deadline.map(|deadline| deadline.remaining()),
            affordable: self.affords(class),
            pushback: failure.pushback(),
            jitter: fastrand::f64(),
        };
        let decision = decide(&engine.settings.policy, &situation);
        tracing::debug!(?class, ?decision, attempts = self.made, "attempt failed");
        let wait = match decision {
            Decision::GiveUp(reason) => return Some((failure, reason)),
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
        match self.tried.last() {
            Some(peer) if self.idempotent && class.may_be_executed() => budgets.on_failure(peer),
            _ => true,
        }
    }

    /// The first owner that was not asked yet, looked up now.
    fn untried(&self) -> Option<Owner> {
        let was_tried = |owner: &Owner| match owner {
            Owner::Local => false,
            Owner::Remote(peer) => self.tried.contains(peer),
        };
        self.call.owners(&self.key).into_iter().find(|owner| !was_tried(owner))
    }

    /// Begins again with the first owner.
    fn new_round(&mut self) -> Option<Owner> {
        // The owner asked last stays known, to tell whether the next attempt goes elsewhere.
        self.last = self.tried.pop();
        self.tried.clear();
        self.untried()
    }

    fn count_retry(&self, class: FailureClass) {
        let counters = &self.call.engine.counters;
        match class {
            FailureClass::NeverSent => counters.retries_never_sent.add_one(),
            FailureClass::Refused => counters.retries_refused.add_one(),
            FailureClass::Unavailable => counters.retries_unavailable.add_one(),
            FailureClass::Ambiguous => counters.retries_ambiguous.add_one(),
            FailureClass::Unanswered => counters.retries_unanswered.add_one(),
            // Not sent again, by the table.
            FailureClass::Overloaded | FailureClass::Committed | FailureClass::Caller => {}
        }
        let last = self.tried.last().or(self.last.as_ref());
        let goes_elsewhere = match (&self.next, last) {
            (Some(Owner::Remote(next)), Some(last)) => next != last,
            (Some(Owner::Local), Some(_)) => true,
            _ => false,
        };
        if goes_elsewhere {
            counters.rerouted.add_one();
        }
    }

    /// Handles the call in this process: it became an owner, or it is the next one.
    async fn handle_here<S>(self, replay: &Replay, mut local: S) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        self.call.engine.counters.local.add_one();
        let mut call = self.call;
        let head = std::mem::replace(&mut call.head, Request::new(()).into_parts().0);
        let request = Request::from_parts(head, Body::new(replay.attempt()));
        replay.commit();
        local.call(request).await.map(|response| call.finish_here(response))
    }

    /// Completes a response that is given to the caller.
    fn finish(self, mut response: Response<Early<T::Body>>, replay: &Replay) -> Response<Body> {
        replay.commit();
        let hops = self.hops();
        let Call { engine, deadline, ticket, explain: wants_explanation, .. } = self.call;
        engine.counters.forwarded.add_one();
        if let Some(peer) = self.tried.last() {
            engine.budgets.on_answer(peer);
        }
        if wants_explanation
            && let Some(peer) = self.tried.last()
            && let Ok(address) = HeaderValue::from_str(peer.address())
        {
            explain(&mut response, address, hops);
        }
        let is_grpc = is_grpc(response.headers());
        let status_in_head = response.headers().contains_key(Status::GRPC_STATUS);
        response.map(|body| Body::new(Reply::new(body, deadline, is_grpc, status_in_head, ticket)))
    }

    /// Answers with the last failure. A peer that answered is quoted word for word.
    fn give_up(self, failure: Failure<T::Body>, why: GiveUp, replay: &Replay) -> Response<Body> {
        let status = match failure {
            Failure::Answered(_, response) => return self.finish(response, replay),
            Failure::Send(error) => match self.tried.last() {
                Some(peer) => error.into_status(peer, why.reason()),
                None => Status::unavailable(error.to_string()),
            },
            Failure::NoOwner => {
                Status::unavailable(format!("no owner is known for the key; {}", why.reason()))
            }
        };
        self.call.engine.counters.failed.add_one();
        self.call.answer(status)
    }
}

/// Whether a member refused the call because it sees another ring.
fn is_disagreement(headers: &HeaderMap) -> bool {
    headers.get(REFUSED_HEADER).is_some_and(|reason| Disagreement::is_in(reason.as_bytes()))
}

/// What a response says that is no response for the caller yet.
fn failure_in<B>(response: &Response<Early<B>>) -> Option<FailureClass> {
    if response.headers().contains_key(REFUSED_HEADER) {
        return Some(FailureClass::Refused);
    }
    if response.body().is_broken() {
        return Some(FailureClass::Ambiguous);
    }
    // A status in the head, or in trailers right behind it, means that no message was answered.
    let in_head = response.headers().get(Status::GRPC_STATUS);
    let in_trailers = || response.body().trailers()?.get(Status::GRPC_STATUS);
    let status = in_head.or_else(in_trailers)?;
    (Code::from_bytes(status.as_bytes()) == Code::Unavailable).then_some(FailureClass::Unavailable)
}
