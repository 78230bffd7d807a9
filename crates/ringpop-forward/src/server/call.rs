//! One call of a routed method: what its head says, and where it is placed.

pub(crate) mod moved;

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Response};
use tonic::Status;
use tonic::body::Body;

use crate::body::{Guard, ReplayBuffer, Tracked};
use crate::connections::{ConnectionHandle, InFlight};
use crate::hop::arrival::{Arrival, Disagreement, Verdict, judge};
use crate::hop::header::{BadHop, Hop};
use crate::limits::{
    GRPC_TIMEOUT_HEADER, HOP_HEADER, HOPS_UNTRUSTED_MAX, IDEMPOTENT_HEADER, OWNERS_LIMIT,
    REFUSED_HEADER, RESERVE_PART, UNNAMED, VIEW_HEADER,
};
use crate::observe::ForwardEvent;
use crate::options::CallOptions;
use crate::origin::Origin;
use crate::resolver::{Held, Owner, Owners, Resolver};
use crate::retry::policy::Policy;
use crate::route::key::{self, HeadKey, Key, KeyError, KeySource, MissingKey, checked};
use crate::route::routes::Route;
use crate::server::answer::{Protocol, answer, refuse};
use crate::server::deadline::{Deadline, exceeded};
use crate::server::drain::Refusal;
use crate::server::explain::explain;
use crate::server::ownership::{Lost, Ownership};
use crate::shared::{Shared, owner_of};

/// A call that was let in.
pub(crate) struct Call<T> {
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) route: Arc<Route>,
    pub(crate) head: Parts,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) via: Via,
    pub(crate) explain: bool,
    /// In which form the caller wants to know how the call went.
    pub(crate) protocol: Protocol,
    pub(crate) ticket: InFlight,
    is_received: bool,
    /// The owner that this call is meant for, if it is not for the owner of its key.
    only_owner: Option<Owner>,
    /// The call is for a stated member, whatever its key.
    is_stated: bool,
    /// In place of the one of the forwarder.
    policy: Option<Arc<Policy>>,
    /// The call comes from a process that is no member.
    is_channel: bool,
    /// The client was made for one key, whatever the messages say.
    is_client_for_key: bool,
    /// The ownership of a stream's key, until a handler is chosen.
    pub(crate) ownership: Option<Box<Ownership>>,
}

/// How far a request came.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    pub(crate) hops: u8,
    /// Whether the sender is believed.
    pub(crate) trusted: bool,
    /// The hop header of a sender that is believed, if it can be read.
    header: Option<HeaderValue>,
    /// The sender is believed and sees another ring.
    epoch_differs: bool,
    /// The sender is believed and means this process, whatever the key.
    is_stated: bool,
}

impl Via {
    /// Of a request that no member has forwarded.
    const DIRECT: Self =
        Self { hops: 0, trusted: true, header: None, epoch_differs: false, is_stated: false };

    /// How often the request has been forwarded when its next receiver has it.
    pub(crate) fn hops_on_arrival(&self) -> u8 {
        self.hops.saturating_add(1)
    }

    fn hop(&self) -> Option<Hop<'_>> {
        Hop::parse(self.header.as_ref()?).ok()
    }
}

