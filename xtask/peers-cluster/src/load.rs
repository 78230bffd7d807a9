//! Calls at a steady rate to all members of a cluster, whose keys are as uneven as those of users.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use ringpop::swim::SplitMix64;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::{Channel, Endpoint};

use crate::call::{Ask, Client};

/// Calls per second.
const RATE: u64 = 500;
/// Distinct keys.
pub(crate) const KEYS: usize = 10_000;

/// A call.
pub(crate) struct Outcome {
    pub(crate) latency: Duration,
    /// The answer, or why there is none.
    pub(crate) answer: Result<Ask, tonic::Status>,
}

/// The members that take calls: those that a balancer would choose from.
#[derive(Clone, Default)]
pub(crate) struct Serving(Arc<Mutex<Vec<(String, Channel)>>>);

impl Serving {
    pub(crate) async fn add(&self, address: &str) -> Result<()> {
        let endpoint: Endpoint = format!("http://{address}").parse()?;
        let channel = endpoint.tcp_nodelay(true).connect().await?;
        lock(&self.0).push((address.to_owned(), channel));
        Ok(())
    }

    pub(crate) fn remove(&self, address: &str) {
        lock(&self.0).retain(|(serving, _)| serving != address);
    }

    fn any(&self, random: &mut SplitMix64) -> Option<Client<Channel>> {
        let serving = lock(&self.0);
        let chosen = random.next().checked_rem(serving.len() as u64)?;
        serving.get(usize::try_from(chosen).ok()?).map(|(_, channel)| Client::new(channel.clone()))
    }
}

/// Calls until it is dropped, each at its time, whether or not earlier ones have ended.
pub(crate) struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    calling: JoinHandle<()>,
}

impl Load {
    pub(crate) fn start(serving: Serving) -> Self {
        let outcomes: Arc<Mutex<Vec<Outcome>>> = Arc::default();
        let noted = Arc::clone(&outcomes);
        let calling = tokio::spawn(async move {
            let (keys, mut random) = (Zipf::new(KEYS), SplitMix64::new(7));
            let mut ticks = interval(Duration::from_micros(1_000_000 / RATE));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                let due = ticks.tick().await;
                let Some(mut client) = serving.any(&mut random) else { continue };
                let key = key(keys.draw(&mut random));
                let noted = Arc::clone(&noted);
                tokio::spawn(async move {
                    let answer = client.get(Ask::new(&key)).await;
                    let outcome = Outcome { latency: due.elapsed(), answer };
                    lock(&noted).push(outcome);
                });
            }
        });
        Self { outcomes, calling }
    }

    /// The calls that have ended since the last time.
    pub(crate) fn take(&self) -> Vec<Outcome> {
        std::mem::take(&mut *lock(&self.outcomes))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.calling.abort();
    }
}

fn lock<T>(shared: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks once for each key.
pub(crate) async fn fill(serving: &Serving) -> Result<()> {
    let mut random = SplitMix64::new(1);
    for i in 0..KEYS {
        let Some(mut client) = serving.any(&mut random) else { anyhow::bail!("nobody serves") };
        client.get(Ask::new(&key(i))).await?;
    }
    Ok(())
}

fn key(i: usize) -> String {
    format!("user-{i}")
}

/// Draws of Zipf's law with exponent 1: the `k`th key has a share in proportion to `1/k`.
struct Zipf {
    /// Sums of the shares up to each key.
    sums: Vec<f64>,
}

impl Zipf {
    fn new(keys: usize) -> Self {
        let shares = (1..=keys).map(|k| 1.0 / k as f64);
        let sums = shares.scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    fn draw(&self, random: &mut SplitMix64) -> usize {
        let all = self.sums.last().copied().unwrap_or_default();
        let drawn = (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * all;
        self.sums.partition_point(|sum| *sum <= drawn).min(self.sums.len() - 1)
    }
}
