//! The observers of forwarded requests.

use std::sync::Arc;

use ringpop_forward::{Builder, Observer};
use swim_core::Address;

use crate::admin::state::AdminState;

/// What observes a forwarder.
type Observers = Option<Box<dyn Observer>>;

/// A forwarder with the observer of the application, if there is one, and those of this crate
/// beside it: one for the recorder of the crate `metrics` when that is wanted, `latency` when its
/// figures are served, and one that counts keys where that is wanted.
pub(crate) fn with<T>(
    forwarder: Builder<T>,
    given: Observers,
    metrics: bool,
    admin: &AdminState,
    local: &Address,
) -> Builder<T> {
    let recorder = recorder(metrics, local);
    #[cfg(feature = "http-admin")]
    let latency: Observers = Some(Box::new(Arc::clone(&admin.latency)));
    #[cfg(not(feature = "http-admin"))]
    let latency: Observers = None;
    let hot_keys = admin.hot_keys.as_ref();
    let hot_keys = hot_keys.map(|it| -> Box<dyn Observer> { Box::new(Arc::clone(it)) });
    let all = [given, recorder, latency, hot_keys].into_iter().flatten();
    match all.reduce(|one, other| Box::new(Both(one, other))) {
        Some(observer) => forwarder.observer(observer),
        None => forwarder,
    }
}

#[cfg(feature = "metrics")]
fn recorder(metrics: bool, local: &Address) -> Observers {
    let recorder = || ringpop_forward::MetricsObserver::new().member(local.as_str());
    metrics.then(|| -> Box<dyn Observer> { Box::new(recorder()) })
}

#[cfg(not(feature = "metrics"))]
fn recorder(_: bool, _: &Address) -> Observers {
    None
}

/// Two observers as one.
struct Both(Box<dyn Observer>, Box<dyn Observer>);

impl Observer for Both {
    fn event(&self, event: &ringpop_forward::ForwardEvent<'_>) {
        self.0.event(event);
        self.1.event(event);
    }
}