/// Where a call goes.
pub(crate) enum Placement {
    /// To the handler in this process.
    Local,
    /// To another process, first to this owner. `None` when the resolver knows no owner.
    Remote(Option<Owner>),
    /// Nowhere: members disagree about the first owner, who is the one that this process knows.
    Disputed(Disagreement, Option<Owner>),
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
pub(crate) fn admit<T>(shared: &Arc<Shared<T>>, origin: &Origin, mut head: Parts) -> Admission<T> {
    let options = options(&mut head, origin);
    let is_stated = options.as_ref().is_some_and(|options| options.member.is_some());
    let route = match (shared.settings.routes.find(&head), origin) {
        (Some(route), _) => Arc::clone(route),
        (None, _) if is_stated => Arc::new(Route::new(KeySource::Header)),
        // A target key routes every method. A method that is not in the table is treated with the
        // most care.
        (None, Origin::Client(target)) if target.key.is_some() || target.is_channel => {
            Arc::new(Route::new(KeySource::Header))
        }
        (None, _) => return Admission::Unrouted(head),
    };
    let protocol = Protocol::of(&head.headers);
    let options = options.unwrap_or_default();
    let member = match check(shared, origin, &options) {
        Ok(member) => member,
        Err(status) => return Admission::Answered(answer(status, protocol)),
    };
    let ticket = match enter(shared, &head) {
        Ok(ticket) => ticket,
        Err(refusal) => {
            shared.record(
                &shared.counters.refused,
                ForwardEvent::Refused { reason: refusal.token() },
            );
            return Admission::Answered(refuse(refusal, protocol));
        }
    };
    let is_received = matches!(origin, Origin::Server);
    let via = via(shared, &route, &mut head, is_received);
    if via.hops > 0 {
        shared.tell(ForwardEvent::Received { method: route.method(), hops: via.hops });
    }
    let (target_key, only_owner, is_channel) = match origin {
        Origin::Server => (None, None, false),
        Origin::Client(target) => (target.key.clone(), target.owner.clone(), target.is_channel),
    };
    let is_client_for_key = target_key.is_some();
    let key = match head_key(&route, &mut head, target_key) {
        Ok(key) => key,
        // It is not asked for.
        Err(_) if is_stated => HeadKey::Missing,
        Err(status) => {
            shared.record(&shared.counters.bad_keys, ForwardEvent::BadKey);
            return Admission::Answered(answer(status, protocol));
        }
    };
    if options.idempotent {
        head.headers.insert(IDEMPOTENT_HEADER, HeaderValue::from_static("1"));
    }
    let call = Call {
        shared: Arc::clone(shared),
        deadline: deadline(shared, &route, &head, options.timeout),
        explain: shared.settings.explain.is_wanted(&mut head.headers),
        route,
        head,
        via,
        protocol,
        ticket,
        is_received,
        only_owner: member.or(only_owner),
        is_stated,
        policy: options.policy,
        is_channel,
        is_client_for_key,
        ownership: None,
    };
    let key = if is_stated { HeadKey::Found(key.found().unwrap_or_else(Key::none)) } else { key };
    Admission::Admitted(call, key)
}

/// The key as far as the head says it: that of the client, or what the route reads. A key that is
/// known is written into the head.
fn head_key(route: &Route, head: &mut Parts, target_key: Option<Key>) -> Result<HeadKey, Status> {
    let is_fixed = target_key.is_some();
    let key = match target_key {
        Some(key) => checked(key).map(|key| key.map_or(HeadKey::Missing, HeadKey::Found)),
        None => route.key.read(head),
    };
    let key = key.map_err(Status::from)?;
    if let HeadKey::Found(key) = &key
        && (is_fixed || matches!(route.key, KeySource::Head(_)))
    {
        key::write(&mut head.headers, key);
    }
    Ok(key)
}

/// When the call must be over; `None` for a stream that sets no time.
fn deadline<T>(
    shared: &Shared<T>,
    route: &Route,
    head: &Parts,
    timeout: Option<Duration>,
) -> Option<Deadline> {
    let deadline = Deadline::sooner(&head.headers, timeout);
    if deadline.is_none() && head.headers.contains_key(GRPC_TIMEOUT_HEADER) {
        shared.counters.bad_timeouts.add_one();
    }
    let is_unlimited = deadline.is_none() && route.unary;
    if is_unlimited { Deadline::of_this_process(shared.settings.max_timeout) } else { deadline }
}

/// What the call decides for itself, or its client does for it.
fn options(head: &mut Parts, origin: &Origin) -> Option<CallOptions> {
    head.extensions.remove::<CallOptions>().or_else(|| match origin {
        Origin::Client(target) => target.options.clone(),
        Origin::Server => None,
    })
}

/// Refuses options that cannot be met, and gives the stated member if there is one.
fn check<T>(
    shared: &Shared<T>,
    origin: &Origin,
    options: &CallOptions,
) -> Result<Option<Owner>, Status> {
    if let Some(policy) = &options.policy {
        policy.check().map_err(|error| Status::invalid_argument(error.to_string()))?;
    }
    let Some(id) = &options.member else { return Ok(None) };
    if matches!(origin, Origin::Client(target) if target.is_channel) {
        let message = "only members send calls to a stated member, and this process is none";
        return Err(Status::failed_precondition(message));
    }
    let member = shared.resolver.member(id);
    member.map(Some).ok_or_else(|| {
        let message = format!("no member that can be asked has the id or address {id}");
        Status::failed_precondition(message)
    })
}

/// Lets a call in. When as many are inside as may be, those make room that wait for their callers.
fn enter<T>(shared: &Shared<T>, head: &Parts) -> Result<InFlight, Refusal> {
    let limit = shared.settings.max_in_flight;
    let call = head.extensions.get().and_then(ConnectionHandle::call);
    if let Some(call) = &call {
        shared.server.get_or_init(|| Arc::downgrade(&call.connection.all));
    }
    let mut ticket = shared.gate.enter(limit);
    if matches!(ticket, Err(Refusal::Overloaded))
        && let Some(all) = shared.server.get().and_then(Weak::upgrade)
    {
        // Those that leave have given their places up already.
        let enter = |more| shared.gate.enter(limit.saturating_add(all.leaving() + more));
        ticket = enter(0);
        if matches!(ticket, Err(Refusal::Overloaded)) {
            let reserve = call.as_ref().map(|call| call.connection.reserve(limit));
            // A call that begins in this process is not answerable for the calls of callers.
            all.shed_idlest(limit, reserve.unwrap_or(usize::MAX));
            ticket = enter(reserve.unwrap_or(limit / RESERVE_PART / 2));
        }
    }
    ticket.map(|ticket| InFlight::new(ticket, call))
}

/// Takes the hop header off a request and reads it as far as its sender is believed.
fn via<T>(shared: &Shared<T>, route: &Route, head: &mut Parts, is_received: bool) -> Via {
    let Some(header) = head.headers.remove(HOP_HEADER) else {
        return Via::DIRECT;
    };
    if !is_received {
        // A call that begins in this process may carry the metadata of the one that caused it. It
        // is a new call.
        return Via::DIRECT;
    }
    let trusted = shared.trusts(head);
    let hop = Hop::parse(&header);
    if !trusted || hop.is_err() {
        shared.counters.bad_hop_headers.add_one();
    }
    match hop {
        Ok(Hop { hops, .. }) if !trusted => Via { hops, trusted, ..Via::DIRECT },
        Ok(hop) => {
            let epoch = shared.resolver_of(route).epoch();
            let epoch_differs = hop.epoch != 0 && epoch != 0 && hop.epoch != epoch;
            if epoch_differs {
                shared.record(&shared.counters.epochs_differed, ForwardEvent::RingDiffers);
            }
            let Hop { hops, is_stated, .. } = hop;
            Via { hops, trusted, header: Some(header), epoch_differs, is_stated }
        }
        // A member speaks a version that we do not read. However far the request came, it must not
        // go further.
        Err(BadHop::Version) if trusted => Via { hops: u8::MAX, ..Via::DIRECT },
        // No member writes such a thing, so it proves nothing: the key decides, as if the header
        // were not there.
        Err(_) => Via::DIRECT,
    }
}

impl<T> Call<T> {
    /// Decides where a call with this key goes, and begins to follow the key of a stream.
    pub(crate) fn place(&mut self, key: &Key) -> Placement {
        if !self.route.unary && self.only_owner.is_none() && !self.via.is_stated {
            // Before the decision, so no change of the ring falls between the two.
            let resolver = Arc::clone(self.resolver());
            self.ownership = Some(Box::new(Ownership::new(resolver, key.clone())));
        }
        let place = self.find_place(key);
        let here = matches!(place, Placement::Local);
        self.shared.tell(ForwardEvent::Placed { key: key.as_bytes(), here });
        place
    }

