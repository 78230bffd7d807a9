//! Real servers on loopback that share one test service, and a client for it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a harness that cannot go on fails its test"
)]

pub mod cluster;
pub mod frames;
pub mod proxy;
pub mod raw;
pub mod service;
pub mod victim;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// No condition of these tests takes longer than this on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds, and fails the test when it does not in good time.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "did not happen: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Awaits `future`, and fails the test when it takes too long.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("did not finish: {what}"))
}

/// Waits until `figure` has not changed for a while: everything that could move has moved.
pub async fn settled(mut figure: impl FnMut() -> u64) -> u64 {
    const STILL: usize = 200;
    let end = Instant::now() + PATIENCE;
    let (mut last, mut still) = (figure(), 0);
    while still < STILL {
        assert!(Instant::now() < end, "does not settle");
        sleep(Duration::from_millis(1)).await;
        let now = figure();
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}
