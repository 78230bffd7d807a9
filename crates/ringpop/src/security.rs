//! Whether the connections between members are encrypted, and who may speak as a member.
//!
//! The rest of the crate asks here and does not know whether TLS is compiled in.

use std::sync::{Arc, OnceLock};
use std::time::Duration;
#[cfg(feature = "tls")]
use std::time::SystemTime;

use http::Extensions;
use ringpop_forward::{
    AcceptCounters, AcceptStats, ConfigError, ForwardLayer, ForwardService, H2Config, H2Transport,
    LimitLayer, ServerLimits, ServerStats, TcpConnector,
};
use tokio::net::TcpListener;
use tonic::service::Routes as Services;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower_layer::{Identity, Layer, Stack};

#[cfg(feature = "tls")]
use ringpop_forward::{Tls, is_verified};

use crate::bind_error::BindError;
#[cfg(feature = "tls")]
use crate::certificate;
use crate::outermost::Outermost;
use crate::problems::Problems;

/// The layers around the services of a member, the outermost last.
type Layers<L> = Stack<ForwardLayer, Stack<L, Stack<LimitLayer, Identity>>>;

/// Why limits are within their bounds.
pub(crate) const CHECKED: &str = "limits are checked when a member is bound";

/// In the extensions of requests that came by a front end, where no members are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByFrontEnd;

/// How members recognize each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    /// The network of a test.
    #[cfg(feature = "testing")]
    link: Option<crate::testing::Link>,
    /// What the listener counts, once it listens.
    accepted: Arc<OnceLock<AcceptCounters>>,
}

#[cfg(feature = "tls")]
impl From<Tls> for Security {
    fn from(tls: Tls) -> Self {
        Self { tls: Some(tls), ..Self::default() }
    }
}

impl Security {
    /// Has plain connections pass through the network of a test.
    #[cfg(feature = "testing")]
    pub(crate) fn set_link(&mut self, link: crate::testing::Link) {
        self.link = Some(link);
    }

    /// Whether connections pass through the network of a test, which knows members by their
    /// addresses.
    pub(crate) const fn has_link(&self) -> bool {
        #[cfg(feature = "testing")]
        return self.link.is_some();
        #[cfg(not(feature = "testing"))]
        false
    }

    /// Whether connections are encrypted, and callers may have certificates.
    pub(crate) const fn is_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// The connections of the forwarder.
    pub(crate) fn transport(&self, config: H2Config) -> Result<H2Transport, ConfigError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return H2Transport::with_connector(config, tls.connector());
        }
        #[cfg(feature = "testing")]
        if let Some(link) = &self.link {
            return H2Transport::with_connector(config, link.clone());
        }
        H2Transport::new(config)
    }

    /// A connection of the membership protocol, which the first call opens within `limit`.
    pub(crate) fn channel(&self, endpoint: Endpoint, limit: Duration) -> Channel {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.channel(&endpoint.connect_timeout(limit));
        }
        #[cfg(feature = "testing")]
        if let Some(link) = &self.link {
            return endpoint.connect_timeout(limit).connect_with_connector_lazy(link.clone());
        }
        endpoint.connect_with_connector_lazy(TcpConnector::within(limit))
    }

    /// Whether a request comes from a member.
    ///
    /// Members and clients share the port. Without certificates nothing tells them apart, and every
    /// caller that reaches the port is believed. On front ends nobody is.
    pub(crate) fn is_member(&self, extensions: &Extensions) -> bool {
        if extensions.get::<ByFrontEnd>().is_some() {
            return false;
        }
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return is_verified(extensions);
        }
        true
    }

    /// Lets only members pass.
    pub(crate) fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        if self.is_member(request.extensions()) {
            return Ok(());
        }
        Err(Status::permission_denied(
            "only members may ask this: present a certificate of the cluster",
        ))
    }

    /// Refuses a certificate that is not valid any more.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return certificate::check(tls, SystemTime::now());
        }
        Ok(())
    }

    /// Counters of connections before their first request.
    pub(crate) fn accept_stats(&self) -> AcceptStats {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.accept_stats();
        }
        self.accepted.get().map(AcceptCounters::stats).unwrap_or_default()
    }

    /// Counters of the limits that callers met.
    pub(crate) fn server_stats(&self) -> ServerStats {
        self.accepted.get().map(AcceptCounters::server_stats).unwrap_or_default()
    }

    /// Counters of certificates and handshakes; nothing without TLS.
    pub(crate) fn tls_stats(&self) -> Vec<(&'static str, u64)> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let is_of_tls =
                |(name, _): &(&str, u64)| !tls.accept_stats().iter().any(|(n, _)| n == *name);
            return tls.stats().iter().filter(is_of_tls).collect();
        }
        Vec::new()
    }

    /// Serves the gossip port for as long as its runtime lives.
    pub(crate) async fn serve_gossip(
        &self,
        server: Router<Stack<LimitLayer, Identity>>,
        listener: TcpListener,
        limits: &ServerLimits,
    ) -> Result<(), tonic::transport::Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let incoming = tls.incoming(listener).limits(limits).expect(CHECKED);
            return server.serve_with_incoming(incoming).await;
        }
        let incoming = ringpop_forward::incoming(listener).limits(limits).expect(CHECKED);
        server.serve_with_incoming(incoming).await
    }

    /// Serves until `stop` resolves, then finishes the calls under way.
    pub(crate) async fn serve<L>(
        &self,
        server: Router<Layers<L>>,
        listener: TcpListener,
        limits: &ServerLimits,
        stop: impl Future<Output = ()>,
        problems: &Problems,
    ) -> Result<(), tonic::transport::Error>
    where
        L: Layer<ForwardService<Services>, Service: Outermost> + Clone + Send + 'static,
    {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let incoming = tls.incoming(listener).limits(limits).expect(CHECKED);
            let _ = self.accepted.set(incoming.counters());
            return tokio::select! {
                end = server.serve_with_incoming_shutdown(incoming, stop) => end,
                () = tls.watch() => Ok(()),
                never = certificate::watch(tls, problems) => never,
            };
        }
        let _ = problems;
        let incoming = ringpop_forward::incoming(listener).limits(limits).expect(CHECKED);
        // A member serves once.
        let _ = self.accepted.set(incoming.counters());
        server.serve_with_incoming_shutdown(incoming, stop).await
    }

    /// Serves HTTP/1 and HTTP/2 on a further listener until `stop` resolves, with the same bounds
    /// and certificates.
    #[cfg(feature = "http-admin")]
    pub(crate) async fn serve_http(
        &self,
        services: Services,
        listener: TcpListener,
        limits: &ServerLimits,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let mut server = ringpop_forward::server_with(limits).expect(CHECKED).accept_http1(true);
        let server = server.add_routes(services);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let incoming = tls.incoming(listener).limits(limits).expect(CHECKED);
            return server.serve_with_incoming_shutdown(incoming, stop).await;
        }
        let incoming = ringpop_forward::incoming(listener).limits(limits).expect(CHECKED);
        server.serve_with_incoming_shutdown(incoming, stop).await
    }
}