    /// When and where it is sent again.
    pub(crate) fn policy(&self) -> &Policy {
        self.policy.as_deref().unwrap_or(&self.shared.settings.policy)
    }

    /// The resolver that names the owners of its key.
    pub(crate) fn resolver(&self) -> &Arc<dyn Resolver> {
        self.shared.resolver_of(&self.route)
    }

    fn find_place(&self, key: &Key) -> Placement {
        if self.via.hops > 0 && self.via.trusted {
            return self.place_arrived(key);
        }
        match self.only_owner.clone().or_else(|| owner_of(&**self.resolver(), key.as_bytes())) {
            Some(Owner::Local) => Placement::Local,
            owner if self.via.hops < HOPS_UNTRUSTED_MAX => Placement::Remote(owner),
            owner => {
                self.shared.counters.loops_stopped.add_one();
                Placement::Disputed(Disagreement::Loop, owner)
            }
        }
    }

    /// What a call that is placed here waits for first, because its key is about to move.
    pub(crate) fn held(&self, placement: &Placement, key: &Key) -> Option<Held> {
        let is_for_key = self.only_owner.is_none() && !self.via.is_stated;
        let is_here = matches!(placement, Placement::Local) && is_for_key;
        is_here.then(|| self.resolver().hold(key.as_bytes()))?
    }

