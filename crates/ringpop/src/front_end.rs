//! Services of a member on further listeners, for clients.

use std::fmt;
use std::sync::Arc;

use http::{Request, Response};
use ringpop_forward::{ForwardLayer, ForwardService, ServerLimits};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::service::Routes as Services;
use tonic::transport::server::Connected;
use tower_layer::{Identity, Layer, layer_fn};
use tower_service::Service;

use crate::lifecycle::Lifecycle;
use crate::member::Ringpop;
use crate::security::{ByFrontEnd, CHECKED};
use crate::state::State;

/// Services on a further listener: a Unix socket, another port, or any stream of connections.
///
/// They are behind the forwarder of the member, so a caller here reaches the owner of its key as
/// one at the port of the member does. A front end is for clients. It never carries the membership
/// protocol, which other members dial at a TCP address, and nobody who comes this way is taken for
/// a member: certificates of members and hop headers count at the port of the member only.
///
/// The administration service gets a port of its own in this way:
///
/// ```
/// use ringpop::tonic::service::Routes;
/// use ringpop::{AdminAccess, FrontEnd, Ringpop, forward};
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let member = Ringpop::builder("rides").bind().await?;
/// let admin = member.admin_service(AdminAccess::read_only().loopback());
/// // With `Tls::incoming` in the place of `incoming`, encrypted by certificates of its own.
/// let connections = forward::incoming(TcpListener::bind("127.0.0.1:0").await?);
/// let stop = std::future::ready(()); // or until the process is told to stop
/// FrontEnd::new(&member, Routes::new(admin)).serve(connections, stop).await?;
/// # Ok(())
/// # }
/// ```
///
/// Routes of axum, over HTTP/1 and HTTP/2, on a Unix socket:
///
/// ```
/// # #[cfg(unix)]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::get};
/// use ringpop::tonic::service::Routes;
/// use ringpop::{FrontEnd, Ringpop};
/// use tokio::net::UnixListener;
/// use tokio_stream::wrappers::UnixListenerStream;
///
/// # let member = Ringpop::builder("rides").bind().await?;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("rides.sock");
/// let router = Router::new().route("/hello", get(|| async { "hello" }));
/// let connections = UnixListenerStream::new(UnixListener::bind(path)?);
/// # let stop = std::future::ready(());
/// FrontEnd::new(&member, Routes::from(router)).http1(true).serve(connections, stop).await?;
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[must_use = "it serves nothing until `serve` is called"]
pub struct FrontEnd<L = Identity> {
    services: Services,
    layer: L,
    forwarding: ForwardLayer,
    limits: ServerLimits,
    http1: bool,
    lifecycle: Arc<Lifecycle>,
}

impl FrontEnd {
    /// These services of a member; those that it serves at its own port are not among them by
    /// themselves.
    pub fn new(member: &Ringpop, services: Services) -> Self {
        let inner = &member.0;
        Self {
            services,
            layer: Identity::new(),
            forwarding: inner.forwarder.layer(),
            limits: inner.server_limits.clone(),
            http1: false,
            lifecycle: Arc::clone(&inner.lifecycle),
        }
    }
}

impl<L> FrontEnd<L> {
    /// A layer of the application around everything, before the forwarder, in the place of the one
    /// that was given before.
    pub fn layer<M>(self, layer: M) -> FrontEnd<M> {
        let Self { services, forwarding, limits, http1, lifecycle, .. } = self;
        FrontEnd { services, layer, forwarding, limits, http1, lifecycle }
    }

    /// Whether callers may speak HTTP/1 beside HTTP/2. Default: no.
    pub const fn http1(mut self, accept: bool) -> Self {
        self.http1 = accept;
        self
    }

    /// Serves the connections that come until `stop` resolves, and then finishes the requests under
    /// way. It ends with the member, too. At the end of a process that drains,
    /// [`Ringpop::leave`] comes first, then the end of its front ends, then
    /// [`Ringpop::shutdown`].
    ///
    /// [`forward::incoming`](ringpop_forward::incoming) and `forward::Tls::incoming` make the
    /// connections of a TCP listener, with [limits](ringpop_forward::Incoming::limits) on what each
    /// address holds. What the connections of another stream hold is bounded as far as HTTP/2 and
    /// the forwarder do: streams of a connection, header lists, calls in flight. The permissions of
    /// its file say who reaches a Unix socket.
    ///
    /// # Errors
    ///
    /// When the stream of connections fails.
    #[allow(
        clippy::missing_panics_doc,
        reason = "the limits were checked when the member was bound"
    )]
    pub async fn serve<I, S, E, B>(
        self,
        connections: I,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error>
    where
        I: Stream<Item = Result<S, E>>,
        S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        E: Into<StdError>,
        L: Layer<ForwardService<Services>> + Clone + Send + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<StdError> + Send,
        B: HttpBody<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        let Self { services, layer, forwarding, limits, http1, lifecycle } = self;
        let server = ringpop_forward::server_with(&limits).expect(CHECKED).accept_http1(http1);
        let mark = layer_fn(|inner| Marked { inner });
        let mut server = server.layer(mark).layer(layer).layer(forwarding);
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = lifecycle.reached(State::Stopped) => {}
            }
        };
        server.add_routes(services).serve_with_incoming_shutdown(connections, stop).await
    }
}

impl<L> fmt::Debug for FrontEnd<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontEnd").field("http1", &self.http1).finish_non_exhaustive()
    }
}

/// Marks requests as those of clients.
#[derive(Clone, Debug)]
struct Marked<S> {
    inner: S,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Marked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        request.extensions_mut().insert(ByFrontEnd);
        self.inner.call(request)
    }
}
