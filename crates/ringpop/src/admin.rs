//! What an operator asks a running member and has it do.
//!
//! All callers that reach the port may ask. A command is carried out for those that
//! [`AdminAccess`] admits; each is logged with its caller, and counted.

pub(crate) mod access;
pub(crate) mod checksums;
mod commands;
pub(crate) mod comparing;
mod events;
mod log_level;
mod members;
mod off_ring;
mod settings;
pub(crate) mod state;

use std::convert::Infallible;
use std::sync::{Arc, Weak};

use http::Request as HttpRequest;
use http::Response as HttpResponse;
use ringpop_forward::ConnectionEnds;
use swim_core::wire::pb;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tower_service::Service;

use self::access::Caller;
pub use self::access::{AdminAccess, AdminAccessError};
use self::events::EventStream;
use self::members::{millis, short};
use self::state::count;
use crate::counters::Counters;
use crate::generated as proto;
use crate::generated::admin_server::{Admin, AdminServer};
use crate::inner::Inner;
use crate::limits::{
    ADMIN_READERS_MAX, ADMIN_REQUEST_BYTES_MAX, LOOKUP_KEY_BYTES_MAX, LOOKUP_OWNERS_MAX,
};
use crate::member::Ringpop;
use crate::state::State;
use crate::view::View;

/// The gRPC service of administration.
#[derive(Debug, Clone)]
pub(crate) struct AdminService {
    /// It does not keep the member running.
    member: Weak<Inner>,
    access: AdminAccess,
}

/// The service of a member, bounded.
pub(crate) fn server(member: &Arc<Inner>, access: AdminAccess) -> AdminServer<AdminService> {
    AdminServer::new(AdminService { member: Arc::downgrade(member), access })
        .max_decoding_message_size(ADMIN_REQUEST_BYTES_MAX)
}

impl Ringpop {
    /// The administration service of this member, to be served on another port as well, such as
    /// one on loopback that takes commands. The port of the member has it already, with the access
    /// of [`Builder::admin_access`](crate::Builder::admin_access).
    ///
    /// ```
    /// use ringpop::{AdminAccess, Ringpop};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let member = Ringpop::builder("rides").bind().await?;
    /// let admin = member.admin_service(AdminAccess::read_only().loopback());
    /// let routes = tonic::service::Routes::new(admin);
    /// # drop(routes);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn admin_service(
        &self,
        access: AdminAccess,
    ) -> impl Service<
        HttpRequest<Body>,
        Response = HttpResponse<Body>,
        Error = Infallible,
        Future: Send + 'static,
    >
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
    + use<> {
        server(&self.0, access)
    }
}

fn stopping() -> Status {
    Status::unavailable("this member is stopping")
}

/// The members of a view with all that is known of them, and the answer of the machine to a
/// question that is asked along with it.
async fn members_and<A: Send + 'static>(
    inner: &Inner,
    view: &View,
    ask: impl FnOnce(&swim_core::Node) -> A + Send + 'static,
) -> Result<(Vec<proto::MemberStatus>, A), Status> {
    let suspects = members::suspects(view);
    let ask = move |node: &mut swim_core::Node, now| {
        (members::suspicions(node, now, suspects), ask(node))
    };
    let answer = inner.handle.with(ask).await;
    let (mut suspicions, answer) = answer.map_err(|_| stopping())?;
    let mut members = members::members(view);
    let uptime = inner.start.elapsed();
    members::explain(&mut members, &inner.status_changes, &mut suspicions, uptime);
    Ok((members, answer))
}

/// The counters of the membership machine, and whether its gossip is stopped.
fn machine(node: &swim_core::Node) -> (swim_core::Stats, bool) {
    (*node.stats(), node.is_paused())
}

/// The status of a member without the members that it knows.
fn summary(
    inner: &Inner,
    view: &View,
    (swim, gossip_stopped): (swim_core::Stats, bool),
) -> proto::GetStatusResponse {
    let counters = Counters::new(inner, &swim);
    let counter = |(name, value): (&str, u64)| proto::Counter { name: name.to_owned(), value };
    proto::GetStatusResponse {
        app: inner.app.clone(),
        address: inner.address.to_string(),
        state: inner.lifecycle.state().as_str().to_owned(),
        membership_checksum: view.membership_checksum,
        ring_checksum: view.ring_checksum,
        members: Vec::new(),
        uptime_ms: millis(inner.start.elapsed()),
        counters: counters.iter().map(counter).collect(),
        problems: inner.problems.list().iter().map(ToString::to_string).collect(),
        instance: inner.instance,
        isolation: inner.isolation.borrow().as_str().to_owned(),
        placement: view.ring.placement().to_string(),
        gossip_stopped,
    }
}

impl AdminService {
    fn inner(&self) -> Result<Arc<Inner>, Status> {
        self.member.upgrade().ok_or_else(|| Status::unavailable("this member has stopped"))
    }

