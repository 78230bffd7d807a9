//! One attempt of a forwarded call: the request as an owner gets it, and what its answer means.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use tonic::{Code, Status};
use tracing::Instrument as _;

use crate::body::{ReadAhead, Replay};
use crate::hop::arrival::Disagreement;
use crate::http_error::{HttpError, as_grpc};
use crate::limits::{EXPLAIN_HEADER, GRPC_ATTEMPTS_HEADER, HOP_HEADER, REFUSED_HEADER};
use crate::observe::AttemptEnd;
use crate::resolver::Peer;
use crate::retry::policy::{AttemptOutcome, FailureClass, Pushback};
use crate::retry::watch::{Over, Times, Waiting, Watch};
use crate::server::call::Call;
use crate::server::drain::Refusal;
use crate::transport::{Class, PeerRequest, PeerTransport, SendError};

/// How an attempt ended: with a response for the caller, or without one.
pub(crate) type Asked<B> = Result<Response<ReadAhead<B>>, Failure<B>>;

/// An attempt without a response for the caller.
#[allow(
    clippy::large_enum_variant,
    reason = "as large as the response of an attempt that succeeds, beside which it is returned"
)]
pub(crate) enum Failure<B> {
    NoOwner,
    Send(SendError),
    /// A response that says that the call was not executed, or that it failed and may be tried
    /// elsewhere.
    Answered(FailureClass, Response<ReadAhead<B>>),
}

impl<B> Failure<B> {
    pub(crate) fn class(&self) -> FailureClass {
        match self {
            Self::NoOwner => FailureClass::NeverSent,
            Self::Send(error) => error.class(),
            Self::Answered(class, _) => *class,
        }
    }

