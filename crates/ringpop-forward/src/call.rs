//! One call of a routed method: what its head says, and where it is placed.

use std::sync::{Arc, Weak};

use http::request::Parts;
use http::{HeaderValue, Response};
use tonic::Status;
use tonic::body::Body;

use crate::answer::{Protocol, answer, refuse};
use crate::arrival::{Arrival, Disagreement, Verdict, judge};
use crate::body::{Guard, Intake, Tracked};
use crate::constants::{
    GRPC_TIMEOUT_HEADER, HOP_HEADER, HOPS_UNTRUSTED_MAX, OWNERS_LIMIT, REFUSED_HEADER,
    RESERVE_PART, UNNAMED, VIEW_HEADER,
};
use crate::deadline::{Deadline, exceeded};
use crate::drain::Refusal;
use crate::engine::Engine;
use crate::explain::explain;
use crate::header::{BadHop, Hop};
use crate::key::{self, HeadKey, Key, KeyError, KeySource, MissingKey, checked};
use crate::layer::{Door, Fixed};
use crate::moved::until_moved;
use crate::observe::ForwardEvent;
use crate::ownership::{Lost, Ownership};
use crate::resolver::{Owner, Owners};
use crate::routes::Route;
use crate::server::{ConnectionHandle, InFlight};

/// A call that was let in.
pub(crate) struct Call<T> {
    pub(crate) engine: Arc<Engine<T>>,
    pub(crate) route: Arc<Route>,
    pub(crate) head: Parts,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) travel: Travel,
    pub(crate) explain: bool,
    /// In which form the caller wants to know how the call went.
    pub(crate) protocol: Protocol,
    pub(crate) ticket: InFlight,
    is_received: bool,
    /// The owner that this call is meant for, if it is not for whoever owns its key.
    only_owner: Option<Owner>,
    /// The call comes from a process that is no member.
    is_channel: bool,
    /// The ownership of a stream's key, until a handler is chosen.
    pub(crate) ownership: Option<Ownership>,
}

/// How far a request came.
#[derive(Clone, Debug)]
pub(crate) struct Travel {
    pub(crate) hops: u8,
    /// Whether the sender is believed.
    pub(crate) trusted: bool,
    /// The hop header of a sender that is believed, if it can be read.
    header: Option<HeaderValue>,
    /// The sender is believed and sees another ring.
    epoch_differs: bool,
}

impl Travel {
    /// Of a request that begins its journey here.
    const AT_HOME: Self = Self { hops: 0, trusted: true, header: None, epoch_differs: false };

    /// How often the request has been forwarded when whoever gets it next has it.
    pub(crate) fn hops_on_arrival(&self) -> u8 {
        self.hops.saturating_add(1)
    }

    fn hop(&self) -> Option<Hop<'_>> {
        Hop::parse(self.header.as_ref()?).ok()
    }
}

/// Where a call goes.
pub(crate) enum Place {
    /// To the handler in this process.
    Here,
    /// To another process, first to this owner. `None` when the resolver knows no owner.
    There(Option<Owner>),
    /// Nowhere: members disagree about the first owner, who is the one that this process knows.
    Nowhere(Disagreement, Option<Owner>),
}

/// What became of a request whose head was looked at.
#[allow(
    clippy::large_enum_variant,
    reason = "taken apart where it is returned to; a box would cost each call an allocation"
)]
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
        (None, Door::Client(fixed)) if fixed.key.is_some() || fixed.is_channel => {
            Arc::new(Route::new(KeySource::Header))
        }
        (None, _) => return Admission::Unrouted(head),
    };
    let protocol = Protocol::of(&head.headers);
    let ticket = match enter(engine, &head) {
        Ok(ticket) => ticket,
        Err(refusal) => {
            engine.counters.refused.add_one();
            engine.tell(ForwardEvent::Refused { reason: refusal.token() });
            return Admission::Answered(refuse(refusal, protocol));
        }
    };
    let is_received = matches!(door, Door::Server);
    let travel = travel(engine, &mut head, is_received);
    if travel.hops > 0 {
        engine.tell(ForwardEvent::Received { method: route.method(), hops: travel.hops });
    }
    let Fixed { key: fixed_key, owner: only_owner, is_channel } = match door {
        Door::Server => Fixed::default(),
        Door::Client(fixed) => fixed.clone(),
    };
    let is_fixed = fixed_key.is_some();
    let key = match fixed_key {
        Some(key) => checked(key).map(|key| key.map_or(HeadKey::Missing, HeadKey::Found)),
        None => route.key.read(&head),
    };
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            engine.counters.bad_keys.add_one();
            engine.tell(ForwardEvent::BadKey);
            return Admission::Answered(answer(error.into(), protocol));
        }
    };
    if let HeadKey::Found(key) = &key
        && (is_fixed || matches!(route.key, KeySource::Head(_)))
    {
        key::write(&mut head.headers, key);
    }
    let mut deadline = Deadline::from_headers(&head.headers);
    if deadline.is_none() && head.headers.contains_key(GRPC_TIMEOUT_HEADER) {
        engine.counters.bad_timeouts.add_one();
    }
    if deadline.is_none() && route.unary {
        deadline = Deadline::of_this_process(engine.settings.max_timeout);
    }
    let call = Call {
        engine: Arc::clone(engine),
        deadline,
        explain: engine.settings.explain.is_wanted(&mut head.headers),
        route,
        head,
        travel,
        protocol,
        ticket,
        is_received,
        only_owner,
        is_channel,
        ownership: None,
    };
    Admission::Admitted(call, key)
}

