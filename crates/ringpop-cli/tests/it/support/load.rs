//! A client that keeps sending, whatever happens, and remembers each outcome.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use super::http::Client;

/// No node.
const NOBODY: usize = usize::MAX;

/// One request and what became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) key: String,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) error: Option<String>,
    pub(crate) handled_by: String,
}

/// Requests at a fixed rate, whether earlier ones are answered or not.
pub(crate) struct Load {
    shared: Arc<Shared>,
    /// Ends with the requests that it began.
    sender: JoinHandle<JoinSet<()>>,
}

struct Shared {
    nodes: Vec<String>,
    keys: Vec<String>,
    client: Client,
    avoided: AtomicUsize,
    finished: AtomicBool,
    under_way: Vec<AtomicUsize>,
    outcomes: Mutex<Vec<Outcome>>,
}

impl Load {
    /// Sends `per_second` requests to the HTTP ports `nodes` in turn, writing and reading `keys` in
    /// turn, until it is finished. `avoided` gets none.
    pub(crate) fn start(
        nodes: Vec<String>,
        keys: Vec<String>,
        per_second: u32,
        avoided: Option<usize>,
    ) -> Self {
        let shared = Arc::new(Shared {
            under_way: nodes.iter().map(|_| AtomicUsize::new(0)).collect(),
            nodes,
            keys,
            client: Client::new(),
            avoided: AtomicUsize::new(avoided.unwrap_or(NOBODY)),
            finished: AtomicBool::new(false),
            outcomes: Mutex::default(),
        });
        let sender = tokio::spawn(send(Arc::clone(&shared), per_second));
        Self { shared, sender }
    }

    /// Sends nothing more to `node`, and waits for what it was sent.
    pub(crate) async fn avoid(&self, node: usize) {
        self.shared.avoided.store(node, Ordering::SeqCst);
        super::eventually("the node has answered", || {
            let under_way = self.shared.under_way[node].load(Ordering::SeqCst);
            std::future::ready((under_way == 0).then_some(()))
        })
        .await;
    }

    /// Sends to all nodes again.
    pub(crate) fn avoid_nobody(&self) {
        self.shared.avoided.store(NOBODY, Ordering::SeqCst);
    }

    /// Waits until so many more requests were answered.
    pub(crate) async fn more(&self, count: usize) {
        let done = || self.shared.outcomes.lock().expect("no holder panics").len();
        let wanted = done() + count;
        super::eventually("requests are answered", || {
            std::future::ready((done() >= wanted).then_some(()))
        })
        .await;
    }

    /// Stops, waits for requests under way, and returns all outcomes.
    pub(crate) async fn finish(self) -> Vec<Outcome> {
        self.shared.finished.store(true, Ordering::SeqCst);
        let mut requests = self.sender.await.expect("sending does not panic");
        while let Some(request) = requests.join_next().await {
            request.expect("no request panics");
        }
        std::mem::take(&mut *self.shared.outcomes.lock().expect("no holder panics"))
    }
}

async fn send(shared: Arc<Shared>, per_second: u32) -> JoinSet<()> {
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    for n in 0.. {
        ticks.tick().await;
        if shared.finished.load(Ordering::SeqCst) {
            break;
        }
        let mut node = n % shared.nodes.len();
        // Counted before the check whether the node is avoided: the task that avoids it then sees
        // the request.
        shared.under_way[node].fetch_add(1, Ordering::SeqCst);
        if node == shared.avoided.load(Ordering::SeqCst) {
            shared.under_way[node].fetch_sub(1, Ordering::SeqCst);
            node = (node + 1) % shared.nodes.len();
            shared.under_way[node].fetch_add(1, Ordering::SeqCst);
        }
        requests.spawn(request(Arc::clone(&shared), n, node));
    }
    requests
}

async fn request(shared: Arc<Shared>, n: usize, node: usize) {
    // The nodes take turns faster than the keys: each key is sent to each node.
    let round = n / shared.nodes.len();
    let key = shared.keys[round % shared.keys.len()].clone();
    let address = &shared.nodes[node];
    let start = Instant::now();
    let reply = match (n + round) % 2 {
        0 => shared.client.put(address, &key, "value").await,
        _ => shared.client.get(address, &key).await,
    };
    let end = Instant::now();
    shared.under_way[node].fetch_sub(1, Ordering::SeqCst);
    let (error, handled_by) = match reply {
        Ok(reply) if reply.is_answer() => (None, reply.handled_by),
        Ok(reply) => {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            (Some(format!("{address}: {} {}", reply.code, body.trim())), reply.handled_by)
        }
        Err(error) => (Some(format!("{address}: {error}")), String::new()),
    };
    let outcome = Outcome { key, start, end, error, handled_by };
    shared.outcomes.lock().expect("no holder panics").push(outcome);
}

/// The distinct errors of failed requests.
pub(crate) fn errors(outcomes: &[Outcome]) -> HashSet<&str> {
    outcomes.iter().filter_map(|outcome| outcome.error.as_deref()).collect()
}