    /// What the server says about being asked again.
    pub(crate) fn pushback(&self) -> Option<Pushback> {
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

/// One attempt, as it is begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) peer: &'a Arc<Peer>,
    /// The owner was chosen among so many.
    pub(crate) chosen_among: usize,
    /// 1 for the first attempt of the call.
    pub(crate) number: u32,
    pub(crate) times: Times,
    /// Nothing of the response is given to the caller before all of it is here, as far as that is
    /// bounded.
    pub(crate) whole: bool,
}

/// Sends the request to an owner, and tells `waiting` how that goes.
pub(crate) async fn ask<T: PeerTransport>(
    call: &Call<T>,
    attempt: Attempt<'_>,
    replay: &Replay,
    waiting: &Waiting,
) -> Asked<T::Body> {
    let (shared, method) = (&call.shared, call.route.method());
    let Attempt { peer, number, whole, .. } = attempt;
    let is_unary = call.route.unary;
    let class = if is_unary { Class::Unary } else { Class::Stream };
    let request = PeerRequest { head: head_for(call, attempt), body: replay.attempt(), class };
    let watched = shared.settings.observing.attempt(method, peer, number);
    let answered = async {
        let response = shared.transport.send_tracked(peer, request, &waiting.progress).await?;
        shared.peers.on_answer(peer);
        let response = match (is_unary, whole) {
            (true, true) => ReadAhead::whole(response, &shared.response_memory).await,
            (true, false) => ReadAhead::first(response).await,
            (false, _) => ReadAhead::unread(response),
        };
        Ok(if call.protocol.is_grpc() { as_grpc(response, peer) } else { response })
    };
    let mut answered = pin!(answered.instrument(span(call, peer, number)));
    let mut watch = pin!(Watch::new(&shared.peers, peer, attempt.times));
    let sent = poll_fn(|cx| match answered.as_mut().poll(cx) {
        Poll::Ready(sent) => Poll::Ready(sent),
        Poll::Pending => {
            watch.as_mut().poll(cx, waiting).map(|over| Err(end(call, peer, over, waiting)))
        }
    });
    let asked = match sent.await {
        // Its connections were closed because of that, which is less to the point.
        Err(error) if error.class() == FailureClass::Ambiguous && shared.peers.is_gone(peer) => {
            Err(Failure::Send(SendError::ambiguous(GONE)))
        }
        Err(error) => Err(Failure::Send(error)),
        Ok(response) => match failure_in(&response) {
            // The first member looks again. If every member on the way did, attempts would
            // multiply.
            Some(_) if call.via.hops > 0 && is_disagreement(response.headers()) => Ok(response),
            Some(class) => Err(Failure::Answered(class, response)),
            None => Ok(response),
        },
    };
    if let Some(watched) = watched {
        watched.ended(match &asked {
            Ok(_) => AttemptEnd::Answered,
            Err(failure) => AttemptEnd::Failed(failure.class()),
        });
    }
    asked
}

/// Ends an attempt that is not waited for any longer. A request that has not left was never sent.
fn end<T: PeerTransport>(call: &Call<T>, peer: &Peer, over: Over, waiting: &Waiting) -> SendError {
    match over {
        Over::Gone if waiting.progress.is_sent() => SendError::ambiguous(GONE),
        Over::Gone => SendError::never_sent(GONE),
        Over::OutOfTime(limit) if waiting.progress.is_sent() => {
            call.shared.transport.unanswered(peer);
            SendError::unanswered(limit)
        }
        Over::OutOfTime(limit) => {
            SendError::never_sent(format!("no turn on a connection within {limit:?}"))
        }
    }
}

/// What a caller reads of an owner that is gone.
const GONE: &str = "it counts as dead";

/// What a resolver learns of an attempt; `None` when it says nothing about the peer.
pub(crate) fn outcome<B>(asked: &Asked<B>) -> Option<AttemptOutcome> {
    match asked {
        Ok(response) => match HttpError::of(response) {
            None => Some(AttemptOutcome::Answered),
            // What it denies a caller says nothing about it.
            Some(error) if error.is_servers_fault() => {
                Some(AttemptOutcome::Failed(FailureClass::HttpError))
            }
            Some(_) => None,
        },
        // A peer that sees another ring is alive.
        Err(Failure::Answered(_, response)) if is_disagreement(response.headers()) => {
            Some(AttemptOutcome::Answered)
        }
        Err(failure) => match failure.class() {
            FailureClass::Caller => None,
            class => Some(AttemptOutcome::Failed(class)),
        },
    }
}

/// The attempt as traces show it. The W3C context of the caller is passed on as it came, whether
/// anybody traces here or not.
fn span<T>(call: &Call<T>, peer: &Peer, number: u32) -> tracing::Span {
    let context = || call.head.headers.get("traceparent").and_then(|value| value.to_str().ok());
    tracing::debug_span!(
        "ringpop.forward",
        rpc.method = call.route.method(),
        peer = peer.address(),
        attempt = number,
        hops = call.via.hops_on_arrival(),
        traceparent = context(),
    )
}

/// The head of the request as `peer` gets it.
fn head_for<T: PeerTransport>(call: &Call<T>, attempt: Attempt<'_>) -> Request<()> {
    let Attempt { peer, number, chosen_among, .. } = attempt;
    let from = &call.head;
    let path = from.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder()
        .scheme(call.shared.transport.scheme())
        .authority(peer.authority().clone())
        .path_and_query(path);
    let mut head = Request::new(());
    *head.method_mut() = from.method.clone();
    *head.uri_mut() = uri.build().expect("a scheme, an authority and a path are a URI");
    *head.version_mut() = Version::HTTP_2;
    let headers = head.headers_mut();
    headers.clone_from(&from.headers);
    if let Some(hop) = call.hop_header(chosen_among) {
        headers.insert(HOP_HEADER, hop);
    }
    if let Some(deadline) = call.deadline {
        deadline.write(headers);
    }
    if call.explain {
        // The process that handles the request knows best, whatever its own setting is.
        headers.insert(EXPLAIN_HEADER, HeaderValue::from_static("1"));
    }
    if number > 1 {
        headers.insert(GRPC_ATTEMPTS_HEADER, attempts_before(&from.headers, number));
    }
    head
}

/// How many attempts the call has had before this one (gRPC proposal A6): our own, and those that
/// the caller counts.
fn attempts_before(headers: &HeaderMap, number: u32) -> HeaderValue {
    let callers = headers.get(GRPC_ATTEMPTS_HEADER).and_then(|value| value.to_str().ok());
    let callers = callers.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    HeaderValue::from(callers.saturating_add(number - 1))
}

/// Whether a member refused the call because it sees another ring.
fn is_disagreement(headers: &HeaderMap) -> bool {
    headers.get(REFUSED_HEADER).is_some_and(|reason| Disagreement::is_in(reason.as_bytes()))
}

/// What a response says that is no response for the caller yet.
fn failure_in<B>(response: &Response<ReadAhead<B>>) -> Option<FailureClass> {
    if let Some(reason) = response.headers().get(REFUSED_HEADER) {
        // The receiver's limit follows the rule of the sender's.
        let is_overloaded = reason == Refusal::Overloaded.token();
        return Some(if is_overloaded { FailureClass::Overloaded } else { FailureClass::Refused });
    }
    if response.body().is_broken() {
        return Some(FailureClass::Ambiguous);
    }
    // A status in the head, or in trailers right behind it, means that no message was answered.
    let in_head = response.headers().get(Status::GRPC_STATUS);
    let in_trailers = || response.body().trailers()?.get(Status::GRPC_STATUS);
    let status = in_head.or_else(in_trailers)?;
    let is_unavailable = Code::from_bytes(status.as_bytes()) == Code::Unavailable;
    is_unavailable.then(|| match HttpError::of(response) {
        Some(_) => FailureClass::HttpError,
        None => FailureClass::Unavailable,
    })
}
