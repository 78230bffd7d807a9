//! One port for everything: membership, administration, and the services of
//! the application behind the forwarder.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::service::Routes as Services;

use crate::admin::AdminService;
use crate::generated::admin_server::AdminServer;
use crate::generated::membership_server::MembershipServer;
use crate::gossip::MembershipService;
#[cfg(feature = "health")]
use crate::health::Health;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::member::Inner;

/// The server of a member.
#[derive(Debug)]
pub(crate) enum Server {
    /// Has the port and does not serve yet.
    Bound(TcpListener),
    /// Serves. Dropping `stop` lets it finish what is under way and end.
    Running { stop: oneshot::Sender<()>, task: JoinHandle<()> },
    /// Has stopped.
    Stopped,
}

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
    pub(crate) fn start(
        &mut self,
        inner: &Arc<Inner>,
        services: Services,
    ) -> Result<(), ServeError> {
        match std::mem::replace(self, Self::Stopped) {
            Self::Bound(listener) => {
                let (stop, stopped) = oneshot::channel();
                let task = tokio::spawn(serve(inner, listener, services, stopped));
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

/// Serves until `stopped` resolves, then finishes what is under way.
fn serve(
    inner: &Arc<Inner>,
    listener: TcpListener,
    services: Services,
    stopped: oneshot::Receiver<()>,
) -> impl Future<Output = ()> + use<> {
    let membership =
        MembershipServer::new(MembershipService::new(inner.handle.clone(), inner.security.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let admin = AdminServer::new(AdminService::new(Arc::downgrade(inner)));
    let services = services.add_service(membership).add_service(admin);
    #[cfg(feature = "health")]
    let (health, health_service) = Health::new(inner.lifecycle.watch(), inner.views.unreachable());
    #[cfg(feature = "health")]
    let services = services.add_service(health_service);
    let server = ringpop_forward::server().layer(inner.forwarder.layer()).add_routes(services);
    let security = inner.security.clone();
    async move {
        #[cfg(feature = "health")]
        let watches = health.clone();
        let stop = async move {
            // Both a sent signal and a dropped sender mean to stop.
            drop(stopped.await);
            #[cfg(feature = "health")]
            watches.end_watches().await;
        };
        let serving = security.serve(server, listener, stop);
        #[cfg(feature = "health")]
        let serving = health.beside(serving);
        if let Err(error) = serving.await {
            tracing::error!(%error, "the server of this member ended");
        }
    }
}