    /// Decides about a call that another member sent here.
    fn place_arrived(&self, key: &Key) -> Placement {
        if self.via.is_stated {
            return Placement::Local;
        }
        let shared = &self.shared;
        let hop = self.via.hop();
        let chosen_among = hop.map_or(1, |hop| hop.chosen_among);
        let mut owners = Owners::new();
        let n = self.policy().owners().max(chosen_among);
        self.resolver().owners(key.as_bytes(), n, &mut owners);
        let arrival = Arrival {
            hops: self.via.hops,
            hops_max: shared.hops_max(),
            was_here: hop.is_some_and(|hop| was_at(&hop, &shared.settings.name, owners.first())),
            epoch_differs: self.via.epoch_differs,
            chosen_among,
            rank: owners.iter().position(|owner| *owner == Owner::Local),
            has_owner: !owners.is_empty(),
        };
        let counters = &shared.counters;
        if !arrival.is_owned() {
            shared.record(&counters.keys_differed, ForwardEvent::KeyDiffers);
        }
        let verdict = judge(shared.settings.divergence, &arrival);
        if !arrival.is_owned() && verdict != Verdict::SendOn {
            counters.loops_stopped.add_one();
        }
        match verdict {
            Verdict::Handle => Placement::Local,
            Verdict::SendOn => Placement::Remote(owners.into_iter().next()),
            Verdict::Refuse(disagreement) => {
                Placement::Disputed(disagreement, owners.into_iter().next())
            }
        }
    }

    /// The hop header of an attempt at an owner that was chosen among so many. A client has none to
    /// send: the first hop is the one of the member that it asks.
    pub(crate) fn hop_header(&self, chosen_among: usize) -> Option<HeaderValue> {
        if self.is_channel {
            return None;
        }
        let shared = &self.shared;
        let chosen_among = if self.only_owner.is_some() { OWNERS_LIMIT } else { chosen_among };
        if self.via.hops == 0 && chosen_among == 1 && self.route.resolver.is_none() {
            return Some(shared.first_hop());
        }
        let path = self.via.hop().map(|hop| hop.path_behind()).unwrap_or_default();
        let hops = self.via.hops_on_arrival();
        let hop = Hop::first(&shared.settings.name, self.resolver().epoch());
        Some(Hop { hops, path: &path, chosen_among, is_stated: self.is_stated, ..hop }.to_value())
    }

    /// The first `n` owners that may be asked, best first, as of now.
    pub(crate) fn owners(&self, key: &Key, n: usize) -> Owners {
        let mut owners = Owners::new();
        match &self.only_owner {
            Some(owner) => owners.push(owner.clone()),
            None => self.resolver().owners(key.as_bytes(), n, &mut owners),
        }
        owners
    }

    /// Where a call without a key goes, and the key that stands for it, or the answer to it.
    pub(crate) fn place_without_key(&self) -> Result<(Placement, Key), KeyError> {
        if self.is_channel {
            // Any backend will do, and another one for each call.
            let key = Key::from(fastrand::u64(..));
            return Ok((self.find_place(&key), key));
        }
        if self.via.is_stated {
            return Ok((Placement::Local, Key::none()));
        }
        match self.shared.settings.missing_key {
            MissingKey::Local => Ok((Placement::Local, Key::none())),
            // No metadata would help: the key of the client counts, and it is empty.
            MissingKey::Refuse if self.is_client_for_key => Err(KeyError::EmptyAtClient),
            MissingKey::Refuse => Err(KeyError::Missing(self.route.key.describe())),
        }
    }

    /// Whether the time of the call is over, so nobody waits for what would be begun now.
    pub(crate) fn has_expired(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline.has_passed())
    }

    /// Whether the call came over the network.
    pub(crate) fn is_received(&self) -> bool {
        self.is_received
    }

    /// Notes that the handler of this process gets the call.
    pub(crate) fn count_here(&self) {
        let (method, hops) = (self.route.method(), self.believed_hops());
        self.shared.record(&self.shared.counters.local, ForwardEvent::Handled { method, hops });
    }

