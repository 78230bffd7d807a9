//! A member of a Ringpop cluster: what the application holds.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::Discovery;
use swim_core::{Address, Config, Init, Isolation, Labels, Node};
use swim_driver::limits::ALONE_AFTER;
use swim_driver::{Driver, Handle, Hosts, Start, Stopped, queue};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::admin::Admin;
use crate::bind_error::BindError;
use crate::bootstrap::{BootstrapError, Bootstrapped};
use crate::channel::{Peers, Shared, listen};
use crate::command_error::{LeaveRingError, RejoinError, SetLabelsError};
use crate::commands::{self, Expected, Joiner, Nobody};
use crate::counters::{Counters, TransportStats};
use crate::dialect::ChecksumForm;
use crate::limits::CHANGES_BYTES_MAX;
use crate::publishing::{Publishing, Watched};
use crate::service::Service;
use crate::transport::{Calls, Findings};
use crate::view::View;

/// A member of a cluster of ringpop-go or ringpop-node processes.
///
/// It has the words of the member of the crate `ringpop` where it does the same. It gossips,
/// places itself on the ring that all of them share, and serves
/// their protocol and their endpoints for operators. It forwards no requests:
/// how those travel is the application's own agreement with its peers.
///
/// ```no_run
/// use std::time::Duration;
///
/// use ringpop_tchannel::Bridge;
/// use ringpop_tchannel::discovery::JsonFile;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bridge = Bridge::builder("rides")
///     .listen("10.0.0.7:3000".parse()?)
///     .discovery(JsonFile::new("hosts.json"))
///     .bind()
///     .await?;
/// let bootstrapped = bridge.bootstrap().await?;
/// println!("joined {:?}", bootstrapped.joined);
///
/// let view = bridge.view();
/// println!("driver-42 belongs to {:?}", view.lookup(b"driver-42"));
///
/// // Others hear of it before the process ends.
/// bridge.evict_self(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
///
/// Dropping it closes all connections without a word to the others.
#[derive(Debug)]
#[must_use = "dropping it closes all connections"]
pub struct Bridge {
    app: Arc<str>,
    address: Address,
    handle: Handle,
    views: watch::Receiver<Arc<View>>,
    watched: Watched,
    start: Instant,
    counters: Arc<Counters>,
    joiner: Joiner,
    tasks: [JoinHandle<()>; 2],
}

/// Collects the settings of a [`Bridge`].
#[must_use = "a builder does nothing until `bind` is called"]
pub struct BridgeBuilder {
    app: String,
    listen: SocketAddr,
    advertise: Option<String>,
    identity: Option<String>,
    labels: Vec<(String, String)>,
    config: Config,
    checksum_form: Option<ChecksumForm>,
    discovery: Option<Arc<dyn Discovery>>,
    alone_after: Option<Duration>,
    expected: Option<Expected>,
}

impl Bridge {
    /// Starts with the name of the application, which all members of the
    /// cluster share.
    pub fn builder(app: impl Into<String>) -> BridgeBuilder {
        BridgeBuilder {
            app: app.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: None,
            identity: None,
            labels: Vec::new(),
            config: Config::ringpop(),
            checksum_form: None,
            discovery: None,
            alone_after: Some(ALONE_AFTER),
            expected: None,
        }
    }

    /// Joins the cluster that discovery lists, and begins to gossip. Discovery is asked again after
    /// each pause, and looked at at once when its list changes. When it has nobody to join for
    /// [`BridgeBuilder::start_alone_after`], this member begins a cluster of its own, which the log
    /// and [`TransportStats::alone`] tell, and goes on looking.
    ///
    /// # Errors
    ///
    /// [`BootstrapError`] when nobody answers within the configuration's `join_duration_max`,
    /// discovery could not be asked for all that time, the checksums of the cluster have another
    /// form than the one that was chosen, or this member has joined already.
    pub async fn bootstrap(&self) -> Result<Bootstrapped, BootstrapError> {
        commands::bootstrap(self.joiner.clone()).await
    }

    /// Declares this member faulty, as Ringpop does when a process ends, and waits within `limit`
    /// until two in five of the others were told, or had the time of a ping to answer; gives how
    /// many confirmed it. It comes back by [`rejoin`](Self::rejoin).
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left already. Members that did not confirm within
    /// `limit` are no error: they learn it by gossip.
    pub async fn evict_self(&self, limit: Duration) -> Result<usize, LeaveRingError> {
        commands::go(&self.handle, limit, Node::evict_self).await
    }

