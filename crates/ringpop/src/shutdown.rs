//! Stopping without loss.
//!
//! First the others learn that this member has left, so that they forward to
//! the new owners. Meanwhile it goes on serving: what still arrives is
//! forwarded to the new owner or handled. Then it refuses, which makes senders
//! that have not heard yet ask the next owner, and stops when all is done.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::gossip::Command;
use crate::lifecycle::State;
use crate::member::Inner;
use crate::server::Server;

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Members that confirmed that they know of the leave.
    pub told: usize,
    /// Requests that were still under way when the time was over, and were
    /// cut off.
    pub cut_off: u64,
}

pub(crate) async fn run(inner: &Arc<Inner>, limit: Duration) -> ShutdownReport {
    let deadline = Instant::now() + limit;
    let before = [State::Bound, State::Bootstrapping, State::Ready];
    if inner.lifecycle.advance(&before, State::Draining).is_err() {
        // Another call is at it.
        let _ = timeout_at(deadline, inner.lifecycle.reached(State::Stopped)).await;
        return ShutdownReport { told: 0, cut_off: inner.forwarder.stats().in_flight };
    }
    inner.forwarder.drain();
    let told = timeout_at(deadline, leave(inner, deadline)).await.unwrap_or(0);
    inner.forwarder.refuse_new_work();
    let _ = timeout_at(deadline, inner.forwarder.drained()).await;
    let cut_off = inner.forwarder.stats().in_flight;
    stop_server(inner, deadline).await;
    if inner.lifecycle.advance(&[State::Draining], State::Stopped).is_ok() {
        inner.events.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
    ShutdownReport { told, cut_off }
}

/// Leaves and waits until the others know; gives how many confirmed it.
async fn leave(inner: &Inner, deadline: Instant) -> usize {
    let (sender, report) = oneshot::channel();
    let left = inner.handle.ask(|done| Command::Leave(sender, done)).await;
    if !matches!(left, Some(Ok(()))) {
        // It never joined; nobody knows of it.
        return 0;
    }
    let Ok(report) = report.await else { return 0 };
    if report.acknowledged < report.others {
        // The rest learns by gossip, in a number of periods that grows with
        // the logarithm of the cluster (SWIM, section 4.1); at most half of
        // the time is spent on it.
        let rounds = report.others.next_power_of_two().ilog2() + 2;
        let spread = report.protocol_period * rounds;
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        tokio::time::sleep(spread.min(half)).await;
    }
    report.acknowledged
}

async fn stop_server(inner: &Inner, deadline: Instant) {
    let server = {
        let mut server = inner.server.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *server, Server::Stopped)
    };
    if let Server::Running { stop, mut task } = server {
        drop(stop);
        if timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
        }
    }
}
