//! Every limit of this crate, with how the number was chosen.

use std::time::Duration;

/// Longest address in bytes: a DNS name has at most 253 characters (RFC 1035 section 2.3.4), plus
/// the dot of the root, colon and port. What a member can advertise, discovery can list.
pub const MAX_ADDRESS_BYTES: usize = 262;

/// Most records of one source. Clusters are designed for 10,000 members; this leaves room while
/// a list that was joined to itself by mistake is still refused.
pub const MAX_RECORDS: usize = 16_384;

/// Largest hosts file in bytes: [`MAX_RECORDS`] records of 512 bytes each.
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Longest wait for one resolution of a name: two attempts of five seconds, which is what
/// resolvers do by default.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait of a [`Watch`](crate::Watch) for one answer of any source. Above the limits of
/// the sources here, so that it only ends what would otherwise hang.
pub const PEERS_TIMEOUT: Duration = Duration::from_secs(30);

/// Shortest interval of a [`Watch`](crate::Watch). More often is a busy loop on the source.
pub const WATCH_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Longest interval of a [`Watch`](crate::Watch). A list that is an hour old is not watched, and
/// a number that large was most often meant in another unit.
pub const WATCH_INTERVAL_MAX: Duration = Duration::from_secs(3_600);
