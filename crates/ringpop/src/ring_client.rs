//! Clients that are no members and know the ring: they send each call to the owner of its key.

mod failure;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashring::{BuildError, Edit, Node, UpdateError};
use ringpop_discovery::Discovery;
use ringpop_forward::{
    Changed, Forwarder, H2Config, Owner, Owners, Peer, Policy, Resolver, RingChannel, Routes,
};
use swim_driver::{Discover as _, Hosts};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Endpoint;

use self::failure::Failures;
pub use self::failure::{RingClientError, RingClientFailure};
use crate::generated as proto;
use crate::generated::ring_watch_client::RingWatchClient;
use crate::limits::{
    CONNECT_TIMEOUT, RING_BYTES_MAX, RING_CLIENT_PAUSE_MAX, RING_CLIENT_PAUSE_MIN,
    RING_WATCH_SILENCE_MAX,
};
use crate::placement::{PlacementChoice, PlacementError};
use crate::security::Security;
use crate::view::{Latest, MemberRing, another};

/// The ring of a cluster in a process that is no member. It watches one of the members, and another
/// one when that is silent or leaves; while all are silent it keeps the last ring. Calls go
/// straight to the owner of their key, by the same retries as between members, and any member that
/// is reached passes on what is not its own.
///
/// ```
/// # use std::sync::Arc;
/// use ringpop::RingClient;
/// use ringpop::discovery::StaticList;
/// use ringpop::forward::Routes;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let member = ringpop::Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
/// # member.serve(ringpop::tonic::service::Routes::default())?;
/// # member.bootstrap().await?;
/// # let address = member.whoami();
/// let client = RingClient::builder("rides", Arc::new(StaticList::parse(address)?))
///     .routes(Routes::new().field("/kv.v1.Kv/Get", &[1]).unary().idempotent())
///     .build()?;
/// client.ready().await;
/// assert_eq!(client.ring().checksum(), member.ring_checksum());
/// // let mut kv = KvClient::new(client.channel());
/// # let _ = client.channel();
/// # member.shutdown(std::time::Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RingClient {
    name: String,
    channel: RingChannel,
    known: Arc<Known>,
    following: JoinHandle<()>,
}

/// Sets a [`RingClient`] up.
#[derive(Debug)]
#[must_use]
pub struct RingClientBuilder {
    app: String,
    name: Option<String>,
    discovery: Arc<dyn Discovery>,
    routes: Routes,
    policy: Policy,
    connections: H2Config,
    security: Security,
}

/// What a [`RingClient`] has seen since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingClientStats {
    /// Changes of the ring that were taken.
    pub changes: u64,
    /// Members that were asked for the ring, one after the other.
    pub watches: u64,
    /// Those that could not be asked, fell silent, left or refused.
    pub failures: u64,
    /// Changes that did not lead to the ring that the member has. The whole ring was asked for
    /// then.
    pub mismatches: u64,
    /// Calls for which an owner was picked: those that were answered, and those that failed.
    pub picks: u64,
    /// Attempts at another owner than the one before.
    pub failovers: u64,
    /// How long ago a member told the ring, or that it had not changed; `None` before the first.
    pub age: Option<Duration>,
}

impl RingClient {
    /// Begins a client of the application `app`, whose members `discovery` lists; after the first
    /// ring those on it are asked, too.
    pub fn builder(app: impl Into<String>, discovery: impl Discovery) -> RingClientBuilder {
        RingClientBuilder {
            app: app.into(),
            name: None,
            discovery: Arc::new(discovery),
            routes: Routes::new(),
            policy: Policy::default(),
            connections: H2Config::between_members(),
            security: Security::default(),
        }
    }

    /// The channel, for any number of generated clients. Before the first ring, calls fail with
    /// the [last failure](Self::last_failure).
    #[must_use]
    pub fn channel(&self) -> RingChannel {
        self.channel.clone()
    }

    /// Waits for the first ring, for as long as no member tells it: a wrong application name or
    /// certificate keeps it waiting for ever. [`last_failure`](Self::last_failure) says why.
    pub async fn ready(&self) {
        let mut epoch = self.known.epoch.subscribe();
        // The sender lives as long as this.
        let _ = epoch.wait_for(|_| self.known.has_ring()).await;
    }

    /// The ring as known now; empty before the first.
    #[must_use]
    pub fn ring(&self) -> Arc<MemberRing> {
        self.known.ring.load()
    }

