//! Requests of clients, as many a second as are wanted, and what becomes of them.
//!
//! A client here does what clients of a cluster do: it asks any member that runs, and another one
//! when that has gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringpop::forward::{HOPS_HEADER, TcpConnector};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::event::LoadReport;
use super::histogram::Histogram;
use crate::kv::pb::kv_client::KvClient;
use crate::kv::pb::{GetRequest, PutRequest};
use crate::limits::{CONNECT_TIMEOUT, DEV_LOAD_IN_FLIGHT_MAX, DEV_LOAD_KEYS, DEV_LOAD_TIMEOUT};

/// Requests at a rate.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Requests a second.
    rate: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Members that may be asked.
    targets: Vec<String>,
    clients: HashMap<String, KvClient<Channel>>,
    in_flight: usize,
    total: Counts,
    /// Of this second, and of the one before.
    current: Counts,
    last: Counts,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    answered: u64,
    failed: u64,
    /// Of those that were answered: at the second attempt.
    again: u64,
    hops: u64,
    times: Histogram,
    failure: Option<String>,
}

impl Load {
    /// None yet.
    pub(super) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        tokio::spawn(send(Arc::clone(&shared)));
        Self { shared }
    }

    /// So many requests a second from now on. Counting begins anew with them.
    pub(super) fn set_rate(&self, rate: u32) {
        if self.shared.rate.swap(rate, Ordering::Relaxed) == 0 {
            let mut state = self.shared.state();
            [state.total, state.current, state.last] = Default::default();
        }
    }

    pub(super) fn rate(&self) -> u32 {
        self.shared.rate.load(Ordering::Relaxed)
    }

    /// The members that may be asked from now on.
    pub(super) fn set_targets(&self, targets: Vec<String>) {
        let mut state = self.shared.state();
        if state.targets != targets {
            state.clients.retain(|address, _| targets.contains(address));
            state.targets = targets;
        }
    }

    /// What became of the requests of the last second.
    pub(super) fn last_second(&self) -> LoadReport {
        let mut state = self.shared.state();
        state.last = std::mem::take(&mut state.current);
        self.report(&state.last)
    }

    /// What became of all since they began.
    pub(super) fn total(&self) -> LoadReport {
        self.report(&self.shared.state().total)
    }

    #[cfg(test)]
    pub(super) fn report_of_nothing() -> LoadReport {
        Self { shared: Arc::default() }.report(&Counts::default())
    }

    fn report(&self, counts: &Counts) -> LoadReport {
        let all = counts.answered + counts.failed;
        LoadReport {
            rate: self.rate(),
            answered: counts.answered,
            failed: counts.failed,
            again: counts.again,
            success_percent: if all == 0 {
                100.0
            } else {
                counts.answered as f64 * 100.0 / all as f64
            },
            p50_us: counts.times.quantile(0.5),
            p99_us: counts.times.quantile(0.99),
            hops: if counts.answered == 0 {
                0.0
            } else {
                counts.hops as f64 / counts.answered as f64
            },
            failure: counts.failure.clone(),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.set_rate(0);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of the `n`th member in turn.
    fn client(&self, n: usize) -> Option<KvClient<Channel>> {
        let mut state = self.state();
        let address = state.targets.get(n % state.targets.len().max(1))?.clone();
        let client = state.clients.entry(address);
        let endpoint = |address: &str| Endpoint::from_shared(format!("http://{address}")).ok();
        Some(match client {
            std::collections::hash_map::Entry::Occupied(known) => known.get().clone(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let endpoint = endpoint(place.key())?;
                let channel =
                    endpoint.connect_with_connector_lazy(TcpConnector::within(CONNECT_TIMEOUT));
                place.insert(KvClient::new(channel)).clone()
            }
        })
    }
}

/// Begins requests at the rate, whether earlier ones are answered or not.
async fn send(shared: Arc<Shared>) {
    let mut ticks = interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut due, mut last) = (0.0, Instant::now());
    for n in 0_usize.. {
        // The cluster is gone when nobody holds it any more.
        if Arc::strong_count(&shared) == 1 {
            return;
        }
        ticks.tick().await;
        let elapsed = last.elapsed();
        last = Instant::now();
        let rate = f64::from(shared.rate.load(Ordering::Relaxed));
        // A machine that stood still owes no more than a second.
        due = (due + rate * elapsed.as_secs_f64()).min(rate);
        for place in 0..due as usize {
            let is_full = {
                let mut state = shared.state();
                state.in_flight += 1;
                state.in_flight > DEV_LOAD_IN_FLIGHT_MAX
            };
            if is_full {
                shared.state().in_flight -= 1;
                continue;
            }
            tokio::spawn(request(Arc::clone(&shared), n * 31 + place));
        }
        due = due.fract();
    }
}

/// One request, sent to another member when the first one has gone.
async fn request(shared: Arc<Shared>, n: usize) {
    let begun = Instant::now();
    let mut outcome = attempt(&shared, n, n).await;
    let is_gone = |status: &Status| status.code() == Code::Unavailable;
    let again = outcome.as_ref().is_err_and(is_gone);
    if again {
        outcome = attempt(&shared, n, n + 1).await;
    }
    let mut state = shared.state();
    state.in_flight -= 1;
    let State { total, current, .. } = &mut *state;
    for counts in [total, current] {
        match &outcome {
            Ok(hops) => {
                counts.answered += 1;
                counts.again += u64::from(again);
                counts.hops += hops;
                counts.times.add(begun.elapsed());
            }
            Err(status) => {
                counts.failed += 1;
                counts.failure = Some(format!("{:?}: {}", status.code(), status.message()));
            }
        }
    }
}

/// Asks one member, and gives the hops of the answer.
async fn attempt(shared: &Shared, n: usize, member: usize) -> Result<u64, Status> {
    let Some(mut client) = shared.client(member) else {
        return Err(Status::unavailable("no member runs"));
    };
    let key = format!("load-{}", n % DEV_LOAD_KEYS);
    let call = async {
        if n.is_multiple_of(2) {
            let request = PutRequest { key, value: "value".into() };
            client.put(request).await.map(|response| hops(response.metadata()))
        } else {
            match client.get(GetRequest { key }).await {
                Ok(response) => Ok(hops(response.metadata())),
                // That there is no value is an answer.
                Err(status) if status.code() == Code::NotFound => Ok(hops(status.metadata())),
                Err(status) => Err(status),
            }
        }
    };
    timeout(DEV_LOAD_TIMEOUT, call).await.unwrap_or_else(|_| {
        Err(Status::deadline_exceeded(format!("no answer within {DEV_LOAD_TIMEOUT:?}")))
    })
}

fn hops(metadata: &MetadataMap) -> u64 {
    let hops = metadata.get(HOPS_HEADER.as_str()).and_then(|hops| hops.to_str().ok());
    hops.and_then(|hops| hops.parse().ok()).unwrap_or(0)
}
