//! Names, defaults and bounds of this crate, and how they were chosen.
//!
//! A process has a limited number of file descriptors, 1,024 where nobody
//! raised it. The bounds on connections leave a tenth of them free.

use std::time::Duration;

/// The TChannel service under which every Ringpop process is reached, whatever
/// its application is called.
pub const SERVICE: &str = "ringpop";

/// Connections that others opened and that are served at once. A further one
/// is told so and closed. Each peer opens one.
pub(crate) const ACCEPTED_MAX: usize = 512;

/// Processes to which a connection is kept. One that is no member makes room for
/// another first, then the one that was used least recently.
pub(crate) const PEERS_MAX: usize = 384;

/// How long a process may take from opening a connection to introducing
/// itself, and to answer an introduction: the round trips of a join within the
/// second that a join request may take.
pub(crate) const INIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may take to open. Shorter than Ringpop's ping timeout of 1.5 s: helpers
/// can still be asked in the same period.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the peer may take to accept bytes before the connection is closed.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection without any frame for so long is closed. A member of a cluster
/// of 1,000 is pinged by each other one every 200 s.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How long a connection that is no longer used for own calls may be silent
/// before it is closed: beyond the longest time that a call is served.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(35);

/// Messages that wait for being written to one connection. A peer that lets
/// more pile up does not read.
pub(crate) const WRITES_MAX: usize = 64;

/// Calls of a peer that are being served on one connection. Other
/// implementations have at most 100 protocol requests open.
pub(crate) const REQUESTS_MAX: usize = 256;

/// Own calls that are open on one connection.
pub(crate) const CALLS_MAX: usize = 256;

/// Calls of a peer on one connection of which fragments are missing.
pub(crate) const PARTIALS_MAX: usize = 16;

/// The longest that a call of a peer is served, whatever it allows: beyond all timeouts of Ringpop:
/// it cuts off nothing but nonsense.
pub(crate) const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of the arguments of one call. The member list of a cluster of 10,000
/// with labels takes about 4 MiB as JSON.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Bytes of all calls together that are not complete yet, in KiB: four of the
/// largest.
pub(crate) const ASSEMBLING_KIB_MAX: usize = 4 * MESSAGE_BYTES_MAX / 1024;

/// Own protocol requests under way. The machine opens far fewer; a further one
/// counts as undelivered.
pub(crate) const OUTGOING_MAX: usize = 1024;

/// How long the transport waits for an answer beyond the longest timeout of the machine: the
/// machine decides.
pub(crate) const CALL_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// How long an administrator waits for a healing. One attempt takes up to two
/// seconds and ten may fail.
pub(crate) const HEAL_TIME_MAX: Duration = Duration::from_secs(25);

/// Pause after the system refused to accept a connection, for instance for want
/// of file descriptors: long enough not to spin, short for who waits.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of changes that one message of the machine carries, measured in its
/// own encoding; JSON takes about three times as much.
pub(crate) const CHANGES_BYTES_MAX: usize = 4 << 20;

/// Durations of pings that `/admin/stats` summarizes: about the last minute of
/// Ringpop's five pings a second.
pub(crate) const TIMINGS_MAX: usize = 300;