/// Lets a call in. When as many are inside as may be, those make room that wait for their callers.
fn enter<T>(engine: &Engine<T>, head: &Parts) -> Result<InFlight, Refusal> {
    let limit = engine.settings.max_in_flight;
    let call = head.extensions.get().and_then(ConnectionHandle::call);
    if let Some(call) = &call {
        engine.server.get_or_init(|| Arc::downgrade(&call.connection.all));
    }
    let mut ticket = engine.gate.enter(limit);
    if matches!(ticket, Err(Refusal::Overloaded))
        && let Some(all) = engine.server.get().and_then(Weak::upgrade)
    {
        // Those that leave have given their places up already.
        let enter = |more| engine.gate.enter(limit.saturating_add(all.leaving() + more));
        ticket = enter(0);
        if matches!(ticket, Err(Refusal::Overloaded)) {
            all.shed_idlest(limit);
            // A call that begins in this process is not answerable for what callers hold.
            let few = limit / RESERVE_PART / 2;
            ticket = enter(call.as_ref().map_or(few, |call| call.connection.reserve(limit)));
        }
    }
    ticket.map(|ticket| InFlight::new(ticket, call))
}

/// Takes the hop header off a request and reads it as far as its sender is believed.
fn travel<T>(engine: &Engine<T>, head: &mut Parts, is_received: bool) -> Travel {
    let Some(header) = head.headers.remove(HOP_HEADER) else {
        return Travel::AT_HOME;
    };
    if !is_received {
        // A call that begins in this process may carry the metadata of the one that caused it. It is a new call.
        return Travel::AT_HOME;
    }
    let trusted = engine.trusts(head);
    let hop = Hop::parse(&header);
    if !trusted || hop.is_err() {
        engine.counters.bad_hop_headers.add_one();
    }
    match hop {
        Ok(Hop { hops, .. }) if !trusted => Travel { hops, trusted, ..Travel::AT_HOME },
        Ok(hop) => {
            let epoch = engine.resolver.epoch();
            let epoch_differs = hop.epoch != 0 && epoch != 0 && hop.epoch != epoch;
            if epoch_differs {
                engine.counters.epochs_differed.add_one();
                engine.tell(ForwardEvent::RingDiffers);
            }
            Travel { hops: hop.hops, trusted, header: Some(header), epoch_differs }
        }
        // A member speaks a version that we do not read. However far the request came, it must not go further.
        Err(BadHop::Version) if trusted => Travel { hops: u8::MAX, ..Travel::AT_HOME },
        // No member writes such a thing, so it proves nothing: the key decides, as if the header were not there.
        Err(_) => Travel::AT_HOME,
    }
}

impl<T> Call<T> {
    /// Decides where a call with this key goes, and begins to follow the key of a stream.
    pub(crate) fn place(&mut self, key: &Key) -> Place {
        if !self.route.unary && self.only_owner.is_none() {
            // Before the decision, so that no change of the ring falls between the two.
            let resolver = Arc::clone(&self.engine.resolver);
            self.ownership = Some(Ownership::new(resolver, key.clone()));
        }
        self.find_place(key)
    }

    fn find_place(&self, key: &Key) -> Place {
        if self.travel.hops > 0 && self.travel.trusted {
            return self.place_arrived(key);
        }
        match self.only_owner.clone().or_else(|| self.engine.owner_of(key.as_bytes())) {
            Some(Owner::Local) => Place::Here,
            owner if self.travel.hops < HOPS_UNTRUSTED_MAX => Place::There(owner),
            owner => {
                self.engine.counters.loops_stopped.add_one();
                Place::Nowhere(Disagreement::Loop, owner)
            }
        }
    }

