//! Sending beacons.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::builder::Builder;
use crate::clock::unix_time;
use crate::inner::Inner;
use crate::limits::BEACON_INTERVAL_MIN;
use crate::member::Ringpop;
use crate::state::State;

impl Builder {
    /// Has this member take part in measuring how long news takes: in the whole cluster one member
    /// after the other sets a [label with the time](crate::limits::BEACON_LABEL), one each
    /// `interval`, at least [`BEACON_INTERVAL_MIN`]. Every member measures those of the others, as
    /// exactly as their clocks agree.
    ///
    /// Each beacon is a change that all members get, and it changes the checksum of the membership.
    /// Default: none are sent; those of others are measured anyway.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = ringpop::Ringpop::builder("rides").beacons(Duration::from_secs(5));
    /// # drop(builder);
    /// ```
    pub fn beacons(mut self, interval: Duration) -> Self {
        self.beacons = Some(interval.max(BEACON_INTERVAL_MIN));
        self
    }
}

/// Sends beacons as long as the member is ready, if it is to.
pub(crate) fn start(inner: &Arc<Inner>) {
    let Some(interval) = inner.admin.beacons else { return };
    let member = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut members = 1;
        loop {
            sleep(pause(interval, members)).await;
            let Some(inner) = member.upgrade() else { return };
            match inner.lifecycle.state() {
                State::Ready => send(&inner).await,
                state if state > State::Ready => return,
                _ => {}
            }
            members = inner.views.with(|view| view.reachable().count());
        }
    });
}

/// The others send, too. By chance, members do not do it together.
fn pause(interval: Duration, members: usize) -> Duration {
    let mean = interval.saturating_mul(u32::try_from(members.max(1)).unwrap_or(u32::MAX));
    let part = 0.5 + fastrand::f64();
    // The product is longer than a `Duration` can be when the mean is near the longest one.
    Duration::try_from_secs_f64(mean.as_secs_f64() * part).unwrap_or(Duration::MAX)
}

async fn send(inner: &Arc<Inner>) {
    let propagation = Arc::clone(&inner.admin.propagation);
    let now = u64::try_from(unix_time().as_micros()).unwrap_or(u64::MAX);
    let set = |own: &mut crate::labels::OwnLabels| {
        own.beacon = Some(now);
        Ok(())
    };
    match Ringpop(Arc::clone(inner)).update_labels(set).await {
        Ok(()) => propagation.count_sent(),
        Err(error) => tracing::debug!(member = %inner.address, %error, "no beacon could be sent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_interval_has_a_pause() {
        for members in [1, 1000] {
            assert!(pause(Duration::MAX, members) >= Duration::MAX / 2);
            let interval = Duration::from_secs(10);
            assert!(pause(interval, members) >= interval / 2);
        }
    }
}