    /// Leaves the ring and tells the others, within `limit`; gives how many confirmed it. This
    /// member goes on to answer, and comes back by [`rejoin`](Self::rejoin).
    ///
    /// # Errors
    ///
    /// As [`evict_self`](Self::evict_self).
    pub async fn leave_ring(&self, limit: Duration) -> Result<usize, LeaveRingError> {
        commands::go(&self.handle, limit, Node::leave).await
    }

    /// Comes back after [`leave_ring`](Self::leave_ring) or [`evict_self`](Self::evict_self); a
    /// leave of which the others are still being told ends first, within `limit`. As in Ringpop
    /// nobody is asked: this member has heard of the cluster all the time, and spreads that it is
    /// alive.
    ///
    /// # Errors
    ///
    /// When this member has not left.
    pub async fn rejoin(&self, limit: Duration) -> Result<(), RejoinError> {
        match timeout(limit, commands::rejoin(&self.handle)).await {
            Ok(rejoined) => rejoined,
            Err(_elapsed) => Err(RejoinError::TimedOut),
        }
    }

    /// Replaces the labels of this member.
    ///
    /// # Errors
    ///
    /// When the labels exceed the limits or use the reserved prefix; when the member has stopped.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), SetLabelsError> {
        Ok(self.handle.with(move |node, now| node.set_labels(now, &labels)).await??)
    }

    /// Members and ring at this moment.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// The views from now on, for those who wait for changes.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// The address at which others reach this member.
    #[must_use]
    pub fn whoami(&self) -> &str {
        self.address.as_str()
    }

    /// The application name.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Checksum of the membership, in the form of the cluster: equal at members with equal views.
    #[must_use]
    pub fn membership_checksum(&self) -> u32 {
        self.views.borrow().membership_checksum
    }

    /// Checksum of the ring, which ringpop-go's `Checksum` is as well.
    #[must_use]
    pub fn ring_checksum(&self) -> u32 {
        self.views.borrow().ring_checksum
    }

    /// How long ago this member was [bound](BridgeBuilder::bind).
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// What the transport counted.
    #[must_use]
    pub fn transport_stats(&self) -> TransportStats {
        self.counters.snapshot()
    }

    /// Whether this member is in touch with the others. One that is [`Isolation::Alone`] or
    /// [`Isolation::Partial`] may own keys that are owned by others on the other side of a
    /// partition.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        *self.watched.isolation.borrow()
    }

    /// Counters of the membership protocol. They stay as they were when the member has stopped.
    pub async fn membership_stats(&self) -> swim_core::Stats {
        match self.handle.with(|node, _| *node.stats()).await {
            Ok(stats) => stats,
            Err(Stopped) => self.watched.last_stats(),
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl BridgeBuilder {
    /// Where to listen. Default: loopback, a free port. TChannel has neither encryption nor
    /// authentication: every process that reaches the port is believed.
    pub const fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Tells others this address instead of the one that it listens on, for
    /// hosts behind a translation of addresses.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Places this member on the ring by a stable name instead of its address.
    /// ringpop-node does not know identities.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// A label that all members see of this one. ringpop-node does not know labels.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Timings and limits; begin with [`Config::ringpop`], the default. Bytes of
    /// one message and whole-list syncs are as the other implementations want
    /// them, whatever the configuration says.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Which implementation the checksums of the cluster are those of; a join of
    /// a cluster with others fails. By default it is recognised from the member
    /// lists that others send, and is ringpop-go until there is one.
    pub const fn checksum_form(mut self, form: ChecksumForm) -> Self {
        self.checksum_form = Some(form);
        self
    }

    /// Where the hosts of the cluster are listed. Without it the member is a
    /// cluster of its own that others may join.
    pub fn discovery(mut self, discovery: impl Discovery) -> Self {
        self.discovery = Some(Arc::new(discovery));
        self
    }

    /// How long discovery may have nobody to join, because its answer is empty or names only this
    /// member, before it begins a cluster of its own; `None`: it never does, and the join fails in
    /// the end. A fixed list is not waited for. Default: [`ALONE_AFTER`]; Ringpop waits for nobody.
    pub fn start_alone_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.alone_after = wait.into();
        self
    }

    /// Has a bootstrap wait until `members` are reachable, this one included, or until `within` is
    /// over, which the log tells. Default: it waits for nobody.
    pub const fn expect(mut self, members: usize, within: Duration) -> Self {
        self.expected = Some(Expected { members, within });
        self
    }

    /// Takes the port and starts to answer. The member gossips after
    /// [`Bridge::bootstrap`].
    ///
    /// # Errors
    ///
    /// [`BindError`] when the port cannot be had or a setting is refused.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn bind(self) -> Result<Bridge, BindError> {
        let cannot = |source| BindError::Listen { address: self.listen, source };
        let listener = TcpListener::bind(self.listen).await.map_err(cannot)?;
        let local = listener.local_addr().map_err(cannot)?.to_string();
        let address = Address::verbatim(self.advertise.as_deref().unwrap_or(&local))?;
        let (start, app): (_, Arc<str>) = (Start::now()?, self.app.into());
        let init = Init {
            identity: self.identity,
            labels: Labels::new(self.labels)?,
            ..start.init(app.clone(), address.clone())
        };
        let form = self.checksum_form.unwrap_or_default();
        let builder = self.config.to_builder().sync_whole_list(true);
        let config = builder.message_bytes_max(CHANGES_BYTES_MAX).build()?;
        let node = Node::with_dialect(config, Arc::new(form), init)?;

        let (handle, inputs) = queue();
        let counters = Arc::<Counters>::default();
        let (sender, views) = watch::channel(Arc::new(View::empty()?));
        let hosts = Hosts::new(self.discovery.unwrap_or_else(|| Arc::new(Nobody))).verbatim();
        let findings = Arc::<Findings>::default();
        let admin = Admin {
            handle: handle.clone(),
            hosts: hosts.clone(),
            views: views.clone(),
            counters: counters.clone(),
            findings: findings.clone(),
            start: start.clock(),
        };
        let service = Arc::new(Service::new(app.clone(), admin));
        let shared = Arc::new(Shared::new(address.to_string(), service, counters.clone()));
        let calls = Calls::new(Peers::new(shared.clone()), self.checksum_form, findings.clone());
        let joiner = Joiner {
            handle: handle.clone(),
            hosts: hosts.clone(),
            findings,
            counters: counters.clone(),
            alone_after: self.alone_after,
            expected: self.expected,
        };
        let (publishing, watched) = Publishing::new(sender, node.isolation());
        let driver = Driver::new(inputs, node, calls, publishing).started(&start);
        let driver = driver.discovery(hosts);
        let tasks = [tokio::spawn(driver.run()), tokio::spawn(listen(listener, shared))];
        let start = start.clock();
        Ok(Bridge { app, address, handle, views, watched, start, counters, joiner, tasks })
    }
}

