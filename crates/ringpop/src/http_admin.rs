//! Feature `http-admin`: administration as JSON over HTTP, and a page for people that shows it.
//!
//! Everything is asked through the gRPC service of administration, in this process or over the
//! network. That service alone decides which callers may give commands.

mod answers;
mod api;
mod asking;
mod commands;
mod events;
mod guard;
mod page;
mod query;
mod refusal;
mod source;
mod token;

use std::fmt;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use ringpop_forward::ServerLimits;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Channel;

use self::guard::Guard;
use self::source::Source;
use self::token::Token;
use crate::admin::access::AdminAccess;
use crate::member::Ringpop;
use crate::security::Security;

/// The description of the interface in the form of OpenAPI 3.1, as it is served, too.
pub const OPENAPI: &str = include_str!("../openapi/admin.json");

/// A page that shows a cluster, and the JSON behind it, on a listener of its own.
///
/// The callers that may give commands are the same as by gRPC. A request must name an IP address,
/// `localhost` or one of the [hosts](Self::host) as its host, and a page of another origin is
/// refused: no web site reaches a listener on loopback through the browser of its visitor.
///
/// ```
/// use ringpop::http_admin::AdminHttp;
/// use ringpop::{AdminAccess, Ringpop};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let member = Ringpop::builder("rides").bind().await?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let admin = AdminHttp::new(&member, AdminAccess::read_only().loopback());
/// let stop = std::future::ready(()); // or until the process is told to stop
/// admin.serve(listener, stop).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it serves nothing until `serve` is called"]
pub struct AdminHttp {
    source: Source,
    security: Security,
    limits: ServerLimits,
    hosts: Vec<String>,
    controller: Option<Routes>,
    token: Option<Token>,
}

impl AdminHttp {
    /// Of a member of this process. With `Builder::tls` the listener is encrypted, too.
    pub fn new(member: &Ringpop, access: AdminAccess) -> Self {
        Self {
            source: Source::member(&member.0, access),
            security: member.0.security.clone(),
            limits: member.0.server_limits.clone(),
            hosts: Vec::new(),
            controller: None,
            token: None,
        }
    }

    /// Of a member that is asked over the network, on a plain listener. `choose` says for each
    /// request which one. That member takes commands from this process, so every caller of the
    /// listener gives them in its name: listen on loopback, and set a [token](Self::token).
    pub fn remote(choose: impl Fn() -> Option<Channel> + Send + Sync + 'static) -> Self {
        Self {
            source: Source::Remote(Arc::new(choose)),
            security: Security::default(),
            limits: ServerLimits::default(),
            hosts: Vec::new(),
            controller: None,
            token: None,
        }
    }

    /// A name by which browsers may ask for this listener, without the port. IP addresses and
    /// `localhost` may be used anyway.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Takes commands, by `POST`, only from callers that send this secret as `authorization: Bearer
    /// TOKEN`. The page takes it from the fragment of its own URL: `http://HOST:PORT/#token=TOKEN`.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token::new(token.into()));
        self
    }

    /// Routes below `/api/v1/dev` that start and stop the processes of a cluster, behind the same
    /// checks of host, origin and token. The page asks for `cluster` there every second, and sends
    /// what a person wants by `POST`.
    pub fn controller(mut self, routes: Routes) -> Self {
        self.controller = Some(routes);
        self
    }

    /// Serves until `stop` resolves, then finishes the requests under way. Streams of events end
    /// when the member begins to stop.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let Self { source, security, limits, hosts, controller, token } = self;
        let has_controller = controller.is_some();
        let own = api::Listener { has_controller, token: token.clone() };
        let mut router = api::router(source, own).merge(page::router());
        if let Some(routes) = controller {
            router = router.merge(routes.into_axum_router());
        }
        let router = router
            .fallback(refusal::no_such_path)
            .method_not_allowed_fallback(refusal::no_such_method)
            .layer(from_fn_with_state(Guard::new(hosts, token), guard::guard));
        security.serve_http(Routes::from(router), listener, &limits, stop).await
    }
}

impl fmt::Debug for AdminHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminHttp").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
