//! Timing that survives a shared machine: subjects take turns, and the quiet turns of each count.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use tonic::Request;

use crate::api::{Ask, BenchClient, GET};
use crate::spread::quantile;

/// A deadline that no call of the bench reaches. Every call has one, because a call in production
/// has one.
const DEADLINE: Duration = Duration::from_secs(10);

/// Calls before each turn that are not measured: they load the caches, which the subject before has
/// filled.
const WARM_UP: usize = 50;

/// A way to get an answer.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) client: BenchClient,
    pub(crate) ask: Ask,
}

impl Subject {
    pub(crate) fn new(client: &BenchClient, key: &str, bytes: usize) -> Self {
        let ask = Ask { key: key.to_owned(), payload: vec![7; bytes].into(), count: 0 };
        Self { client: client.clone(), ask }
    }

    pub(crate) async fn call(&mut self) -> Result<()> {
        let mut request = Request::new(self.ask.clone());
        request.set_timeout(DEADLINE);
        self.client.unary(GET, request).await?;
        Ok(())
    }
}

/// The middle and the tail of one turn, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Calls every subject `calls` times per turn, one call at a time. The result has a list of turns
/// for each subject.
pub(crate) async fn latencies(
    subjects: &mut [Subject],
    rounds: usize,
    calls: usize,
) -> Result<Vec<Vec<Latency>>> {
    let mut results = vec![Vec::with_capacity(rounds); subjects.len()];
    for _ in 0..rounds {
        for (subject, results) in subjects.iter_mut().zip(&mut results) {
            results.push(turn(subject, calls).await?);
        }
    }
    Ok(results)
}

async fn turn(subject: &mut Subject, calls: usize) -> Result<Latency> {
    for _ in 0..WARM_UP {
        subject.call().await?;
    }
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begin = Instant::now();
        subject.call().await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(Latency { p50: quantile(&mut times, 0.5), p99: quantile(&mut times, 0.99) })
}

/// Keeps `in_flight` calls going until `calls` are done, and gives the seconds that they took.
pub(crate) async fn burst(subject: &Subject, calls: usize, in_flight: usize) -> Result<f64> {
    let begin = Instant::now();
    let callers = (0..in_flight).map(|caller| {
        let mut subject = subject.clone();
        // The remainder goes to the first callers.
        let calls = calls / in_flight + usize::from(caller < calls % in_flight);
        async move {
            let work = tokio::spawn(async move {
                for _ in 0..calls {
                    subject.call().await?;
                }
                anyhow::Ok(())
            });
            work.await?
        }
    });
    try_join_all(callers).await?;
    Ok(begin.elapsed().as_secs_f64())
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&mut values.into_iter().collect::<Vec<_>>(), 0.5)
}

/// The lower quartile of the turns of one subject: what it costs while nobody else wants the cores.
/// A tail, most of all, is that of the other processes when there are any.
pub(crate) fn quiet(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&mut values.into_iter().collect::<Vec<_>>(), 0.25)
}

/// The median of the ratios of two lists, turn by turn.
pub(crate) fn median_ratio(
    ours: impl IntoIterator<Item = f64>,
    peer: impl IntoIterator<Item = f64>,
) -> f64 {
    median(ours.into_iter().zip(peer).map(|(ours, peer)| ours / peer))
}
