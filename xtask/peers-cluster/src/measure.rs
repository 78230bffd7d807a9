//! Middles of rounds, and waiting for a condition.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::spread::quantile;

/// How long anything may take before the bench fails: a busy machine makes figures worse, and is no
/// error.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at. It is the resolution of what is measured so.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(1);

pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The quantile of each round, and of those the lower quartile: the quiet rounds of a shared
/// machine.
pub(crate) fn quiet(rounds: &mut [f64]) -> f64 {
    quantile(rounds, 0.25)
}

pub(crate) fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > PATIENCE {
            bail!("not within {PATIENCE:?}: {what}");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}
