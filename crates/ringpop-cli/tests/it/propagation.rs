//! How long news takes among 50 processes, beside what the simulator predicts for their settings.
//!
//! It takes three minutes, and a machine that does nothing else:
//!
//! ```sh
//! cargo build --release -p ringpop-cli && RINGPOP_BARS=1 RINGPOP_COMMAND=$PWD/target/release/ringpop \
//!     cargo test -p ringpop-cli --test it propagation:: -- --nocapture
//! ```
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use ringpop::admin_client::{AdminClient, GetPropagationRequest, GetPropagationResponse};
use tonic::transport::Endpoint;

use crate::operate::json;
use crate::support::ports::Ports;
use crate::support::process::Process;

/// Blocks of ports with so many members each.
const BLOCKS: u16 = 5;
const MEMBERS_OF_A_BLOCK: u16 = 10;

/// How long beacons are measured: some hundreds of them at each member.
const MEASURED: Duration = Duration::from_secs(150);

async fn told(address: &str) -> GetPropagationResponse {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await;
    let mut client = AdminClient::new(channel.unwrap());
    client.get_propagation(GetPropagationRequest {}).await.unwrap().into_inner()
}

fn middle(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    values[values.len() / 2] as f64 / 1000.0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_99th_percentile_of_beacons_is_within_a_fifth_of_the_prediction() {
    if std::env::var_os("RINGPOP_BARS").is_none() {
        println!("SKIPPED: beacons among 50 processes: RINGPOP_BARS=1 runs them");
        return;
    }
    let blocks: Vec<_> = (0..BLOCKS).map(|_| Ports::claim(MEMBERS_OF_A_BLOCK)).collect();
    let addresses: Vec<_> = blocks.iter().flat_map(Ports::all_grpc).collect();
    let peers = addresses.join(",");
    // As many as `dev` has: some join, and the others by them.
    let preset = std::env::var("RINGPOP_PRESET").unwrap_or_else(|_| "lan".to_owned());
    let start = |address: &String| {
        let node = ["node", "--listen", address, "--peers", &peers, "--preset", &preset];
        Process::start(&[&node[..], &["--beacons", "300ms", "--json"]].concat())
    };
    let _nodes: Vec<_> = addresses.iter().map(start).collect();
    let wait = ["wait", &addresses[0], "--members", "50", "--timeout", "2m"];
    json(&wait).await;
    // Those of the beginning are late because the others were.
    tokio::time::sleep(MEASURED / 5).await;
    tokio::time::sleep(MEASURED).await;
    let mut all = Vec::new();
    for address in &addresses {
        all.push(told(address).await);
    }
    let of = |value: fn(&GetPropagationResponse) -> u64| middle(all.iter().map(value).collect());
    let (p50, p99) = (of(|it| it.p50_us), of(|it| it.p99_us));
    let (predicted_p50, predicted_p99) =
        (of(|it| it.predicted_p50_us), of(|it| it.predicted_p99_us));
    println!(
        "{preset}: p50 {p50:.0} ms (predicted {predicted_p50:.0}), p99 {p99:.0} ms (predicted {predicted_p99:.0}), \
         {} samples at a member",
        of(|it| u64::from(it.samples) * 1000)
    );
    let ratio = p99 / predicted_p99;
    assert!((0.8..=1.2).contains(&ratio), "p99 is {ratio:.2} of what was predicted");
}
