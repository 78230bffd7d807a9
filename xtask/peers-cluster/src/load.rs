//! Calls at a steady rate to all members of a cluster, whose keys are as uneven as those of users.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
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
        self.lock().push((address.to_owned(), channel));
        Ok(())
    }

    pub(crate) fn remove(&self, address: &str) {
        self.lock().retain(|(serving, _)| serving != address);
    }

    fn any(&self, random: &mut Random) -> Option<Client<Channel>> {
        let serving = self.lock();
        let chosen = random.below(serving.len() as u64);
        serving.get(usize::try_from(chosen).ok()?).map(|(_, channel)| Client::new(channel.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Channel)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
            let (keys, mut random) = (Zipf::new(KEYS), Random(7));
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
                    noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome);
                });
            }
        });
        Self { outcomes, calling }
    }

    /// The calls that have ended since the last time.
    pub(crate) fn take(&self) -> Vec<Outcome> {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *outcomes)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.calling.abort();
    }
}

/// Asks once for each key.
pub(crate) async fn fill(serving: &Serving) -> Result<()> {
    let mut random = Random(1);
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

    fn draw(&self, random: &mut Random) -> usize {
        let all = self.sums.last().copied().unwrap_or_default();
        let drawn = random.below(1 << 53) as f64 / (1_u64 << 53) as f64 * all;
        self.sums.partition_point(|sum| *sum <= drawn).min(self.sums.len() - 1)
    }
}

/// The generator SplitMix64 (Steele et al. 2014): the same calls in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        u64::try_from((u128::from(z) * u128::from(bound)) >> 64).unwrap_or_default()
    }
}
