//! Names, defaults and bounds of this crate, and how they were chosen.

use std::time::Duration;

/// Label that carries the weight of a member on the ring: a decimal number up
/// to [`WEIGHT_MAX`]; 1 when absent or unreadable, 0 keeps the member off the
/// ring.
pub const WEIGHT_LABEL: &str = "weight";

/// Label that names the failure domain of a member.
pub const ZONE_LABEL: &str = "zone";

/// Largest weight. A member may say of itself what it likes, so that the bound
/// keeps it from flooding the rings of all others with points.
pub const WEIGHT_MAX: u32 = 100;

/// Points on the ring for each unit of weight, as in Ringpop.
pub const POINTS_PER_WEIGHT_UNIT: u32 = 100;

/// Inputs that wait for the membership task. A full queue holds the sender
/// back. A member of a cluster of 1,000 receives about ten messages a second,
/// so that this many are a long burst.
pub(crate) const INPUTS_MAX: usize = 1024;

/// Membership requests that this member has open at others. The machine opens
/// far fewer; a further one counts as undelivered.
pub(crate) const CALLS_MAX: usize = 1024;

/// Requests of others that wait for the machine's answer. It answers all but
/// ping-reqs at once, and takes on at most 256 of these.
pub(crate) const ANSWERS_MAX: usize = 4096;

/// Largest membership message that a member takes, in bytes: eight of the
/// default pages. It is the same at all members, whatever their own
/// `message_bytes_max`: what one may send, every other takes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Largest `message_bytes_max` of this transport: a message may carry a page and
/// as much again for what goes along.
pub const PAGE_BYTES_MAX: usize = (MESSAGE_BYTES_MAX - 64 * 1024) / 2;

/// Gossip connections that are kept, to members only; the one of a member that is
/// gone is closed at once, and the one that was used least recently makes room.
pub(crate) const CHANNELS_MAX: usize = 16 * 1024;

/// Events that a slow listener may lag behind before it misses some, which it
/// is told.
pub(crate) const EVENTS_MAX: usize = 4096;

/// How long a gossip connection may take to open. Shorter than the ping
/// timeout of the presets, so that an unreachable host is told from a slow one.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);

/// A gossip connection whose peer does not answer an HTTP/2 ping within this
/// time is closed, so that a half-open one heals.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval of those pings.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Beyond the longest timeout of the machine, a membership request is given up
/// by the transport as well.
pub(crate) const CALL_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// Largest number of owners that the admin service looks up for one key.
pub(crate) const LOOKUP_OWNERS_MAX: usize = 64;

/// Longest key that the admin service looks up, in bytes.
pub(crate) const LOOKUP_KEY_BYTES_MAX: usize = 64 * 1024;
