//! What the driver counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often the driver had to refuse something, since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct DriverStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl DriverStats {
            /// All counters by name, in order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> DriverStats {
                DriverStats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Inputs dropped because the queue was full and their sender could not wait.
    inputs_dropped,
    /// Requests of others refused because
    /// [`ANSWERS_MAX`](crate::limits::ANSWERS_MAX) waited already.
    requests_refused,
    /// Questions to discovery that failed, while healing.
    discovery_failures,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
