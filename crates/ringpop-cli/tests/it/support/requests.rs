//! Reads at a fixed rate, whether earlier ones are answered or not, and how long they took.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use super::http::Client;

/// The outcome of one request: how long it took, and its error.
type Outcome = (Duration, Option<String>);

/// Requests under way.
pub(crate) struct Requests {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    finished: Arc<AtomicBool>,
    sender: JoinHandle<JoinSet<()>>,
}

impl Requests {
    /// Reads `keys` in turn from the HTTP ports `nodes` in turn.
    pub(crate) fn start(nodes: Vec<String>, keys: Vec<String>, per_second: u32) -> Self {
        let (outcomes, finished) = (Arc::default(), Arc::default());
        let sender = tokio::spawn(send(
            nodes,
            keys,
            per_second,
            Arc::clone(&outcomes),
            Arc::clone(&finished),
        ));
        Self { outcomes, finished, sender }
    }

    /// What became of those that have ended since this was asked last.
    pub(crate) fn take(&self) -> Summary {
        let mut outcomes = self.outcomes.lock().expect("no holder panics");
        Summary::new(std::mem::take(&mut *outcomes))
    }

    /// Sends nothing more, and waits for those under way.
    pub(crate) async fn finish(self) -> Summary {
        self.finished.store(true, Ordering::SeqCst);
        let mut under_way = self.sender.await.expect("it does not panic");
        while under_way.join_next().await.is_some() {}
        let outcomes = std::mem::take(&mut *self.outcomes.lock().expect("no holder panics"));
        Summary::new(outcomes)
    }
}

async fn send(
    nodes: Vec<String>,
    keys: Vec<String>,
    per_second: u32,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    finished: Arc<AtomicBool>,
) -> JoinSet<()> {
    let (client, mut under_way) = (Client::new(), JoinSet::new());
    let mut clock = tokio::time::interval(Duration::from_secs(1) / per_second);
    for i in 0_usize.. {
        clock.tick().await;
        if finished.load(Ordering::SeqCst) {
            break;
        }
        while under_way.try_join_next().is_some() {}
        let (client, outcomes) = (client.clone(), Arc::clone(&outcomes));
        let (node, key) = (nodes[i % nodes.len()].clone(), keys[i % keys.len()].clone());
        under_way.spawn(async move {
            let start = Instant::now();
            let fault = match client.get(&node, &key).await {
                Ok(reply) if reply.is_answer() => None,
                Ok(reply) => Some(format!("{reply:?}")),
                Err(error) => Some(error),
            };
            let outcome = (start.elapsed(), fault);
            outcomes.lock().expect("no holder panics").push(outcome);
        });
    }
    under_way
}

/// What became of some requests.
pub(crate) struct Summary {
    /// In order.
    took: Vec<Duration>,
    faults: Vec<String>,
}

impl Summary {
    fn new(outcomes: Vec<Outcome>) -> Self {
        let mut took: Vec<_> = outcomes.iter().map(|(took, _)| *took).collect();
        took.sort_unstable();
        Self { took, faults: outcomes.into_iter().filter_map(|(_, fault)| fault).collect() }
    }

    pub(crate) fn failed(&self) -> usize {
        self.faults.len()
    }

    pub(crate) fn p99(&self) -> Duration {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> Duration {
        let index = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
        self.took.get(index).copied().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99, max) = (self.percentile(50), self.p99(), self.percentile(100));
        let (all, failed) = (self.took.len(), self.failed());
        write!(f, "{all} requests, {failed} failed, p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}")?;
        match self.faults.first() {
            Some(first) => write!(f, ", first fault: {first}"),
            None => Ok(()),
        }
    }
}
