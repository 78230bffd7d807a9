//! Bounds and defaults of this crate, and how they were chosen.

use std::time::Duration;

/// Inputs that wait for the driver. A full queue holds its senders back. A
/// member of a cluster of 1,000 receives about ten messages a second, which
/// makes this a long burst.
pub const INPUTS_MAX: usize = 1024;

/// Requests of others that wait for a reply of the machine. It replies to all
/// but ping-reqs at once, and accepts at most 256 of these.
pub const ANSWERS_MAX: usize = 4096;

/// Longest wait for one answer of discovery. Sources bound their own waits; this
/// ends only a question that would hang.
pub const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before discovery is asked again after it failed. It doubles with each
/// failure in a row.
pub const DISCOVERY_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Longest such pause: a partition heals within a minute after discovery is back.
pub const DISCOVERY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long discovery may have nobody to join before a member starts alone by default: longer than
/// processes that are started together need to be listed by a registry that lists them as they
/// start. Where it lists them only once they are ready, this is the time that the whole cluster
/// loses, and those that started alone merge as soon as they are listed.
pub const ALONE_AFTER: Duration = Duration::from_secs(3);

/// How often a join that does not succeed is told in the log.
pub const JOIN_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Peers whose failures one message tells.
pub const FAILURES_TOLD_MAX: usize = 4;

/// Packets on their way to one member of a network in memory. Further ones are
/// lost, like those that find a full socket buffer.
#[cfg(feature = "memory")]
pub const INBOX_MAX: usize = 4096;

/// Largest UDP packet. An Ethernet frame of 1,500 bytes has room for this much
/// behind the headers of IPv6 and UDP and those of a tunnel, so packets are not
/// fragmented. A longer one that arrives is refused.
#[cfg(feature = "udp")]
pub const PACKET_BYTES_MAX: usize = 1400;

/// Tries to find a port that is free for both UDP and TCP.
#[cfg(feature = "udp")]
pub const BIND_TRIES: usize = 16;

/// Packets that wait for the socket to take them. Further ones are not sent.
#[cfg(feature = "udp")]
pub const PACKETS_WAITING_MAX: usize = 256;

/// Room in a packet for everything but changes: the envelope takes 41 bytes, the
/// application name up to 131, and addresses, numbers and a list of up to 128
/// buckets up to 300.
#[cfg(feature = "udp")]
pub const PACKET_HEADER_BYTES_MAX: usize = 512;

/// Largest message on a stream, its envelope included: the same at all members
/// whatever their own `message_bytes_max`, and each accepts what any other
/// sends.
#[cfg(feature = "udp")]
pub const STREAM_BYTES_MAX: usize = 1 << 20;

/// Largest `message_bytes_max` over UDP: a message may carry a page of changes
/// and as much again beside it.
#[cfg(feature = "udp")]
pub const PAGE_BYTES_MAX: usize = (STREAM_BYTES_MAX - 64 * 1024) / 2;

/// Streams that others opened and that are served at once. Further ones are
/// closed. A member joins over one stream for each page of the list, and two
/// members sync about once in a minute.
#[cfg(feature = "udp")]
pub const STREAMS_IN_MAX: usize = 128;

/// Streams of one IP address among these, so no single host takes them all.
/// Several members may run on one host.
#[cfg(feature = "udp")]
pub const STREAMS_OF_HOST_MAX: usize = 32;

/// Streams that this member has open to others. A further message counts as
/// undelivered.
#[cfg(feature = "udp")]
pub const STREAMS_OUT_MAX: usize = 64;

/// How long a stream may take to open: shorter than the ping timeout of the
/// presets, which tells an unreachable host from a slow one.
#[cfg(feature = "udp")]
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);

/// How long one message on a stream may take from its first byte to its last:
/// 1 MiB at 2 Mbit/s. A peer that takes longer is cut off.
#[cfg(feature = "udp")]
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request on a stream waits for its reply beyond the longest timeout of the machine:
/// the machine decides when a reply is late.
#[cfg(feature = "udp")]
pub const REPLY_MARGIN: Duration = Duration::from_secs(1);

/// How long a stream of a peer waits for a reply of the machine: longer than any
/// timeout that a peer is likely to have.
#[cfg(feature = "udp")]
pub const SERVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after the system refused to accept a stream, for instance for want of
/// file descriptors.
#[cfg(feature = "udp")]
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Keys of a [`KeyRing`](crate::udp::KeyRing). A rotation needs two, and a third one lets it be
/// taken back. A forged packet costs as many decryptions.
#[cfg(feature = "aead")]
pub const KEYS_MAX: usize = 3;
