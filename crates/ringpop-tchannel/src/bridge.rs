//! A member of a Ringpop cluster: what the application holds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::Discovery;
use swim_core::{
    Address, AddressError, CommandError, Config, ConfigError, Init, Isolation, Labels, Node,
};
use swim_driver::limits::ALONE_AFTER;
use swim_driver::{Driver, Handle, Hosts, Joined, NoRandomness, Start, queue};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::Admin;
use crate::channel::{Peers, Shared, listen};
use crate::commands::{self, Expected, Joiner, Nobody};
use crate::counters::{Counters, TransportStats};
use crate::dialect::ChecksumForm;
use crate::join_error::JoinError;
use crate::limits::CHANGES_BYTES_MAX;
use crate::publishing::Publishing;
use crate::service::Service;
use crate::transport::{Calls, Findings};
use crate::view::View;

/// A member of a cluster of ringpop-go or ringpop-node processes.
///
/// It gossips, places itself on the ring that all of them share, and serves
/// their protocol and their endpoints for operators. It forwards no requests:
/// how those travel is the application's own agreement with its peers.
///
/// ```no_run
/// use ringpop_tchannel::Bridge;
/// use ringpop_tchannel::discovery::JsonFile;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bridge = Bridge::builder("rides")
///     .listen("10.0.0.7:3000")
///     .discovery(JsonFile::new("hosts.json"))
///     .bind()
///     .await?;
/// let joined = bridge.join().await?;
/// println!("joined {:?}", joined.peers);
///
/// let view = bridge.view();
/// println!("driver-42 belongs to {:?}", view.lookup(b"driver-42"));
///
/// // Others hear of it before the process ends.
/// bridge.evict().await;
/// # Ok(())
/// # }
/// ```
///
/// Dropping it closes all connections without a word to the others.
#[derive(Debug)]
#[must_use = "dropping it closes all connections"]
pub struct Bridge {
    address: Address,
    handle: Handle,
    views: watch::Receiver<Arc<View>>,
    counters: Arc<Counters>,
    joiner: Joiner,
    tasks: [JoinHandle<()>; 2],
}

/// Collects the settings of a [`Bridge`].
#[must_use = "a builder does nothing until `bind` is called"]
pub struct BridgeBuilder {
    app: String,
    listen: String,
    advertise: Option<String>,
    identity: Option<String>,
    labels: Labels,
    config: Config,
    checksum_form: Option<ChecksumForm>,
    discovery: Option<Arc<dyn Discovery>>,
    alone_after: Option<Duration>,
    expected: Option<Expected>,
}

/// Why there is no member. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The port cannot be had.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where it was to listen.
        address: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The address that others are told is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The name of the application, the labels or the identity are refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gives no random numbers.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The ring cannot be laid out.
    #[error(transparent)]
    Ring(#[from] hashring::BuildError),
}