    /// The caller, if it is admitted; a refusal is counted and told.
    async fn admitted<Q>(
        &self,
        inner: &Inner,
        name: &'static str,
        request: &Request<Q>,
    ) -> Result<Caller, Status> {
        let admitted = self.access.admit(request).await;
        if admitted.is_err() {
            count(&inner.admin.commands_refused);
            let peer = ConnectionEnds::of(request.extensions()).remote;
            inner.admin.tell_refusal(&inner.address, name, peer);
        }
        admitted
    }

    /// Carries out a command of an admitted caller.
    async fn command<Q, A, F>(
        &self,
        name: &'static str,
        request: Request<Q>,
        act: impl FnOnce(Ringpop, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        Q: std::fmt::Debug,
        F: Future<Output = Result<A, Status>>,
    {
        let inner = self.inner()?;
        let caller = self.admitted(&inner, name, &request).await?;
        let member = inner.address.clone();
        count(&inner.admin.commands);
        let request = request.into_inner();
        tracing::info!(%member, command = name, %caller, ?request, "an operator gives a command");
        let result = act(Ringpop(inner), request).await;
        if let Err(failure) = &result {
            let reason = failure.message();
            tracing::warn!(%member, command = name, %caller, reason, "a command failed");
        }
        result.map(Response::new)
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    type WatchEventsStream = EventStream;

    async fn get_status(
        &self,
        _request: Request<proto::GetStatusRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        let inner = self.inner()?;
        let view = inner.views.load();
        let (members, machine) = members_and(&inner, &view, machine).await?;
        Ok(Response::new(proto::GetStatusResponse { members, ..summary(&inner, &view, machine) }))
    }

    async fn get_summary(
        &self,
        _request: Request<proto::GetSummaryRequest>,
    ) -> Result<Response<proto::GetStatusResponse>, Status> {
        let inner = self.inner()?;
        let machine = inner.handle.with(|node, _| machine(node)).await.map_err(|_| stopping())?;
        Ok(Response::new(summary(&inner, &inner.views.load(), machine)))
    }

    async fn lookup(
        &self,
        request: Request<proto::LookupRequest>,
    ) -> Result<Response<proto::LookupResponse>, Status> {
        let proto::LookupRequest { key, n } = request.into_inner();
        if key.len() > LOOKUP_KEY_BYTES_MAX {
            let bytes = key.len();
            return Err(Status::invalid_argument(format!(
                "key has {bytes} bytes, at most {LOOKUP_KEY_BYTES_MAX} are allowed"
            )));
        }
        let n = usize::try_from(n.max(1)).unwrap_or(LOOKUP_OWNERS_MAX).min(LOOKUP_OWNERS_MAX);
        let view = self.inner()?.views.load();
        let owners = view.lookup_n(&key, n).into_iter().map(str::to_owned).collect();
        Ok(Response::new(proto::LookupResponse { owners, ring_checksum: view.ring_checksum }))
    }

    async fn get_members(
        &self,
        request: Request<proto::GetMembersRequest>,
    ) -> Result<Response<proto::GetMembersResponse>, Status> {
        let request = request.into_inner();
        let wanted: Vec<pb::Status> = request.statuses().collect();
        let inner = self.inner()?;
        let view = inner.views.load();
        let (mut members, ()) = members_and(&inner, &view, |_| ()).await?;
        members.retain(|member| wanted.is_empty() || wanted.contains(&member.status()));
        let membership_checksum = view.membership_checksum;
        Ok(Response::new(proto::GetMembersResponse { members, membership_checksum }))
    }

    async fn get_ring(
        &self,
        _request: Request<proto::GetRingRequest>,
    ) -> Result<Response<proto::GetRingResponse>, Status> {
        Ok(Response::new(members::ring(&self.inner()?.views.load())))
    }

    async fn watch_events(
        &self,
        _request: Request<proto::WatchEventsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        let inner = self.inner()?;
        let Ok(place) = Arc::clone(&inner.admin.readers).try_acquire_owned() else {
            count(&inner.admin.readers_refused);
            return Err(Status::resource_exhausted(format!(
                "{ADMIN_READERS_MAX} others read the events of this member, as many as may"
            )));
        };
        let events = inner.listeners.subscribe();
        if inner.lifecycle.state() >= State::Draining {
            return Err(stopping());
        }
        Ok(Response::new(EventStream::new(events, place)))
    }

    async fn get_config(
        &self,
        _request: Request<proto::GetConfigRequest>,
    ) -> Result<Response<proto::GetConfigResponse>, Status> {
        let config = Ringpop(self.inner()?).config().await;
        let config = config.map_err(|error| Status::unavailable(error.to_string()))?;
        let settings = config.settings().map(settings::told).collect();
        Ok(Response::new(proto::GetConfigResponse { settings }))
    }

    async fn get_destinations(
        &self,
        _request: Request<proto::GetDestinationsRequest>,
    ) -> Result<Response<proto::GetDestinationsResponse>, Status> {
        let told = |destination: ringpop_forward::Destination| proto::Destination {
            address: destination.connections.address,
            state: destination.state.as_str().to_owned(),
            circuit_open: destination.connections.unreachable.is_some(),
            cause: destination.connections.unreachable.unwrap_or_default(),
            connections: short(destination.connections.connections),
            in_flight: short(destination.connections.in_flight),
        };
        let inner = self.inner()?;
        let destinations = inner.forwarder.destinations().into_iter().map(told).collect();
        let latency = inner.admin.latency.buckets();
        Ok(Response::new(proto::GetDestinationsResponse { destinations, latency }))
    }

    async fn check_access(
        &self,
        request: Request<proto::CheckAccessRequest>,
    ) -> Result<Response<proto::CheckAccessResponse>, Status> {
        let admitted = self.access.admit(&request).await;
        let reason = admitted.err().map(|refused| refused.message().to_owned());
        let allowed = reason.is_none();
        let reason = reason.unwrap_or_default();
        Ok(Response::new(proto::CheckAccessResponse { allowed, reason }))
    }

    async fn get_checksums(
        &self,
        _request: Request<proto::GetChecksumsRequest>,
    ) -> Result<Response<proto::GetChecksumsResponse>, Status> {
        Ok(Response::new(checksums::own(&*self.inner()?)))
    }

    async fn compare_checksums(
        &self,
        _request: Request<proto::CompareChecksumsRequest>,
    ) -> Result<Response<proto::CompareChecksumsResponse>, Status> {
        Ok(Response::new(checksums::compare(&*self.inner()?).await))
    }

    async fn get_propagation(
        &self,
        _request: Request<proto::GetPropagationRequest>,
    ) -> Result<Response<proto::GetPropagationResponse>, Status> {
        let inner = self.inner()?;
        let config = inner.handle.with(|node, _| node.config().clone()).await;
        let config = config.map_err(|_| stopping())?;
        let members = inner.views.with(|view| view.reachable().count());
        Ok(Response::new(inner.admin.propagation.told(&config, members)))
    }

    async fn get_log_level(
        &self,
        _request: Request<proto::GetLogLevelRequest>,
    ) -> Result<Response<proto::GetLogLevelResponse>, Status> {
        Ok(Response::new(log_level::get(&self.inner()?.admin)?))
    }

    async fn get_hot_keys(
        &self,
        request: Request<proto::GetHotKeysRequest>,
    ) -> Result<Response<proto::GetHotKeysResponse>, Status> {
        // Keys may be names of people. A screen asks for them every second, so the log has refusals
        // only.
        let inner = self.inner()?;
        self.admitted(&inner, "get hot keys", &request).await?;
        let n = request.into_inner().n;
        let told = inner.admin.hot_keys.as_ref().map(|hot| hot.told(n));
        Ok(Response::new(told.unwrap_or_default()))
    }

    async fn reconfigure(
        &self,
        request: Request<proto::ReconfigureRequest>,
    ) -> Result<Response<proto::ReconfigureResponse>, Status> {
        self.command("reconfigure", request, commands::reconfigure).await
    }

    async fn control_gossip(
        &self,
        request: Request<proto::ControlGossipRequest>,
    ) -> Result<Response<proto::ControlGossipResponse>, Status> {
        self.command("control gossip", request, commands::control_gossip).await
    }

    async fn leave(
        &self,
        request: Request<proto::LeaveRequest>,
    ) -> Result<Response<proto::LeaveResponse>, Status> {
        self.command("leave", request, commands::leave).await
    }

    async fn rejoin(
        &self,
        request: Request<proto::RejoinRequest>,
    ) -> Result<Response<proto::RejoinResponse>, Status> {
        self.command("rejoin", request, commands::rejoin).await
    }

    async fn reap(
        &self,
        request: Request<proto::ReapRequest>,
    ) -> Result<Response<proto::ReapResponse>, Status> {
        self.command("reap", request, commands::reap).await
    }

    async fn heal(
        &self,
        request: Request<proto::HealRequest>,
    ) -> Result<Response<proto::HealResponse>, Status> {
        self.command("heal", request, commands::heal).await
    }

    async fn change_labels(
        &self,
        request: Request<proto::ChangeLabelsRequest>,
    ) -> Result<Response<proto::ChangeLabelsResponse>, Status> {
        self.command("change labels", request, commands::change_labels).await
    }

    async fn evict(
        &self,
        request: Request<proto::EvictRequest>,
    ) -> Result<Response<proto::EvictResponse>, Status> {
        self.command("evict", request, off_ring::evict).await
    }

    async fn undo_evict(
        &self,
        request: Request<proto::UndoEvictRequest>,
    ) -> Result<Response<proto::UndoEvictResponse>, Status> {
        self.command("undo evict", request, off_ring::undo_evict).await
    }

    async fn drain(
        &self,
        request: Request<proto::DrainRequest>,
    ) -> Result<Response<proto::DrainResponse>, Status> {
        self.command("drain", request, off_ring::drain).await
    }

    async fn undrain(
        &self,
        request: Request<proto::UndrainRequest>,
    ) -> Result<Response<proto::UndrainResponse>, Status> {
        self.command("undrain", request, off_ring::undrain).await
    }

    async fn set_log_level(
        &self,
        request: Request<proto::SetLogLevelRequest>,
    ) -> Result<Response<proto::SetLogLevelResponse>, Status> {
        self.command("set log level", request, log_level::set).await
    }
}