    /// What happened since this began.
    #[must_use]
    pub fn stats(&self) -> RingClientStats {
        let calls = self.channel.forwarder().stats();
        RingClientStats {
            picks: calls.forwarded + calls.failed,
            failovers: calls.rerouted,
            ..self.known.stats()
        }
    }

    /// Why the last member that was asked tells the ring no more, or never told it; `None` when no
    /// watch has failed. It stays when another member tells the ring: [`stats`](Self::stats) say
    /// how old that is.
    #[must_use]
    pub fn last_failure(&self) -> Option<RingClientFailure> {
        self.known.failures.last()
    }

    /// The name of this client in the log and among metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for RingClient {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl RingClientBuilder {
    /// Tells this client from others of its process, in the log and among metrics. Default: the
    /// name of the application.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How keys are found in calls. See [`Routes`].
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = routes;
        self
    }

    /// What becomes of calls that fail. See [`Policy`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The connections to members; by default as [between members](H2Config::between_members).
    pub fn connections(mut self, config: H2Config) -> Self {
        self.connections = config;
        self
    }

    /// Encrypts connections. Members believe what this client says of a call only if its
    /// certificate is that of a member.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: ringpop_forward::Tls) -> Self {
        self.security = tls.into();
        self
    }

    /// The client, which begins to look for the ring.
    ///
    /// # Errors
    ///
    /// The name of the application or that of the client is empty or too long, or a setting of
    /// the connections is out of its range.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub fn build(self) -> Result<RingClient, RingClientError> {
        let Self { app, name, discovery, routes, policy, connections, security } = self;
        failure::check_names(&app, name.as_deref())?;
        let known = Arc::new(Known::new()?);
        let resolver: Arc<Known> = Arc::clone(&known);
        let forwarder = Forwarder::builder(resolver)
            .transport(security.transport(connections)?)
            .routes(routes)
            .policy(policy)
            .build()?;
        let hosts = Hosts::new(discovery);
        let name = name.unwrap_or_else(|| app.clone());
        let follower =
            Follower { app, name: name.clone(), hosts, security, known: Arc::clone(&known) };
        let following = tokio::spawn(follower.run());
        Ok(RingClient { name, channel: forwarder.channel(), known, following })
    }
}

/// The ring that is known.
#[derive(Debug)]
struct Known {
    ring: Latest<MemberRing>,
    /// Checksum of the ring, for those who wait for another one.
    epoch: watch::Sender<u64>,
    changes: AtomicU64,
    watches: AtomicU64,
    failures: Failures,
    mismatches: AtomicU64,
    /// When a member said something last.
    told: Mutex<Option<Instant>>,
}