    /// Decides about a call that another member sent here.
    fn place_arrived(&self, key: &Key) -> Place {
        let engine = &self.engine;
        let hop = self.travel.hop();
        let chosen_among = hop.map_or(1, |hop| hop.chosen_among);
        let mut owners = Owners::new();
        let n = engine.settings.policy.owners().max(chosen_among);
        engine.resolver.owners(key.as_bytes(), n, &mut owners);
        let arrival = Arrival {
            hops: self.travel.hops,
            hops_max: engine.hops_max(),
            was_here: hop.is_some_and(|hop| was_at(&hop, &engine.settings.name, owners.first())),
            epoch_differs: self.travel.epoch_differs,
            chosen_among,
            rank: owners.iter().position(|owner| *owner == Owner::Local),
            has_owner: !owners.is_empty(),
        };
        let counters = &engine.counters;
        if !arrival.is_owned() {
            counters.keys_differed.add_one();
            engine.tell(ForwardEvent::KeyDiffers);
        }
        let verdict = judge(engine.settings.divergence, &arrival);
        if !arrival.is_owned() && verdict != Verdict::SendOn {
            counters.loops_stopped.add_one();
        }
        match verdict {
            Verdict::Handle => Place::Here,
            Verdict::SendOn => Place::There(owners.into_iter().next()),
            Verdict::Refuse(disagreement) => {
                Place::Nowhere(disagreement, owners.into_iter().next())
            }
        }
    }

    /// The hop header of an attempt at an owner that was chosen among so many. A client has none to send: the journey among
    /// members begins where it asks.
    pub(crate) fn hop_header(&self, chosen_among: usize) -> Option<HeaderValue> {
        if self.is_channel {
            return None;
        }
        let engine = &self.engine;
        let chosen_among = if self.only_owner.is_some() { OWNERS_LIMIT } else { chosen_among };
        if self.travel.hops == 0 && chosen_among == 1 {
            return Some(engine.first_hop());
        }
        let path = self.travel.hop().map(|hop| hop.path_behind()).unwrap_or_default();
        let hops = self.travel.hops_on_arrival();
        let hop = Hop::first(&engine.settings.name, engine.resolver.epoch());
        Some(Hop { hops, path: &path, chosen_among, ..hop }.to_value())
    }

    /// The first `n` owners that may be asked, best first, as of now.
    pub(crate) fn owners(&self, key: &Key, n: usize) -> Owners {
        let mut owners = Owners::new();
        match &self.only_owner {
            Some(owner) => owners.push(owner.clone()),
            None => self.engine.resolver.owners(key.as_bytes(), n, &mut owners),
        }
        owners
    }

    /// Where a call without a key goes, and the key that stands for it, or the answer to it.
    pub(crate) fn place_without_key(&self) -> Result<(Place, Key), KeyError> {
        if self.is_channel {
            // Any backend will do, and another one for each call.
            let key = Key::from(fastrand::u64(..));
            return Ok((self.find_place(&key), key));
        }
        match self.engine.settings.missing_key {
            MissingKey::Local => Ok((Place::Here, Key::from(""))),
            MissingKey::Refuse => Err(KeyError::Missing(self.route.key.describe())),
        }
    }

