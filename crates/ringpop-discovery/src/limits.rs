//! Every limit of this crate, with how the number was chosen.

use std::time::Duration;

/// Longest address in bytes: a DNS name has at most 253 characters (RFC 1035 section 2.3.4), plus
/// the dot of the root, colon and port. What a member can advertise, discovery can list.
pub const ADDRESS_BYTES_MAX: usize = 262;

/// Most records of one source. Clusters are designed for 10,000 members; this leaves room while
/// a list that was joined to itself by mistake is still refused.
pub const RECORDS_MAX: usize = 16_384;

/// Largest hosts file in bytes: [`RECORDS_MAX`] records of 512 bytes each.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Longest wait for one resolution of a name: two attempts of five seconds, which is what
/// resolvers do by default.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait of a [`Poll`](crate::Poll) for one answer of any source. Above the limits of the
/// sources here: it only ends a call that would otherwise hang.
pub const PEERS_TIMEOUT: Duration = Duration::from_secs(30);

/// Shortest interval of a [`Poll`](crate::Poll). More often is a busy loop on the source.
pub const POLL_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Longest interval of a [`Poll`](crate::Poll). A list that is an hour old is not watched, and
/// a number that large was most often meant in another unit.
pub const POLL_INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// Interval at which a file or a name is asked for unless a URL says otherwise. A change is seen
/// within the time that a protocol period or two take, and 1,000 processes ask a name server
/// 500 times a second.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Longest pause after an answer that lists nobody: at the start of a cluster the first members are
/// listed within seconds, and everybody waits for them.
pub const NOBODY_INTERVAL: Duration = Duration::from_millis(500);

/// First pause after a failure of a source.
pub const RETRY_MIN: Duration = Duration::from_millis(100);

/// Longest pause after a failure of a source; the pauses double until then. A registry that comes
/// back is used within this time, and 1,000 processes ask it 100 times a second until it does.
pub const RETRY_MAX: Duration = Duration::from_secs(10);

/// How long a source may take for its first answer before the list of the cache is used. Far more
/// than a registry that works needs, and less than anybody notices who starts a process.
pub const CACHE_WAIT: Duration = Duration::from_secs(1);

/// Most sources of a [`Union`](crate::Union), each of which has a task. More are a list.
pub const SOURCES_MAX: usize = 16;

/// Longest URL of a source in bytes; room for a static list of 200 addresses of 20 bytes.
pub const URL_BYTES_MAX: usize = 4096;

/// Largest answer of a registry in bytes: [`RECORDS_MAX`] entries of four kibibytes, of which an
/// instance with its node and its checks takes one or two in Consul.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Largest event of a Kubernetes watch in bytes: above what the API server stores as one object,
/// 1.5 MiB by default.
pub const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest file with a token or with certificates of authorities, in bytes. Bundles of all public
/// authorities have a quarter of it.
pub const TOKEN_BYTES_MAX: u64 = 1024 * 1024;

/// Longest wait for a connection to a registry, and again for its TLS handshake. A registry is
/// near; two lost packets at the start of TCP take three seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for an answer of a registry that is due at once.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long Consul keeps a question whose answer has not changed. It bounds how long a connection
/// that is dead without a sign looks alive.
pub const CONSUL_WAIT: Duration = Duration::from_secs(60);

/// Shortest time between two questions to a registry that wait for a change. A service that changes
/// all the time, or a server that does not wait, is asked 20 times a second.
pub const QUESTION_GAP: Duration = Duration::from_millis(50);

/// Default time to live of the check of a service that is registered in Consul: it is renewed three
/// times as often, and bears two losses.
pub const CONSUL_TTL: Duration = Duration::from_secs(15);

/// How long Consul remembers a registered service whose check is critical: longer than a network is
/// cut for, since it is registered again when it comes back anyway.
pub const CONSUL_DEREGISTER_AFTER: Duration = Duration::from_secs(30 * 60);

/// Shortest session of Consul: it has none that are shorter.
#[cfg(feature = "consul")]
pub const CONSUL_SESSION_TTL_MIN: Duration = Duration::from_secs(10);

/// Sessions of other processes that a process with leases in Kubernetes remembers: more than a
/// cluster of 1,000 members has.
#[cfg(feature = "kubernetes")]
pub(crate) const KUBERNETES_SESSIONS_WATCHED_MAX: usize = 4096;

/// How long the API server of Kubernetes keeps a watch. It bounds how long a connection that is
/// dead without a sign looks alive.
pub const KUBERNETES_WATCH: Duration = Duration::from_secs(240);

/// Endpoint slices in one page of a list, as `kubectl` has it.
pub const KUBERNETES_PAGE: usize = 500;

/// Shortest time for which SRV records are taken to live, whatever their time to live says: 0 is in
/// use and must not become a busy loop.
pub const TTL_MIN: Duration = Duration::from_secs(1);

/// Longest time for which SRV records are taken to live. Their time to live says how long they may
/// be kept, not how long they stay right.
pub const TTL_MAX: Duration = Duration::from_secs(30);

/// Largest weight that SRV records get. Theirs go up to 65,535, which would be as many times the
/// points of a ring.
pub const SRV_WEIGHT_MAX: u32 = 100;