    /// How often the call was forwarded, as far as its sender is believed.
    fn believed_hops(&self) -> u8 {
        if self.via.trusted { self.via.hops } else { 0 }
    }

    /// Prepares the request body for being read in part, or more than once.
    pub(crate) fn buffer(&self, body: Body) -> ReplayBuffer {
        let memory = Arc::clone(&self.shared.replay_memory);
        ReplayBuffer::new(Guard::new(body), self.shared.settings.replay_limit, memory)
    }

    /// The request body for a handler in this process.
    ///
    /// A whole message in a broken-off unary request is still the whole message, so only streams
    /// need the guard.
    pub(crate) fn body_for_handler(&self, body: Body) -> Body {
        if self.route.unary { body } else { Body::new(Guard::new(body)) }
    }

    /// Answers that the deadline has passed.
    pub(crate) fn answer_exceeded(&self) -> Response<Body> {
        self.shared.counters.deadlines_exceeded.add_one();
        self.answer(exceeded())
    }

    /// Answers that the first message of the call did not come in time.
    pub(crate) fn answer_late(&self) -> Response<Body> {
        self.shared.counters.first_messages_late.add_one();
        let limit = self.shared.settings.first_message_timeout;
        self.answer(Status::deadline_exceeded(format!(
            "the first message did not come within {limit:?}; see first_message_timeout"
        )))
    }

    /// Answers a call whose own request broke off with `status`.
    pub(crate) fn answer_broken(&self, status: Status) -> Response<Body> {
        self.shared.counters.broken_requests.add_one();
        self.answer(status)
    }

    /// Answers the call here.
    pub(crate) fn answer(&self, status: Status) -> Response<Body> {
        answer(status, self.protocol)
    }

    pub(crate) fn refuse_key(&self, error: KeyError) -> Response<Body> {
        self.shared.record(&self.shared.counters.bad_keys, ForwardEvent::BadKey);
        self.answer(error.into())
    }

    /// Refuses the call because members disagree about its owner, and tells what this one sees.
    pub(crate) fn refuse_disagreement(
        &self,
        disagreement: Disagreement,
        owner: Option<&Owner>,
    ) -> Response<Body> {
        let shared = &self.shared;
        let counter = match disagreement {
            Disagreement::Ring => &shared.counters.refused_ring_differs,
            Disagreement::Owner => &shared.counters.refused_not_owner,
            Disagreement::Loop => &shared.counters.refused_loop,
        };
        shared.record(counter, ForwardEvent::Refused { reason: disagreement.token() });
        if !self.via.trusted {
            let message = format!(
                "request was forwarded {} times and its key is owned elsewhere still; members disagree about the \
                 ring, or trust_hop_headers is not set on them",
                self.via.hops,
            );
            return self.answer(Status::failed_precondition(message));
        }
        let name = &shared.settings.name;
        let owner = shared.address_of(owner);
        let hop = self.via.hop();
        let path: Vec<_> =
            hop.iter().flat_map(Hop::intermediaries).chain([name.as_str()]).collect();
        let path = path.join(" > ");
        let epoch = self.resolver().epoch();
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

    /// Completes the response of a handler in this process. `lost` resolves when its stream is to
    /// end.
    pub(crate) fn finish_here(
        self,
        mut response: Response<Body>,
        lost: Option<Lost>,
    ) -> Response<Body>
    where
        T: Send + Sync + 'static,
    {
        // The handler has run. Metadata that it passes on from a call of its own must not say that
        // it has not.
        response.headers_mut().remove(REFUSED_HEADER);
        if self.explain {
            let hops = self.believed_hops();
            explain(&mut response, self.shared.name.clone(), hops);
        }
        if self.route.unary {
            return response;
        }
        // The handler of a stream runs until its stream ends.
        let (ticket, shared) = (self.ticket, self.shared);
        let response = response.map(|body| Body::new(Tracked::new(body, ticket)));
        moved::until_moved(response, lost, shared)
    }
}

/// Whether a request has passed `name`, or would go back to someone whom it has passed.
fn was_at(hop: &Hop<'_>, name: &str, next: Option<&Owner>) -> bool {
    let next = match next {
        Some(Owner::Remote(peer)) => peer.address(),
        _ => name,
    };
    hop.intermediaries().any(|member| member != UNNAMED && (member == name || member == next))
}
