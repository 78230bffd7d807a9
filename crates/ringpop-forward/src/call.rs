//! One call of a routed method: what its head says, and where it is placed.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response};
use smallvec::SmallVec;
use tonic::Status;
use tonic::body::Body;

use crate::answer::{answer, is_grpc, refuse};
use crate::body::{Guard, Intake, Tracked};
use crate::constants::{
    EXPLAIN_HEADER, HANDLED_BY_HEADER, HOP_HEADER, HOPS_HEADER, HOPS_UNTRUSTED_MAX, PEEK_BYTES_MAX,
};
use crate::deadline::Deadline;
use crate::drain::Ticket;
use crate::engine::Engine;
use crate::header::Hop;
use crate::key::{HeadKey, Key, KeyError, KeySource, MissingKey, checked};
use crate::layer::Door;
use crate::peek::{self, PREFIX_BYTES, Prefix};
use crate::resolver::Owner;
use crate::routes::Route;

/// A call that was let in.
pub(crate) struct Call<T> {
    pub(crate) engine: Arc<Engine<T>>,
    pub(crate) route: Arc<Route>,
    pub(crate) head: Parts,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) travel: Travel,
    pub(crate) explain: bool,
    pub(crate) is_grpc: bool,
    pub(crate) ticket: Ticket,
    is_received: bool,
}

/// How far a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Travel {
    pub(crate) hops: u8,
    /// Whether the sender is believed.
    pub(crate) trusted: bool,
}

/// Where a call goes.
pub(crate) enum Place {
    /// To the handler in this process.
    Here,
    /// To another process, first to this owner. `None` when the resolver knows no owner.
    There(Option<Owner>),
    /// Nowhere: it goes in circles.
    Nowhere,
}

/// What became of a request whose head was looked at.
pub(crate) enum Admission<T> {
    /// No route: not ours.
    Unrouted(Parts),
    /// Answered already.
    Answered(Response<Body>),
    /// Let in, with what its head says about the key.
    Admitted(Call<T>, HeadKey),
}

/// Looks at the head of a request.
pub(crate) fn admit<T>(engine: &Arc<Engine<T>>, door: &Door, mut head: Parts) -> Admission<T> {
    let route = match (engine.settings.routes.find(&head), door) {
        (Some(route), _) => Arc::clone(route),
        // A fixed key routes every method. What is not in the table is treated with the most care.
        (None, Door::Client { key: Some(_) }) => Arc::new(Route::new(KeySource::Header)),
        (None, _) => return Admission::Unrouted(head),
    };
    let is_grpc = is_grpc(&head.headers);
    let ticket = match engine.gate.enter(engine.settings.max_in_flight) {
        Ok(ticket) => ticket,
        Err(refusal) => {
            engine.counters.refused.add_one();
            return Admission::Answered(refuse(refusal, is_grpc));
        }
    };
    let is_received = matches!(door, Door::Server);
    let travel = travel(engine, &mut head, is_received);
    let key = match door {
        Door::Client { key: Some(key) } => {
            checked(key.clone()).map(|key| key.map_or(HeadKey::Missing, HeadKey::Found))
        }
        _ => route.key.read(&head),
    };
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            engine.counters.bad_keys.add_one();
            return Admission::Answered(answer(error.into(), is_grpc));
        }
    };
    let call = Call {
        engine: Arc::clone(engine),
        deadline: Deadline::from_headers(&head.headers),
        explain: engine.settings.explain || head.headers.contains_key(EXPLAIN_HEADER),
        route,
        head,
        travel,
        is_grpc,
        ticket,
        is_received,
    };
    Admission::Admitted(call, key)
}

/// Takes the hop header off a request and reads it as far as its sender is believed.
fn travel<T>(engine: &Engine<T>, head: &mut Parts, is_received: bool) -> Travel {
    const AT_HOME: Travel = Travel { hops: 0, trusted: true };
    let Some(value) = head.headers.get(HOP_HEADER) else {
        return AT_HOME;
    };
    // A call that begins in this process may carry the metadata of the one that caused it. It is a new call.
    let parsed = is_received.then(|| (Hop::parse(value), engine.trusts(head)));
    head.headers.remove(HOP_HEADER);
    let Some((hop, trusted)) = parsed else {
        return AT_HOME;
    };
    if !trusted || hop.is_err() {
        engine.counters.bad_hop_headers.add_one();
    }
    match hop {
        Ok(hop) => {
            let epoch = engine.resolver.epoch();
            if trusted && hop.epoch != 0 && epoch != 0 && hop.epoch != epoch {
                engine.counters.epochs_differed.add_one();
            }
            Travel { hops: hop.hops, trusted }
        }
        // A member speaks a version that we do not read. However far the request came, it must not go further.
        Err(_) if trusted => Travel { hops: u8::MAX, trusted },
        Err(_) => AT_HOME,
    }
}