    /// Whether the time of the call is over, so that nobody waits for what would be begun now.
    pub(crate) fn has_expired(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline.has_passed())
    }

    /// Whether the call came over the network.
    pub(crate) fn is_received(&self) -> bool {
        self.is_received
    }

    /// Notes that the handler of this process gets the call.
    pub(crate) fn count_here(&self) {
        self.engine.counters.local.add_one();
        let (method, hops) = (self.route.method(), self.believed_hops());
        self.engine.tell(ForwardEvent::Handled { method, hops });
    }

    /// How often the call was forwarded, as far as its sender is believed.
    fn believed_hops(&self) -> u8 {
        if self.travel.trusted { self.travel.hops } else { 0 }
    }

    /// Prepares the request body for being read in part, or more than once.
    pub(crate) fn intake(&self, body: Body) -> Intake {
        let memory = Arc::clone(&self.engine.replay_memory);
        Intake::new(Guard::new(body), self.engine.settings.replay_limit, memory)
    }

    /// The request body for a handler in this process.
    ///
    /// A whole message in a broken-off unary request is still the whole message, so only streams need the guard.
    pub(crate) fn body_for_handler(&self, body: Body) -> Body {
        if self.route.unary { body } else { Body::new(Guard::new(body)) }
    }

    /// Answers that the deadline has passed.
    pub(crate) fn answer_exceeded(&self) -> Response<Body> {
        self.engine.counters.deadlines_exceeded.add_one();
        self.answer(exceeded())
    }

    /// Answers that the first message of the call did not come in time.
    pub(crate) fn answer_late(&self) -> Response<Body> {
        self.engine.counters.first_messages_late.add_one();
        let limit = self.engine.settings.first_message_timeout;
        self.answer(Status::deadline_exceeded(format!(
            "the first message did not come within {limit:?}; see first_message_timeout"
        )))
    }

    /// Answers a call whose own request broke off with `status`.
    pub(crate) fn answer_broken(&self, status: Status) -> Response<Body> {
        self.engine.counters.broken_requests.add_one();
        self.answer(status)
    }

    /// Answers the call here.
    pub(crate) fn answer(&self, status: Status) -> Response<Body> {
        answer(status, self.protocol)
    }

    pub(crate) fn refuse_key(&self, error: KeyError) -> Response<Body> {
        self.engine.counters.bad_keys.add_one();
        self.engine.tell(ForwardEvent::BadKey);
        self.answer(error.into())
    }

    /// Refuses the call because members disagree about its owner, and tells what this one sees.
    pub(crate) fn refuse_disagreement(
        &self,
        disagreement: Disagreement,
        owner: Option<&Owner>,
    ) -> Response<Body> {
        let engine = &self.engine;
        let counter = match disagreement {
            Disagreement::Ring => &engine.counters.refused_ring_differs,
            Disagreement::Owner => &engine.counters.refused_not_owner,
            Disagreement::Loop => &engine.counters.refused_loop,
        };
        counter.add_one();
        engine.tell(ForwardEvent::Refused { reason: disagreement.token() });
        if !self.travel.trusted {
            let message = format!(
                "request was forwarded {} times and its key is owned elsewhere still; members disagree about the \
                 ring, or trust_hop_headers is not set on them",
                self.travel.hops,
            );
            return self.answer(Status::failed_precondition(message));
        }
        let name = &engine.settings.name;
        let owner = engine.address_of(owner);
        let hop = self.travel.hop();
        let path: Vec<_> = hop.iter().flat_map(Hop::travellers).chain([name.as_str()]).collect();
        let path = path.join(" > ");
        let epoch = engine.resolver.epoch();
        let status = Status::failed_precondition(format!(
            "members disagree about the owner of the key ({}): {name} sees {owner} on ring {epoch:x}, its sender used \
             ring {:x}; the request came by {path}, was not executed and can be sent again when the rings agree",
            disagreement.token(),
            hop.map_or(0, |hop| hop.epoch),
        ));
        let mut response = self.answer(status);
        let headers = response.headers_mut();
        headers.insert(REFUSED_HEADER, HeaderValue::from_static(disagreement.token()));
        if let Ok(view) = HeaderValue::try_from(format!("e={epoch:x};o={owner}")) {
            headers.insert(VIEW_HEADER, view);
        }
        response
    }

    /// Completes the response of a handler in this process. `lost` resolves when its stream is to end.
    pub(crate) fn finish_here(
        self,
        mut response: Response<Body>,
        lost: Option<Lost>,
    ) -> Response<Body>
    where
        T: Send + Sync + 'static,
    {
        // The handler has run. Metadata that it passes on from a call of its own must not say that it has not.
        response.headers_mut().remove(REFUSED_HEADER);
        if self.explain {
            let hops = self.believed_hops();
            explain(&mut response, self.engine.name.clone(), hops);
        }
        if self.route.unary {
            return response;
        }
        // The handler of a stream runs until its stream ends.
        let (ticket, engine) = (self.ticket, self.engine);
        let response = response.map(|body| Body::new(Tracked::new(body, ticket)));
        until_moved(response, lost, engine)
    }
}

/// Whether a request has passed `name`, or would go back to someone whom it has passed.
fn was_at(hop: &Hop<'_>, name: &str, next: Option<&Owner>) -> bool {
    let next = match next {
        Some(Owner::Remote(peer)) => peer.address(),
        _ => name,
    };
    hop.travellers()
        .any(|traveller| traveller != UNNAMED && (traveller == name || traveller == next))
}
