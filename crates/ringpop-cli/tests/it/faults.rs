//! Faults and hostile clients on real processes, with the bars that the project sets itself: what
//! fails, how long requests take, and how much memory a member takes for it.
//!
//! An ordinary run is short and checks what does not depend on the machine: memory, and requests
//! while owners are silent or die. The bars themselves want a release build, a minute for each
//! client, and a machine that does nothing else:
//!
//! ```text
//! cargo build --release -p ringpop-cli
//! RINGPOP_BARS=60 RINGPOP_COMMAND=target/release/ringpop cargo test -p ringpop-cli --test it -- --nocapture --test-threads 1 faults
//! ```

mod clients;

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::runs_all::runs_all;
use crate::support::http::Client;
use crate::support::ports::Ports;
use crate::support::process::Process;
use crate::support::requests::{Requests, Summary};
use crate::support::{eventually, member, status};

use self::clients::CLIENTS;

/// How long each hostile client is at work in an ordinary run.
const SHORT: Duration = Duration::from_secs(4);

/// As many hostile clients as have the time of an ordinary run: those that take memory or slots.
const FIRST: usize = 2;

/// How long requests are watched before a hostile client begins, when the bars are decided: 750 of
/// them.
const QUIET: Duration = Duration::from_secs(15);

/// What a member may take beyond what it takes when nothing is wrong.
const MEMORY_MAX: u64 = 200 << 20;

/// How long an idempotent request may take while its owner is silent.
const SILENT_P99: Duration = Duration::from_millis(1500);

/// What a hostile client may make of the time that others wait.
const SLOWER_MAX: u32 = 3;

/// Below this, a percentile says more about the machine than about the member.
const P99_FLOOR: Duration = Duration::from_millis(5);

/// How long each hostile client is at work when the bars are decided; `None` in an ordinary run.
fn bars() -> Option<Duration> {
    let seconds = std::env::var("RINGPOP_BARS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("RINGPOP_BARS is a number of seconds")))
}

async fn start(ports: &Ports, nodes: u16, more: &[&str]) -> Vec<Process> {
    let peers = ports.all_grpc().join(",");
    let started: Vec<_> = (0..nodes)
        .map(|i| {
            let (listen, http) = (ports.grpc(i), ports.http(i));
            let node = ["node", "--listen", &listen, "--http", &http, "--peers", &peers, "--json"];
            Process::start(&[&node[..], more].concat())
        })
        .collect();
    let addresses = ports.all_grpc();
    for address in &addresses {
        eventually("each member sees all", || async {
            let status = status(address).await?;
            let sees = |other| member(&status, other).is_some_and(|m| m["status"] == "alive");
            addresses.iter().all(|other| sees(other)).then_some(())
        })
        .await;
    }
    started
}

fn keys() -> Vec<String> {
    (0..200).map(|i| format!("key-{i}")).collect()
}

async fn until_faulty(observer: &str, gone: &[String]) {
    eventually("they are found faulty", || async {
        let status = status(observer).await?;
        let is_out = |address: &String| member(&status, address).is_none_or(|m| m["share"] == 0.0);
        gone.iter().all(is_out).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_owner_fails_no_idempotent_request() {
    let ports = Ports::claim(5);
    let nodes = start(&ports, 5, &["--preset", "lan"]).await;
    let (others, silent) = (ports.all_http()[..4].to_vec(), ports.grpc(4));
    let rate = if bars().is_some() { 300 } else { 60 };
    let requests = Requests::start(others, keys(), rate);
    sleep(Duration::from_secs(2)).await;
    requests.take();
    nodes[4].signal(Signal::STOP);
    let began = Instant::now();
    until_faulty(&ports.grpc(0), &[silent]).await;
    println!("a silent owner: faulty after {:?}", began.elapsed());
    let summary = requests.finish().await;
    println!("a silent owner: {summary}");
    nodes[4].signal(Signal::CONT);
    assert_eq!(summary.failed(), 0, "{summary}");
    assert!(bars().is_none() || summary.p99() <= SILENT_P99, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_members_die_and_no_idempotent_request_fails() {
    let ports = Ports::claim(10);
    let nodes = start(&ports, 10, &["--preset", "lan"]).await;
    let rate = if bars().is_some() { 300 } else { 60 };
    let requests = Requests::start(ports.all_http()[..5].to_vec(), keys(), rate);
    sleep(Duration::from_secs(2)).await;
    requests.take();
    nodes[5..].iter().for_each(|node| node.signal(Signal::KILL));
    until_faulty(&ports.grpc(0), &ports.all_grpc()[5..]).await;
    let summary = requests.finish().await;
    println!("half of ten members die: {summary}");
    assert_eq!(summary.failed(), 0, "{summary}");
}

/// What a process keeps in memory.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The most that a process keeps in memory during this time.
fn watch_memory(pid: u32, time: Duration) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let (mut most, end) = (0, Instant::now() + time);
        while Instant::now() < end {
            most = most.max(resident(pid));
            sleep(Duration::from_millis(50)).await;
        }
        most
    })
}

/// The most memory, and what became of the requests of others, while nothing or something is done
/// to the victim.
async fn observe(ports: &Ports, pid: u32, time: Duration) -> (u64, Summary) {
    let requests = Requests::start(vec![ports.http(0)], keys(), 50);
    let memory = watch_memory(pid, time).await.expect("it does not panic");
    (memory, requests.finish().await)
}

/// A client in a runtime of its own, so what it computes in one go holds up no watched request. It
/// ends when this is dropped.
struct Apart(Option<Runtime>);

impl Apart {
    fn start(client: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime starts");
        runtime.spawn(client);
        Self(Some(runtime))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_cost_others_nothing() {
    let mut broken = Vec::new();
    // One of them by a part of its name.
    let only = std::env::var("RINGPOP_CLIENT").unwrap_or_default();
    let chosen = CLIENTS.into_iter().filter(|(name, _)| name.contains(&only));
    let skipped = format!("{} of {} hostile clients", CLIENTS.len() - FIRST, CLIENTS.len());
    let count = if bars().is_some() || runs_all(&skipped) { CLIENTS.len() } else { FIRST };
    for (name, client) in chosen.take(count) {
        let ports = Ports::claim(3);
        let nodes = start(&ports, 3, &["--preset", "lan"]).await;
        let victim = clients::Victim::prepare(&Client::new(), &ports).await;
        let (quiet, time) = bars().map_or((SHORT / 4, SHORT), |time| (QUIET, time));
        let (idle, before) = observe(&ports, nodes[0].pid(), quiet).await;
        let hostile = Apart::start(client(victim));
        let (most, during) = observe(&ports, nodes[0].pid(), time).await;
        drop(hostile);
        let served = Client::new().get(&ports.http(0), "key-0").await;
        assert!(served.is_ok_and(|reply| reply.is_answer()), "{name}: it does not serve any more");
        let grown = most.saturating_sub(idle);
        println!("{name}: {} MiB more; before {before}; during {during}", grown >> 20);
        let is_slow = during.p99() > (SLOWER_MAX * before.p99()).max(P99_FLOOR);
        let is_felt = bars().is_some() && (during.failed() > 0 || is_slow);
        // A build for tests, on a machine that does other things too, frees less in time.
        let memory_max = if bars().is_some() { MEMORY_MAX } else { 2 * MEMORY_MAX };
        if grown > memory_max || is_felt {
            broken.push(format!("{name}: {grown} bytes more; before {before}; during {during}"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