impl fmt::Debug for BridgeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeBuilder")
            .field("app", &self.app)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Tasks of an application share it and wait in it, on any thread.
    #[test]
    fn it_is_shared_between_threads() {
        fn any_thread<T: Send + Sync>() {}
        fn may_move<T: Send>(_: &T) {}
        any_thread::<Bridge>();
        may_move(&Bridge::builder("rides").bind());
        let waits = |bridge: &Bridge| may_move(&bridge.bootstrap());
        let _: &dyn Fn(&Bridge) = &waits;
    }

    #[tokio::test]
    async fn settings_that_cannot_be_are_refused() {
        let nameless = Bridge::builder("").bind().await;
        assert!(matches!(nameless, Err(BindError::Config(_))), "{nameless:?}");
        let spaced = Bridge::builder("rides").advertise("no address").bind().await;
        assert!(matches!(spaced, Err(BindError::Advertise(_))), "{spaced:?}");
        let taken = Bridge::builder("rides").bind().await.unwrap();
        let twice = Bridge::builder("rides").listen(taken.whoami().parse().unwrap()).bind().await;
        assert!(matches!(twice, Err(BindError::Listen { .. })), "{twice:?}");
    }

    #[tokio::test]
    async fn a_member_alone_owns_everything_until_it_leaves() {
        let bridge = Bridge::builder("rides").bind().await.unwrap();
        assert_eq!(bridge.view().lookup(b"key"), None, "not before it has joined");
        let begun = bridge.bootstrap().await.unwrap();
        assert_eq!((begun.joined, begun.members), (vec![], 1));
        let again = bridge.bootstrap().await;
        assert!(matches!(again, Err(BootstrapError::Command(_))), "once is enough");
        let own = bridge.whoami();
        assert_eq!(bridge.view().lookup(b"key"), Some(own));
        assert_eq!(bridge.view().lookup_n(b"key", 3), [own]);
        assert_eq!(bridge.rejoin(PATIENCE).await, Err(RejoinError::NotAway));
        assert_eq!(bridge.leave_ring(PATIENCE).await, Ok(0), "nobody is there to confirm it");
        assert_eq!(bridge.view().lookup(b"key"), None);
        bridge.rejoin(PATIENCE).await.unwrap();
        assert_eq!(bridge.view().lookup(b"key"), Some(own));
        bridge.evict_self(PATIENCE).await.unwrap();
        assert_eq!(bridge.view().member(own).unwrap().status.as_str(), "faulty");
        let twice = bridge.evict_self(PATIENCE).await;
        assert!(matches!(twice, Err(LeaveRingError::Refused(_))), "{twice:?}");
    }
}
