//! How long things take, for the recorder of the crate `metrics` when feature `metrics` is on and
//! [`Builder::metrics`](crate::Builder::metrics) was called. Otherwise nothing of it is measured.

use swim_core::{Body, Message};

#[cfg(feature = "metrics")]
pub(crate) use on::Timings;

#[cfg(not(feature = "metrics"))]
pub(crate) use off::Timings;

#[cfg(feature = "metrics")]
mod on {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::metrics::{
        JOIN_SECONDS, REQUEST_SECONDS, RING_ADDED, RING_CHANGES, RING_REMOVED, VIEW_SECONDS,
    };
    use crate::view::RingChange;
    use metrics::{Label, SharedString, counter, histogram};

    /// What a member measures. Clones belong to the same member.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Timings(Option<Arc<str>>);

    impl Timings {
        /// Of the member of this name.
        pub(crate) fn of(member: &str) -> Self {
            Self(Some(member.into()))
        }

        fn label(&self) -> Option<Label> {
            let member = SharedString::from_shared(Arc::clone(self.0.as_ref()?));
            Some(Label::new("member", member))
        }

        /// A membership request was answered. Failures take as long as their timeout, which says
        /// nothing.
        pub(crate) fn request(&self, kind: &'static str, took: Duration) {
            if let Some(member) = self.label() {
                let labels = vec![Label::new("request", kind), member];
                histogram!(REQUEST_SECONDS, labels).record(took.as_secs_f64());
            }
        }

        pub(crate) fn joined(&self, took: Duration) {
            if let Some(member) = self.label() {
                histogram!(JOIN_SECONDS, vec![member]).record(took.as_secs_f64());
            }
        }

        /// A batch of changes became a view.
        pub(crate) fn published(&self, took: Duration) {
            if let Some(member) = self.label() {
                histogram!(VIEW_SECONDS, vec![member]).record(took.as_secs_f64());
            }
        }

        pub(crate) fn ring_changed(&self, change: &RingChange) {
            let Some(member) = self.label() else { return };
            let (added, removed) = (change.added.len() as u64, change.removed.len() as u64);
            counter!(RING_CHANGES, vec![member.clone()]).increment(1);
            counter!(RING_ADDED, vec![member.clone()]).increment(added);
            counter!(RING_REMOVED, vec![member]).increment(removed);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::time::Duration;

    use crate::view::RingChange;

    /// Measures nothing.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Timings(());

    #[allow(clippy::unused_self, reason = "the same methods as with the feature")]
    impl Timings {
        pub(crate) const fn request(&self, _: &'static str, _: Duration) {}

        pub(crate) const fn joined(&self, _: Duration) {}

        pub(crate) const fn published(&self, _: Duration) {}

        pub(crate) const fn ring_changed(&self, _: &RingChange) {}
    }
}

/// The label of a membership request.
pub(crate) const fn kind(message: &Message) -> &'static str {
    match message.body {
        Body::Ping { .. } => "ping",
        Body::PingReq { .. } => "ping-req",
        Body::Join { .. } => "join",
        Body::Sync(_) => "sync",
        _ => "other",
    }
}