/// Why an answer of a member is of no use.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it uses a placement that this version does not know: {0}")]
    Placement(#[from] PlacementError),
    #[error("its ring has an address that cannot be dialled: {0}")]
    Address(#[from] ringpop_forward::InvalidAddress),
    #[error("its ring cannot be made: {0}")]
    Build(#[from] BuildError),
    #[error("its ring cannot be made: {0}")]
    Update(#[from] UpdateError),
    #[error("its ring is another one than the changes lead to")]
    Mismatch,
}

impl Known {
    fn new() -> Result<Self, BuildError> {
        let ring = MemberRing::new(PlacementChoice::default())?;
        Ok(Self {
            epoch: watch::Sender::new(ring.checksum()),
            ring: Latest::new(ring),
            changes: AtomicU64::new(0),
            watches: AtomicU64::new(0),
            failures: Failures::default(),
            mismatches: AtomicU64::new(0),
            told: Mutex::new(None),
        })
    }

    fn has_ring(&self) -> bool {
        self.changes.load(Ordering::Acquire) > 0
    }

    fn stats(&self) -> RingClientStats {
        RingClientStats {
            changes: self.changes.load(Ordering::Acquire),
            watches: self.watches.load(Ordering::Relaxed),
            failures: self.failures.count(),
            mismatches: self.mismatches.load(Ordering::Relaxed),
            age: self
                .told
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .map(|told| told.elapsed()),
            ..RingClientStats::default()
        }
    }

    /// Takes an answer of a member.
    fn apply(&self, answer: proto::WatchResponse) -> Result<(), Unusable> {
        self.apply_ring(answer)?;
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    fn apply_ring(&self, answer: proto::WatchResponse) -> Result<(), Unusable> {
        let proto::WatchResponse { ring_checksum, placement, whole, members, removed } = answer;
        let former = self.ring.load();
        if !whole && members.is_empty() && removed.is_empty() && former.checksum() == ring_checksum
        {
            return Ok(());
        }
        let placement: PlacementChoice = placement.parse()?;
        let former = if whole { Arc::new(MemberRing::new(placement)?) } else { former };
        let mut edits: Vec<_> = removed.into_iter().map(Edit::remove).collect();
        for proto::RingMember { address, identity, weight } in members {
            let owner = Owner::Remote(Arc::new(Peer::new(&address)?));
            let is_known = former.node(&address).is_some();
            let node =
                Node::new(address).with_identity(identity).with_weight(weight).with_data(owner);
            edits.push(if is_known { Edit::replace(node) } else { Edit::add(node) });
        }
        let ring = former.next(placement, edits)?;
        if ring.checksum() != ring_checksum {
            self.mismatches.fetch_add(1, Ordering::Relaxed);
            return Err(Unusable::Mismatch);
        }
        self.ring.publish(Arc::new(ring));
        self.changes.fetch_add(1, Ordering::Release);
        // Those who wait for the first ring are told, too, when that is empty.
        self.epoch.send_replace(ring_checksum);
        Ok(())
    }
}

impl Resolver for Known {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        self.ring.with(|ring| out.extend(ring.walk(key).take(n).map(|node| node.data().clone())));
    }

    fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    fn changed(&self, seen: u64) -> Changed {
        another(&self.epoch, seen)
    }

    fn why_nobody(&self) -> Option<String> {
        if self.has_ring() {
            return None;
        }
        let cause = self.failures.last().map(|failure| format!(": {failure}"));
        Some(format!("no member has told this client the ring{}", cause.unwrap_or_default()))
    }
}

/// Follows the ring of one member after the other.
struct Follower {
    app: String,
    /// In the log.
    name: String,
    hosts: Hosts,
    security: Security,
    known: Arc<Known>,
}

impl Follower {
    async fn run(self) {
        let mut pause = RING_CLIENT_PAUSE_MIN;
        loop {
            for address in self.candidates().await {
                let before = self.known.stats().changes;
                self.known.watches.fetch_add(1, Ordering::Relaxed);
                let why = self.watch(&address).await;
                let client = &self.name;
                tracing::debug!(%client, member = %address, %why, "the ring is watched at another member");
                self.known.failures.of_member(address, why);
                if self.known.stats().changes > before {
                    pause = RING_CLIENT_PAUSE_MIN;
                }
            }
            self.warn();
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(RING_CLIENT_PAUSE_MAX);
        }
    }

    /// Tells people that no member tells the ring: why, and what that means for calls.
    fn warn(&self) {
        let Some((cause, held_back)) = self.known.failures.to_log() else { return };
        let client = &self.name;
        if self.known.has_ring() {
            tracing::warn!(
                %client, %cause, held_back,
                "no member tells the ring; calls go on by the last one that was told"
            );
        } else {
            tracing::warn!(
                %client, %cause, held_back,
                "no member has told the ring yet; calls fail until one does"
            );
        }
    }

    /// The members of the ring and the hosts of discovery, each group in an order of its own, so
    /// clients spread over the members.
    async fn candidates(&self) -> Vec<String> {
        let ring = self.known.ring.load();
        let mut candidates: Vec<_> = ring.nodes().iter().map(|node| node.id().to_owned()).collect();
        fastrand::shuffle(&mut candidates);
        match self.hosts.hosts().await {
            Ok(hosts) => {
                let mut hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
                hosts.retain(|host| !candidates.contains(host));
                fastrand::shuffle(&mut hosts);
                candidates.extend(hosts);
                if candidates.is_empty() {
                    self.known.failures.of_discovery("it lists no member".to_owned());
                }
            }
            Err(error) => {
                let client = &self.name;
                tracing::debug!(%client, %error, "discovery lists nobody to ask for the ring");
                let why = ringpop_forward::with_causes(&error);
                self.known.failures.of_discovery(why);
            }
        }
        candidates
    }

    /// Takes the changes that a member tells, until it tells no more. Gives why.
    async fn watch(&self, address: &str) -> String {
        let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else {
            return "its address names no host".to_owned();
        };
        let endpoint = endpoint.tcp_nodelay(true);
        let mut client = RingWatchClient::new(self.security.channel(endpoint, CONNECT_TIMEOUT))
            .max_decoding_message_size(RING_BYTES_MAX);
        let ring_checksum = if self.known.has_ring() { self.known.epoch() } else { 0 };
        let mut request = proto::WatchRequest { app: self.app.clone(), ring_checksum };
        loop {
            let answers = timeout(RING_WATCH_SILENCE_MAX, client.watch(request.clone())).await;
            let mut answers = match answers {
                Ok(Ok(answers)) => answers.into_inner(),
                Ok(Err(status)) => return failure::explain(&status),
                Err(_) => return silence(),
            };
            let unusable = loop {
                match timeout(RING_WATCH_SILENCE_MAX, answers.message()).await {
                    Ok(Ok(Some(answer))) => match self.known.apply(answer) {
                        Ok(()) => {}
                        Err(unusable) => break unusable,
                    },
                    Ok(Ok(None)) => return "it ended the watch".to_owned(),
                    Ok(Err(status)) => return failure::explain(&status),
                    Err(_) => return silence(),
                }
            };
            // Once more from the beginning; a whole ring that is of no use stays so.
            if request.ring_checksum == 0 || !matches!(unusable, Unusable::Mismatch) {
                return unusable.to_string();
            }
            request.ring_checksum = 0;
        }
    }
}

fn silence() -> String {
    format!("nothing came from it within {RING_WATCH_SILENCE_MAX:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring_watch::{describe_change, member};

    /// A ring of some of eight members, whose weights and identities depend on `seed`.
    fn ring(placement: PlacementChoice, seed: u32) -> MemberRing {
        let node = |i: u32| {
            let address = format!("10.0.0.{i}:7100");
            let owner = Owner::Remote(Arc::new(Peer::new(&address).expect("it is an address")));
            let identity = if seed >> i & 4 == 0 { address.clone() } else { format!("id-{i}") };
            let weight = 1 + (seed >> (2 * i)) % 3;
            Node::new(address).with_identity(identity).with_weight(weight).with_data(owner)
        };
        let edits = (0..8).filter(|i| seed >> (i + 8) & 1 == 1).map(|i| Edit::add(node(i)));
        let empty = MemberRing::new(placement).expect("an empty ring");
        empty.next(placement, edits.collect()).expect("eight members fit")
    }

    fn whole(ring: &MemberRing) -> proto::WatchResponse {
        proto::WatchResponse {
            ring_checksum: ring.checksum(),
            placement: ring.placement().to_string(),
            whole: true,
            members: ring.nodes().iter().map(|node| member(node)).collect(),
            removed: Vec::new(),
        }
    }

    #[test]
    fn changes_lead_from_each_ring_to_each_other() {
        let placements = ["rendezvous", "ring:20", "local-rendezvous:20", "ring:30"];
        let mut random = fastrand::Rng::with_seed(7);
        let known = Known::new().expect("an empty ring");
        let mut before: Option<MemberRing> = None;
        for _ in 0..300 {
            let placement = placements[random.usize(..4)].parse().expect("it is one");
            let after = ring(placement, random.u32(..));
            let answer = match &before {
                Some(before) => {
                    let mut answer = proto::WatchResponse {
                        ring_checksum: after.checksum(),
                        placement: placement.to_string(),
                        ..Default::default()
                    };
                    describe_change(before, &after, &mut answer);
                    answer
                }
                None => whole(&after),
            };
            known.apply(answer).expect("it leads there");
            assert_eq!(known.ring.load().checksum(), after.checksum());
            before = Some(after);
        }
        assert_eq!(known.stats().mismatches, 0);
    }

    #[test]
    fn an_answer_of_no_use_changes_nothing() {
        let known = Known::new().expect("an empty ring");
        let ring = ring(PlacementChoice::Rendezvous, 0xff00);
        known.apply(whole(&ring)).expect("a whole ring");
        let good = whole(&ring);
        let one = |change: fn(&mut proto::RingMember)| {
            let mut answer = good.clone();
            change(&mut answer.members[0]);
            answer
        };
        let bad = [
            proto::WatchResponse { ring_checksum: 1, ..good.clone() },
            proto::WatchResponse { placement: "maglev:7".to_owned(), ..good.clone() },
            proto::WatchResponse { removed: vec!["nobody:1".to_owned()], ..good.clone() },
            proto::WatchResponse { whole: false, ring_checksum: 1, ..Default::default() },
            one(|member| member.address = "no address".to_owned()),
            one(|member| member.weight = 0),
            one(|member| member.identity = "id-1".to_owned()),
        ];
        for answer in bad {
            assert!(known.apply(answer.clone()).is_err(), "{answer:?}");
            assert_eq!(known.ring.load().checksum(), ring.checksum(), "{answer:?}");
        }
        assert_eq!(known.stats().changes, 1);
    }
}
