//! What the transport counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often things happened on the wire since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct UdpStats {
            /// Bytes of the largest packet that was sent.
            pub largest_bytes: usize,
            $($(#[$doc])* pub $name: u64,)*
        }

        impl UdpStats {
            /// All counters by name, in order of declaration, and `largest_bytes` at the end.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                let largest = ("largest_bytes", self.largest_bytes as u64);
                [$((stringify!($name), self.$name),)*].into_iter().chain([largest])
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            largest_bytes: AtomicUsize,
            $(pub(super) $name: AtomicU64,)*
        }

        impl UdpCounters {
            /// The figures of now.
            #[must_use]
            pub fn stats(&self) -> UdpStats {
                let largest_bytes = self.0.largest_bytes.load(Relaxed);
                UdpStats { largest_bytes, $($name: self.0.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Packets that were sent.
    sent,
    /// Packets that arrived.
    received,
    /// Messages that were not sent, for whatever reason.
    unsent,
    /// Replies to strangers that were not sent because they do not fit a packet.
    oversized,
    /// Packets and messages on streams that were none, were not encrypted with a key
    /// of this member, or were too long.
    malformed,
    /// Requests for pages that came by datagram and were refused.
    refused,
    /// Streams that this member opened.
    streams_opened,
    /// Streams that others opened and that were served.
    streams_accepted,
    /// Streams that others opened and that were closed because too many were served.
    streams_refused,
    /// Streams that were cut off because their message took too long.
    streams_late,
}

/// Reads what a [`Udp`](super::Udp) counts while it runs. Clones read the same.
#[derive(Clone, Debug, Default)]
pub struct UdpCounters(pub(super) Arc<Counters>);

impl UdpCounters {
    /// Takes note of a packet that was sent.
    pub(super) fn packet(&self, bytes: usize) {
        count(&self.0.sent);
        self.0.largest_bytes.fetch_max(bytes, Relaxed);
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
