//! What the transport counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often things happened since the start, most of them on the wire.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct TransportStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl TransportStats {
            /// All counters by name, in order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> TransportStats {
                TransportStats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Connections that others opened and that introduced themselves.
    accepted,
    /// Connections refused because enough are served.
    refused_connections,
    /// Connections closed because no valid introduction came in time.
    failed_introductions,
    /// Connections opened to others.
    connected,
    /// Connections to others that could not be opened.
    failed_connections,
    /// Frames that were malformed, of an unknown type or out of place.
    malformed_frames,
    /// Calls of others, refused ones included.
    requests,
    /// Calls of others refused as malformed or too long.
    refused_malformed,
    /// Calls of others to a service or an endpoint that does not exist.
    refused_unknown,
    /// Calls of others refused because too many are under way.
    refused_busy,
    /// Calls of others that were not answered in time.
    refused_late,
    /// Bodies of calls and answers that were not what they should be.
    malformed_bodies,
    /// Own calls.
    calls,
    /// Own calls that failed on the wire or were refused by an error frame.
    failed_calls,
    /// Joins that found nobody, after which this member began a cluster of its own.
    alone,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
