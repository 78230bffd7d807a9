//! Settings of the server: its socket and address, its limits, its callers.

use std::net::SocketAddr;
use std::time::Duration;

use ringpop_forward::ServerLimits;

use super::Builder;
use crate::admin::access::AdminAccess;
use crate::hooks::HookPoint;
use crate::listen::Listen;
use crate::log_control::LogControl;

impl Builder {
    /// Runs `hook` at a point of the life of this member, for at most `limit`, up to ten minutes:
    /// then it is ended, and what it was to come before goes on. Several of one point run in the
    /// order in which they were given. Within a [shutdown](crate::Ringpop::shutdown) they also end
    /// with the time of that.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ringpop::{HookPoint, Ringpop};
    /// # async fn flush() {}
    /// let second = Duration::from_secs(1);
    /// let builder = Ringpop::builder("rides")
    ///     .hook(HookPoint::BeforeLeave, second, || async { println!("still the owner") })
    ///     .hook(HookPoint::AfterLeave, second, || flush());
    /// ```
    pub fn hook<F>(
        mut self,
        point: HookPoint,
        limit: Duration,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.add(point, limit, hook);
        self
    }

    /// Where to listen. Default: loopback, a free port.
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = Listen::At(listen);
        self
    }

    /// Serves on a socket that listens already, such as one that the supervisor of
    /// this process passed on, in place of [`listen`](Self::listen). It need not be
    /// non-blocking.
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?.to_string();
    /// let member = Ringpop::builder("rides").listener(listener).bind().await?;
    /// assert_eq!(member.whoami(), address);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listener(mut self, listener: std::net::TcpListener) -> Self {
        self.listen = Listen::On(listener);
        self
    }

    /// Gives the membership protocol a port and a thread of its own. Handlers that compute or block
    /// for long, on all threads of the runtime, then delay no ping and no answer to one: this
    /// member is not suspected for it, and suspects nobody. Default: it shares the port and the
    /// runtime of the application.
    ///
    /// Others learn the port by a label, and dial it at the host of the
    /// [advertised](Self::advertise) address: it must be reachable for them under the same number.
    /// Members that do not know this one yet, to join it, ask at its address as ever.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ringpop::Ringpop;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let member = Ringpop::builder("rides")
    ///     .listen("127.0.0.1:0".parse()?)
    ///     .gossip_listen("127.0.0.1:0".parse()?)
    ///     .bind()
    ///     .await?;
    /// # member.serve(tonic::service::Routes::default())?;
    /// # member.bootstrap().await?;
    /// # member.shutdown(Duration::from_secs(5)).await;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn gossip_listen(mut self, listen: SocketAddr) -> Self {
        self.gossip_listen = Some(listen);
        self
    }

    /// The address `host:port` at which other members reach this one.
    /// Default: the address it listens on. One that nobody can dial is refused:
    /// `0.0.0.0`, `::`, broadcast, multicast, an IPv6 link-local address, a name
    /// that cannot be. Spellings do not matter: others see the canonical form.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// How long a member that was ready still serves and forwards everything after it has begun to
    /// stop, while its health says NOT_SERVING: clients and load balancers go elsewhere before
    /// connections end. At most half of the time that [`Ringpop::shutdown`] has. Default:
    /// [`LAME_DUCK`](crate::limits::LAME_DUCK).
    ///
    /// [`Ringpop::shutdown`]: crate::Ringpop::shutdown
    pub const fn lame_duck(mut self, time: Duration) -> Self {
        self.lame_duck = time;
        self
    }

    /// What callers may hold of the server of this member: streams,
    /// connections, unread answers, requests that do not come, metadata.
    /// [`Ringpop::server_stats`] counts who met them. Default:
    /// [`ServerLimits::default`].
    ///
    /// [`Ringpop::server_stats`]: crate::Ringpop::server_stats
    pub fn server_limits(mut self, limits: ServerLimits) -> Self {
        self.server_limits = limits;
        self
    }

    /// Whether callers may speak HTTP/1 beside HTTP/2, on the port of this member: for routes of
    /// axum, or gRPC-Web, beside the services of gRPC. Members always speak HTTP/2. The server
    /// sets no limit on the time that the head of an HTTP/1 request takes; where strangers reach
    /// the port, put a proxy before it. Default: no.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use ringpop::Ringpop;
    /// use ringpop::tonic::service::Routes;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let member = Ringpop::builder("rides").http1(true).bind().await?;
    /// let router = Router::new().route("/hello", get(|| async { "hello" }));
    /// member.serve(Routes::from(router))?; // `add_service` adds those of gRPC
    /// # Ok(())
    /// # }
    /// ```
    pub const fn http1(mut self, accept: bool) -> Self {
        self.http1 = accept;
        self
    }

    /// The callers that may have this member do something by its administration service. All
    /// callers that reach the port may ask it. Default: nobody, [`AdminAccess::read_only`].
    pub fn admin_access(mut self, access: AdminAccess) -> Self {
        self.admin_access = access;
        self
    }

    /// Lets operators ask and change the level of the log by the administration service; a change
    /// is a command as others are. Several members of one process share the log. Default: it stays
    /// as the application set it.
    pub fn log_control(mut self, control: impl LogControl) -> Self {
        self.log_control = Some(Box::new(control));
        self
    }

    /// Tells the recorder of the crate `metrics` what happens as it happens: forwarded requests and
    /// their attempts, round trips, joins, changes of the ring. Each figure has the label `member`,
    /// the address of this one. [`Ringpop::record_metrics`] tells the rest;
    /// [`metrics::table`](crate::metrics::table()) lists all. Default: nothing is told.
    ///
    /// [`Ringpop::record_metrics`]: crate::Ringpop::record_metrics
    #[cfg(feature = "metrics")]
    pub const fn metrics(mut self, on: bool) -> Self {
        self.metrics = on;
        self
    }

    /// Encrypts all connections, of the membership protocol, of forwarded
    /// requests and of clients, and takes only those for members who present a
    /// certificate of the cluster's authority. The files are read again when
    /// they change, for as long as this member serves. Default: plain text.
    ///
    /// ```no_run
    /// use ringpop::Ringpop;
    /// use ringpop::forward::{Tls, TlsFiles};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let files = TlsFiles::new("member.pem", "member.key", "cluster.pem");
    /// let member = Ringpop::builder("rides").tls(Tls::new(files)?).bind().await?;
    /// # let _ = member;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ringpop_forward::Tls) -> Self {
        self.security = tls.into();
        self
    }

    /// Has the connections that this member opens pass through a network on which ways are cut, for
    /// tests and clusters of development. `address` is the one that this member advertises.
    /// Encrypted connections do not pass through it.
    ///
    /// ```
    /// use ringpop::Ringpop;
    /// use ringpop::testing::Network;
    ///
    /// let network = Network::new();
    /// let builder = Ringpop::builder("rides").network("10.0.0.1:7100", &network);
    /// network.partition(&[&["10.0.0.1:7100"], &["10.0.0.2:7100"]]);
    /// # drop(builder);
    /// ```
    #[cfg(feature = "testing")]
    pub fn network(mut self, address: &str, network: &crate::testing::Network) -> Self {
        self.security.set_link(crate::testing::Link::new(address, network.clone()));
        self
    }
}
