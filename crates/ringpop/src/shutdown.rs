//! Stopping without loss.
//!
//! First this member hands its state over, all others switch to the new owners together, and it
//! leaves. Meanwhile it
//! goes on serving: what still arrives is forwarded to the new owner or handled, for as long as
//! clients and load balancers need to notice (the *lame duck* time). Then connections end in an
//! order in which nobody loses a request, and the member stops.
//!
//! All of it runs in a task of its own: a caller may stop waiting for it.

pub(crate) mod begun;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use swim_core::{Event as SwimEvent, Instant as SwimInstant, Node};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use self::begun::Shutdown;
pub use self::begun::ShutdownReport;
use crate::clock::after;
use crate::gossip::reachable;
use crate::hooks::HookPoint;
use crate::inner::Inner;
use crate::planned;
use crate::server::phase::Server;
use crate::state::State;

/// Begins to stop, or hurries a stop that was begun, and waits within `limit`.
pub(crate) async fn run(inner: &Arc<Inner>, limit: Duration) -> ShutdownReport {
    let deadline = after(Instant::now(), limit);
    let mut report = begin(inner, deadline);
    let wait = report.wait_for(Option::is_some);
    match tokio::time::timeout_at(deadline + MARGIN, wait).await {
        Ok(Ok(report)) => report.unwrap_or_default(),
        // The runtime is about to end.
        Ok(Err(_)) | Err(_) => {
            ShutdownReport { told: 0, cut_off: inner.forwarder.stats().in_flight }
        }
    }
}

/// Beyond its deadline, a shutdown only has to end a task.
const MARGIN: Duration = Duration::from_secs(1);

/// Leaves, tells the others within `limit`, and gives how many confirmed it.
pub(crate) async fn leave_within(inner: &Arc<Inner>, limit: Duration) -> usize {
    let deadline = after(Instant::now(), limit);
    let (_unchanged, changes) = watch::channel(deadline);
    let was_ready = begin_to_drain(inner);
    let mut deadline = Deadline(changes);
    let leaving = leave_with_hooks(inner, was_ready, deadline.clone());
    deadline.bound(leaving).await.unwrap_or(0)
}

/// Says that this member is about to stop; gives whether it was ready until now.
fn begin_to_drain(inner: &Inner) -> bool {
    // Only this leads to the later states, and only once.
    let [bound, bootstrapping, ready] = [State::Bound, State::Bootstrapping, State::Ready];
    let was_ready = inner.lifecycle.advance(&[ready], State::Draining).is_ok();
    let _ = inner.lifecycle.advance(&[bound, bootstrapping, ready], State::Draining);
    inner.forwarder_control.drain();
    was_ready
}

/// Begins to stop in a task of its own. A later call brings the deadline
/// forward when it has less time.
pub(crate) fn begin(
    inner: &Arc<Inner>,
    deadline: Instant,
) -> watch::Receiver<Option<ShutdownReport>> {
    let mut shutdown = inner.shutdown.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(begun) = &*shutdown {
        begun.deadline.send_if_modified(|earlier| {
            let sooner = deadline < *earlier;
            *earlier = deadline.min(*earlier);
            sooner
        });
        return begun.report.clone();
    }
    let (deadline, changes) = watch::channel(deadline);
    let (done, report) = watch::channel(None);
    *shutdown = Some(Shutdown { deadline, report: report.clone() });
    drop(shutdown);
    let was_ready = begin_to_drain(inner);
    let inner = Arc::clone(inner);
    tokio::spawn(async move {
        let report = stop(&inner, was_ready, Deadline(changes)).await;
        done.send_replace(Some(report));
    });
    report
}

/// When a shutdown must be over; it may come nearer.
#[derive(Clone)]
struct Deadline(watch::Receiver<Instant>);

impl Deadline {
    /// Runs until the deadline; `None` when it came first.
    async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let deadline = *self.0.borrow_and_update();
            tokio::select! {
                done = &mut work => return Some(done),
                () = sleep_until(deadline) => return None,
                // The sender lives in the member, which this task keeps.
                Ok(()) = self.0.changed() => {}
            }
        }
    }

    fn remaining(&self) -> Duration {
        self.0.borrow().saturating_duration_since(Instant::now())
    }
}