impl Bridge {
    /// Starts with the name of the application, which all members of the
    /// cluster share.
    pub fn builder(app: impl Into<String>) -> BridgeBuilder {
        BridgeBuilder {
            app: app.into(),
            listen: "127.0.0.1:0".to_owned(),
            advertise: None,
            identity: None,
            labels: Labels::default(),
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
    /// [`JoinError`] when nobody answers within the configuration's `join_duration_max`, discovery
    /// could not be asked for all that time, the checksums of the cluster have another form than
    /// the one that was chosen, or this member has joined already.
    pub async fn join(&self) -> Result<Joined, JoinError> {
        commands::join(self.joiner.clone()).await
    }

    /// Declares this member faulty, as Ringpop does when a process ends, and
    /// waits until two in five of the others were told, or had the time of a
    /// ping to answer. Does nothing when it has not joined or has left.
    pub async fn evict(&self) {
        commands::evict(&self.handle).await;
    }

    /// Leaves the cluster: off the ring, but still answering.
    ///
    /// # Errors
    ///
    /// When this member has not joined, or has left already.
    pub async fn leave(&self) -> Result<(), CommandError> {
        self.handle.with(Node::leave).await.unwrap_or(Err(CommandError::NotJoined))
    }

    /// Comes back after a leave.
    ///
    /// # Errors
    ///
    /// When this member has not left.
    pub async fn rejoin(&self) -> Result<(), CommandError> {
        commands::rejoin(&self.handle).await
    }

    /// Replaces the labels of this member.
    ///
    /// # Errors
    ///
    /// When the labels exceed the limits or use the reserved prefix.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), CommandError> {
        let set = self.handle.with(move |node, now| node.set_labels(now, &labels));
        set.await.unwrap_or(Err(CommandError::NotJoined))
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

    /// Where others reach this member.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What the transport counted.
    #[must_use]
    pub fn transport_stats(&self) -> TransportStats {
        self.counters.snapshot()
    }

    /// Whether this member is cut off from its cluster, as far as it can tell; `None` when its task
    /// has ended.
    pub async fn isolation(&self) -> Option<Isolation> {
        self.handle.with(|node, _| node.isolation()).await.ok()
    }

    /// What the membership machine counted; `None` when its task has ended.
    pub async fn protocol_stats(&self) -> Option<swim_core::Stats> {
        self.handle.with(|node, _| *node.stats()).await.ok()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl BridgeBuilder {
    /// Listens here, as `ip:port`. The default is a free port on loopback. TChannel has neither
    /// encryption nor authentication: every process that reaches the port is believed.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
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

    /// What this member says about itself. ringpop-node does not know labels.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
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

    /// Has a join wait until `members` are reachable, this one included, or until `within` is over,
    /// which the log tells. Default: it waits for nobody.
    pub const fn expect(mut self, members: usize, within: Duration) -> Self {
        self.expected = Some(Expected { members, within });
        self
    }

    /// Takes the port and starts to answer. The member gossips after
    /// [`Bridge::join`].
    ///
    /// # Errors
    ///
    /// [`BindError`] when the port cannot be had or a setting is refused.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn bind(self) -> Result<Bridge, BindError> {
        let cannot = |cause| BindError::Listen { address: self.listen.clone(), cause };
        let listener = TcpListener::bind(&self.listen).await.map_err(cannot)?;
        let local = listener.local_addr().map_err(cannot)?.to_string();
        let address = Address::verbatim(self.advertise.as_deref().unwrap_or(&local))?;
        let (start, app): (_, Arc<str>) = (Start::now()?, self.app.into());
        let init = Init {
            identity: self.identity,
            labels: self.labels,
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
        let service = Arc::new(Service::new(app, admin));
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
        let driver = Driver::new(inputs, node, calls, Publishing::new(sender)).started(&start);
        let driver = driver.discovery(hosts);
        let tasks = [tokio::spawn(driver.run()), tokio::spawn(listen(listener, shared))];
        Ok(Bridge { address, handle, views, counters, joiner, tasks })
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

    /// Tasks of an application share it and wait in it, on any thread.
    #[test]
    fn it_is_shared_between_threads() {
        fn any_thread<T: Send + Sync>() {}
        fn may_move<T: Send>(_: &T) {}
        any_thread::<Bridge>();
        may_move(&Bridge::builder("rides").bind());
        let waits = |bridge: &Bridge| may_move(&bridge.join());
        let _: &dyn Fn(&Bridge) = &waits;
    }

    #[tokio::test]
    async fn settings_that_cannot_be_are_refused() {
        let nameless = Bridge::builder("").bind().await;
        assert!(matches!(nameless, Err(BindError::Config(_))), "{nameless:?}");
        let spaced = Bridge::builder("rides").advertise("no address").bind().await;
        assert!(matches!(spaced, Err(BindError::Address(_))), "{spaced:?}");
        let taken = Bridge::builder("rides").bind().await.unwrap();
        let twice = Bridge::builder("rides").listen(taken.address().as_str()).bind().await;
        assert!(matches!(twice, Err(BindError::Listen { .. })), "{twice:?}");
    }

    #[tokio::test]
    async fn a_member_alone_owns_everything_until_it_leaves() {
        let bridge = Bridge::builder("rides").bind().await.unwrap();
        assert_eq!(bridge.view().lookup(b"key"), None, "not before it has joined");
        let joined = bridge.join().await.unwrap();
        assert_eq!((joined.peers, joined.members), (vec![], 1));
        assert!(matches!(bridge.join().await, Err(JoinError::Refused(_))), "once is enough");
        let own = bridge.address().as_str();
        assert_eq!(bridge.view().lookup(b"key"), Some(own));
        assert_eq!(bridge.view().lookup_n(b"key", 3), [own]);
        bridge.leave().await.unwrap();
        assert_eq!(bridge.view().lookup(b"key"), None);
        bridge.rejoin().await.unwrap();
        assert_eq!(bridge.view().lookup(b"key"), Some(own));
        bridge.evict().await;
        assert_eq!(bridge.view().member(own).unwrap().status.as_str(), "faulty");
        bridge.evict().await;
    }
}
