//! The observers of forwarded requests.

use ringpop_forward::{Builder, Observer};

/// A forwarder with this observer, if there is one.
pub(crate) fn with<T>(forwarder: Builder<T>, observer: Option<Box<dyn Observer>>) -> Builder<T> {
    match observer {
        Some(observer) => forwarder.observer(observer),
        None => forwarder,
    }
}

/// The observer of the application, and beside it one for the recorder of the crate `metrics` when
/// that is wanted.
#[cfg(feature = "metrics")]
pub(crate) fn beside_recorder(
    given: Option<Box<dyn Observer>>,
    metrics: bool,
    local: &swim_core::Address,
) -> Option<Box<dyn Observer>> {
    if !metrics {
        return given;
    }
    let recorder = ringpop_forward::MetricsObserver::new().member(local.as_str());
    Some(match given {
        Some(given) => Box::new(Both(Box::new(recorder), given)),
        None => Box::new(recorder),
    })
}

/// Two observers as one.
#[cfg(feature = "metrics")]
struct Both(Box<dyn Observer>, Box<dyn Observer>);

#[cfg(feature = "metrics")]
impl Observer for Both {
    fn event(&self, event: &ringpop_forward::ForwardEvent<'_>) {
        self.0.event(event);
        self.1.event(event);
    }
}
