//! One port for everything: membership, administration, and the services of
//! the application behind the forwarder.

pub(crate) mod phase;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use ringpop_forward::ForwardService;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::service::Routes as Services;
use tower_layer::Layer;

use self::phase::Server;
use crate::admin;
use crate::generated::membership_server::MembershipServer;
use crate::generated::planned_moves_server::PlannedMovesServer;
use crate::generated::ring_watch_server::RingWatchServer;
use crate::gossip::MembershipService;
#[cfg(feature = "health")]
use crate::health::Health;
use crate::inner::Inner;
use crate::limits::{
    HAND_OFF_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX, RING_BYTES_MAX, SERVER_ENDED_LIMIT,
};
use crate::outermost::Outermost;
use crate::planned::PlannedMovesService;
use crate::problem::Problem;
use crate::problems::Problems;
use crate::ring_watch::WatchService;
use crate::security::CHECKED;
use crate::{agreement, propagation, routed, shutdown};

/// Why a member does not start to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It serves already.
    #[error("this member serves already; give all services to one call of `serve`")]
    AlreadyServing,
    /// It has stopped.
    #[error("this member has stopped")]
    Stopped,
}

impl Server {
    pub(crate) fn start<L>(
        &mut self,
        inner: &Arc<Inner>,
        services: Services,
        layer: L,
    ) -> Result<(), ServeError>
    where
        L: Layer<ForwardService<Services>, Service: Outermost> + Clone + Send + 'static,
    {
        match std::mem::replace(self, Self::Stopped) {
            Self::Bound(listener) => {
                let (stop, stopped) = oneshot::channel();
                routed::warn(inner.routed.as_deref(), &services, &inner.problems);
                serve_gossip(inner);
                let task = tokio::spawn(serve(inner, listener, services, layer, stopped));
                agreement::watch(inner);
                propagation::start(inner);
                *self = Self::Running { stop, task };
                Ok(())
            }
            running @ Self::Running { .. } => {
                *self = running;
                Err(ServeError::AlreadyServing)
            }
            Self::Stopped => Err(ServeError::Stopped),
        }
    }
}

/// Nobody can reach a member without a server: it stops.
fn ended_by_itself(member: &Weak<Inner>, problems: &Problems, reason: String) {
    problems.begin(Problem::ServerEnded { reason });
    if let Some(member) = member.upgrade() {
        drop(shutdown::begin(&member, Instant::now() + SERVER_ENDED_LIMIT));
    }
}

fn membership(inner: &Inner) -> MembershipServer<MembershipService> {
    let service = MembershipService::new(inner.handle.downgrade(), inner.security.clone());
    MembershipServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves the membership protocol on its own port, if it has one. It ends with the member.
fn serve_gossip(inner: &Inner) {
    let Some(thread) = &inner.gossip_thread else { return };
    let limits = inner.server_limits.clone();
    let mut server = ringpop_forward::server_with(&limits).expect(CHECKED);
    let server = server.add_service(membership(inner));
    let (security, member) = (inner.security.clone(), inner.address.clone());
    thread.serve(move |listener| async move {
        if let Err(error) = security.serve_gossip(server, listener, &limits).await {
            let error = ringpop_forward::explain_failure(&error);
            tracing::error!(%member, %error, "the gossip port is not served any more");
        }
    });
}

/// Serves until `stopped` resolves, then finishes the calls under way.
fn serve<L>(
    inner: &Arc<Inner>,
    listener: TcpListener,
    services: Services,
    layer: L,
    stopped: oneshot::Receiver<()>,
) -> impl Future<Output = ()> + use<L>
where
    L: Layer<ForwardService<Services>, Service: Outermost> + Clone + Send + 'static,
{
    let membership = membership(inner);
    let admin = admin::server(inner, inner.admin.access.clone());
    let ring = RingWatchServer::new(WatchService::new(Arc::downgrade(inner)))
        .max_encoding_message_size(RING_BYTES_MAX);
    let (planner, handle) = (Arc::clone(&inner.planner), inner.handle.downgrade());
    let moves = PlannedMovesService::new(planner, handle, inner.security.clone());
    let moves =
        PlannedMovesServer::new(moves).max_decoding_message_size(HAND_OFF_MESSAGE_BYTES_MAX);
    let services = services.add_service(membership).add_service(admin).add_service(ring);
    let services = services.add_service(moves);
    #[cfg(feature = "health")]
    let (health, health_service) = Health::new(inner.lifecycle.watch(), inner.views.unfit());
    #[cfg(feature = "health")]
    let services = services.add_service(health_service);
    let limits = inner.server_limits.clone();
    let server = ringpop_forward::server_with(&limits).expect(CHECKED).accept_http1(inner.http1);
    let mut server = server.layer(layer).layer(inner.forwarder.layer());
    let server = server.add_routes(services);
    let security = inner.security.clone();
    let (member, problems) = (Arc::downgrade(inner), Arc::clone(&inner.problems));
    async move {
        let asked = Arc::new(AtomicBool::new(false));
        let asked_to_stop = Arc::clone(&asked);
        #[cfg(feature = "health")]
        let watches = health.clone();
        let stop = async move {
            // Both a sent signal and a dropped sender mean to stop.
            drop(stopped.await);
            asked_to_stop.store(true, Ordering::Release);
            #[cfg(feature = "health")]
            watches.end_watches().await;
        };
        let serving = security.serve(server, listener, &limits, stop, &problems);
        #[cfg(feature = "health")]
        let serving = health.beside(serving);
        let end = serving.await;
        if asked.load(Ordering::Acquire) {
            return;
        }
        let reason = end.err().map_or_else(
            || "without an error".to_owned(),
            |error| ringpop_forward::explain_failure(&error),
        );
        ended_by_itself(&member, &problems, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::member::Ringpop;
    use crate::state::State;

    #[tokio::test]
    async fn a_member_whose_server_ended_stops_and_says_why() {
        let member = Ringpop::builder("test").bind().await.expect("a port is free");
        member.serve(Services::default()).expect("it is bound");
        member.bootstrap().await.expect("it is alone");
        let mut events = member.events();
        let reason = "the listener broke".to_owned();
        ended_by_itself(&Arc::downgrade(&member.0), &member.0.problems, reason.clone());
        assert_eq!(member.state(), State::Draining, "whoever watches the state sees it at once");
        let problem = Problem::ServerEnded { reason };
        let told = async {
            loop {
                match events.next().await {
                    Some(Event::ProblemBegan(told)) => return told,
                    other => assert!(other.is_some(), "it is told before the end"),
                }
            }
        };
        assert_eq!(told.await, problem);
        member.reached(State::Stopped).await;
        assert_eq!(member.problems(), [problem]);
    }
}