async fn stop(inner: &Arc<Inner>, was_ready: bool, mut deadline: Deadline) -> ShutdownReport {
    let begun = Instant::now();
    let leaving = leave_with_hooks(inner, was_ready, deadline.clone());
    let told = deadline.bound(leaving).await.unwrap_or(0);
    // Clients that watch the health service send elsewhere meanwhile. The lame duck time leaves as
    // much again for the calls under way at its end.
    let lame_duck = if was_ready { inner.lame_duck } else { Duration::ZERO };
    let lame_duck = lame_duck.saturating_sub(begun.elapsed()).min(deadline.remaining() / 2);
    deadline.bound(sleep(lame_duck)).await;
    let cut_off = stop_server(inner, &mut deadline).await;
    inner.handle.stop().await;
    // The ring is empty before anybody hears that the member has stopped.
    deadline.bound(inner.handle.ended()).await;
    if let Some(thread) = &inner.gossip_thread {
        deadline.bound(thread.ended()).await;
    }
    if inner.lifecycle.advance(&[State::Draining], State::Stopped).is_ok() {
        inner.events.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
    ShutdownReport { told, cut_off }
}

/// Leaves, between the hooks of the application when this member was ready until now.
async fn leave_with_hooks(inner: &Arc<Inner>, was_ready: bool, deadline: Deadline) -> usize {
    if !was_ready {
        return leave(inner, deadline).await;
    }
    inner.hooks.run(HookPoint::BeforeLeave, &inner.address).await;
    let told = leave(inner, deadline).await;
    inner.hooks.run(HookPoint::AfterLeave, &inner.address).await;
    told
}

/// Hands state over, leaves and waits until the others know; gives how many confirmed it.
async fn leave(inner: &Arc<Inner>, deadline: Deadline) -> usize {
    planned::off_ring(inner, deadline.remaining() / 2).await;
    let leave = |node: &mut Node, now: SwimInstant| {
        node.cancel_join(now);
        node.leave(now)
    };
    let over = |node: &Node, event: &SwimEvent| match event {
        SwimEvent::LeaveComplete { acknowledged, .. } => {
            Some((*acknowledged, reachable(node), node.config().protocol_period()))
        }
        _ => None,
    };
    // When it never joined, nobody knows of it.
    let Ok((acknowledged, others, period)) = inner.handle.until(leave, over).await else {
        return 0;
    };
    if acknowledged < others {
        // The rest learns by gossip, in a number of periods that grows with
        // the logarithm of the cluster (SWIM, section 4.1); at most half of
        // the time is spent on it.
        let rounds = others.next_power_of_two().ilog2() + 2;
        let spread = period * rounds;
        sleep(spread.min(deadline.remaining() / 2)).await;
    }
    acknowledged
}

/// Ends the connections, each after its requests, and gives how many requests
/// were cut off. New requests that come on open connections are answered until
/// their clients have heard of the end (GOAWAY; RFC 9113, section 6.8).
async fn stop_server(inner: &Inner, deadline: &mut Deadline) -> u64 {
    let server = {
        let mut server = inner.server.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *server, Server::Stopped)
    };
    let Server::Running { stop, mut task } = server else {
        inner.forwarder_control.refuse_new_work();
        return 0;
    };
    drop(stop);
    let ended = async {
        // It fails when it panicked, which has been told as such.
        let _ = (&mut task).await;
        // Calls of this process itself, which have no connection.
        inner.forwarder_control.refuse_new_work();
        inner.forwarder.drained().await;
    };
    if deadline.bound(ended).await.is_some() {
        return 0;
    }
    let cut_off = inner.forwarder.stats().in_flight;
    inner.forwarder_control.refuse_new_work();
    if !task.is_finished() {
        task.abort();
        // The port is free when the task is gone.
        let _ = task.await;
    }
    cut_off
}