impl<T> Call<T> {
    /// Decides where a call with this key goes.
    pub(crate) fn place(&self, key: &Key) -> Place {
        let owner = self.engine.owner_of(key.as_bytes());
        if owner == Some(Owner::Local) {
            return Place::Here;
        }
        let Travel { hops, trusted } = self.travel;
        let hops_max = if trusted { self.engine.hops_max() } else { HOPS_UNTRUSTED_MAX };
        if hops < hops_max {
            return Place::There(owner);
        }
        self.engine.counters.loops_stopped.add_one();
        if trusted { Place::Here } else { Place::Nowhere }
    }

    /// Where a call without a key goes, or the answer to it.
    pub(crate) fn place_without_key(&self) -> Result<Place, KeyError> {
        match self.engine.settings.missing_key {
            MissingKey::Local => Ok(Place::Here),
            MissingKey::Refuse => Err(KeyError::Missing(self.route.key.describe())),
        }
    }

    /// Prepares the request body for being read in part, or more than once.
    pub(crate) fn intake(&self, body: Body) -> Intake {
        let memory = Arc::clone(&self.engine.replay_memory);
        Intake::new(self.guard(body), self.engine.settings.replay_limit, memory)
    }

    /// The request body for a handler in this process.
    ///
    /// A whole message in a broken-off unary request is still the whole message, so only streams need the guard.
    pub(crate) fn body_for_handler(&self, body: Body) -> Body {
        if self.route.unary { body } else { Body::new(self.guard(body)) }
    }

    fn guard(&self, body: Body) -> Guard {
        if self.is_received {
            Guard::received(body, self.head.version)
        } else {
            Guard::made_here(body)
        }
    }

    /// Answers the call here.
    pub(crate) fn answer(&self, status: Status) -> Response<Body> {
        answer(status, self.is_grpc)
    }

    pub(crate) fn refuse_key(&self, error: KeyError) -> Response<Body> {
        self.engine.counters.bad_keys.add_one();
        self.answer(error.into())
    }

    pub(crate) fn refuse_loop(&self) -> Response<Body> {
        let message = format!(
            "request was forwarded {} times and its key is owned elsewhere still; members disagree about the ring, or \
             trust_hop_headers is not set on them",
            self.travel.hops,
        );
        self.answer(Status::failed_precondition(message))
    }

    /// Completes the response of a handler in this process.
    pub(crate) fn finish_here(self, mut response: Response<Body>) -> Response<Body> {
        if self.explain {
            let hops = if self.travel.trusted { self.travel.hops } else { 0 };
            explain(&mut response, self.engine.name.clone(), hops);
        }
        if self.route.unary {
            return response;
        }
        // The handler of a stream runs until its stream ends.
        let ticket = self.ticket;
        response.map(|body| Body::new(Tracked::new(body, ticket)))
    }
}

/// Says who handled a request, unless somebody nearer to the handler has said so.
pub(crate) fn explain<B>(response: &mut Response<B>, handled_by: HeaderValue, hops: u8) {
    let headers = response.headers_mut();
    if !headers.contains_key(HANDLED_BY_HEADER) {
        headers.insert(HANDLED_BY_HEADER, handled_by);
        headers.insert(HOPS_HEADER, HeaderValue::from(u16::from(hops)));
    }
}

/// What the beginning of a request body says about its key.
pub(crate) enum MessageKey {
    Found(Key),
    Missing,
    /// So many bytes are needed to tell.
    Need(usize),
}

/// Looks for the key in the first message, as far as it has arrived.
pub(crate) fn message_key(intake: &Intake, field: &[u32]) -> Result<MessageKey, KeyError> {
    let bytes = contiguous(intake.frames());
    let Some(prefix) = Prefix::read(&bytes)? else {
        return Ok(if intake.has_ended() {
            MessageKey::Missing
        } else {
            MessageKey::Need(PREFIX_BYTES)
        });
    };
    if prefix.compressed {
        return Err(KeyError::Compressed);
    }
    let whole = PREFIX_BYTES.saturating_add(prefix.len);
    let needed = whole.min(PEEK_BYTES_MAX);
    if bytes.len() < needed && !intake.has_ended() {
        return Ok(MessageKey::Need(needed));
    }
    let message = &bytes[PREFIX_BYTES..bytes.len().min(whole)];
    let is_cut = bytes.len() < whole;
    match peek::find(message, field, is_cut)?.map(checked).transpose()?.flatten() {
        Some(key) => Ok(MessageKey::Found(key)),
        None if is_cut && needed < whole => Err(KeyError::TooFar),
        None => Ok(MessageKey::Missing),
    }
}

/// The first bytes of a body in one piece. They nearly always arrive in one.
fn contiguous(frames: &[Bytes]) -> Bytes {
    match frames {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => many.iter().flatten().copied().collect::<SmallVec<[u8; 0]>>().into_vec().into(),
    }
}
