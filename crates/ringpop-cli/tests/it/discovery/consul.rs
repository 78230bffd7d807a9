//! Members that register themselves in Consul and find each other there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hashring::Selector;
use ringpop::discovery::{DiscoveryUrl, feed_selector};
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::registries::{ConsulAgent, PATIENCE, is_installed};
use super::{bars, one_ring};
use crate::support::load::{Load, errors};
use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};
use crate::support::{eventually, member, status};

/// Starts a member with an identity, which is its id in Consul too.
fn start(agent: &ConsulAgent, i: u16, listen: &str, http: &str, parameters: &str) -> Process {
    let place = format!("consul:kv?agent={}", agent.url());
    let (discovery, register) = (format!("{place}{parameters}"), format!("{place}&tag=blue"));
    let identity = format!("kv-{i}");
    let arguments = [
        "node",
        "--listen",
        listen,
        "--http",
        http,
        "--identity",
        &identity,
        "--label",
        "zone=eu-1a",
        "--discovery",
        &discovery,
        "--register",
        &register,
        "--json",
    ];
    Process::start(&arguments)
}

/// The services of `kv` that Consul has, with whether they pass.
async fn services(agent: &ConsulAgent) -> Vec<(String, bool)> {
    let answer = agent.ask("GET", "/v1/health/service/kv", "").await;
    let body = answer.split_once("\r\n\r\n").map_or("[]", |(_, body)| body);
    let entries: Vec<Value> = serde_json::from_str(body).unwrap_or_default();
    let entry = |entry: &Value| {
        let passes = entry["Checks"].as_array()?.iter().all(|check| check["Status"] == "passing");
        Some((entry["Service"]["ID"].as_str()?.to_owned(), passes))
    };
    let mut services: Vec<_> = entries.iter().filter_map(entry).collect();
    services.sort();
    services
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_registered_while_it_runs_and_passes_while_it_is_ready() {
    if !is_installed("consul") {
        return;
    }
    let agent = ConsulAgent::started().await;
    let ports = Ports::claim(2);
    let mut first = start(&agent, 0, &ports.grpc(0), &ports.http(0), "");
    eventually("it is registered and passes", || async {
        (services(&agent).await == [("kv-0".to_owned(), true)]).then_some(())
    })
    .await;
    let answer = agent.ask("GET", "/v1/health/service/kv?tag=blue", "").await;
    for part in ["\"zone\":\"eu-1a\"", "\"Address\":\"127.0.0.1\"", "\"blue\""] {
        assert!(answer.replace(": ", ":").contains(part), "{part}: {answer}");
    }
    let mut second = start(&agent, 1, &ports.grpc(1), &ports.http(1), "");
    one_ring(&ports.all_grpc()).await;
    // Its stop ends the registration; a death turns the check critical, in time.
    second.signal(Signal::TERM);
    assert!(second.ended().await.success());
    assert_eq!(services(&agent).await, [("kv-0".to_owned(), true)]);
    first.signal(Signal::KILL);
    first.ended().await;
    assert_eq!(services(&agent).await.len(), 1, "Consul has it until its check has lived");
}

#[tokio::test]
async fn a_registration_that_cannot_be_says_what_to_do() {
    let ports = Ports::claim(1);
    let (listen, peers) = (ports.grpc(0), ports.grpc(0));
    let node = |register: &str, more: &[&str]| {
        let node =
            ["node", "--listen", &listen, "--peers", &peers, "--for", "1s", "--register", register];
        ringpop(&[&node[..], more].concat())
    };
    // An agent that is down holds no member up.
    let output = node("consul:kv?agent=http://127.0.0.1:9", &[]).output().await.unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{message}");
    for part in ["\"127.0.0.1:", "is not registered", "http://127.0.0.1:9", "that it runs"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    for more in [&["--weight", "0"][..], &["--weight", "0", "--check"]] {
        let output = node("consul:kv", more).output().await.unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("weights of Consul begin at 1"), "{message}");
    }
}

fn keys() -> Vec<String> {
    (0..60).map(|i| format!("key-{i}")).collect()
}

fn ring_events(node: &Process) -> usize {
    node.events().iter().filter(|event| event["event"] == "ring").count()
}

/// Every member is replaced by one of the same identity at another address, as in the roll of a
/// StatefulSet. No request fails, rings change twice for each, and nobody dials a former address
/// after a while: a connection to it is a SYN.
#[tokio::test(flavor = "multi_thread")]
async fn a_roll_to_new_addresses_loses_no_request_and_leaves_nobody_who_dials() {
    if !is_installed("consul") {
        return;
    }
    let agent = ConsulAgent::started().await;
    let nodes: u16 = if bars() { 10 } else { 3 };
    let (before, after) = (Ports::claim(nodes), Ports::claim(nodes));
    let mut addresses = before.all_grpc();
    let mut running: Vec<_> =
        (0..nodes).map(|i| start(&agent, i, &before.grpc(i), &before.http(i), "")).collect();
    one_ring(&addresses).await;
    let load = Load::start(before.all_http(), keys(), 200, None);
    load.more(200).await;
    let mut most = 0;
    for i in 0..nodes {
        let place = usize::from(i);
        // A client has to leave a server that is about to stop; everything else is up to the nodes.
        load.avoid(place).await;
        let changes: Vec<_> = running.iter().map(ring_events).collect();
        running[place].signal(Signal::TERM);
        assert!(running[place].ended().await.success());
        load.more(50).await;
        running[place] = start(&agent, i, &after.grpc(i), &before.http(i), "");
        addresses[place] = after.grpc(i);
        one_ring(&addresses).await;
        for (other, node) in running.iter().enumerate().filter(|(other, _)| *other != place) {
            most = most.max(ring_events(node) - changes[other]);
        }
        load.avoid_nobody();
        load.more(50).await;
    }
    let outcomes = load.finish().await;
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    println!(
        "{} requests during the roll of {nodes} members, {failed} failed; at most {most} ring events for a replacement",
        outcomes.len()
    );
    assert_eq!(failed, 0, "{:?}", errors(&outcomes));
    assert!(most <= 2, "{most} ring events");

    let [quiet, watched] = if bars() { [30, 60] } else { [0, 0] };
    sleep(Duration::from_secs(quiet)).await;
    let dials = Dials::count(&before.all_grpc()).await;
    sleep(Duration::from_secs(watched)).await;
    let count = dials.count.load(Ordering::SeqCst);
    if bars() {
        println!("{count} dials to {nodes} former addresses from 30 s to 90 s after the roll");
        assert_eq!(count, 0);
    }
}

/// Counts whoever dials these addresses from now on.
struct Dials {
    count: Arc<AtomicUsize>,
    listeners: Vec<JoinHandle<()>>,
}

impl Dials {
    async fn count(addresses: &[String]) -> Self {
        let (count, mut listeners) = (Arc::<AtomicUsize>::default(), Vec::new());
        for address in addresses {
            let listener = TcpListener::bind(address).await.expect("nobody listens there any more");
            let count = Arc::clone(&count);
            listeners.push(tokio::spawn(async move {
                while listener.accept().await.is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        Self { count, listeners }
    }
}

impl Drop for Dials {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

/// The registry is down, for ten minutes when the bars are decided: members and clients go on, a
/// process that starts meanwhile has the list of its file, and a registry that comes back empty
/// takes nobody away.
#[tokio::test(flavor = "multi_thread")]
async fn members_and_clients_outlive_their_registry() {
    if !is_installed("consul") {
        return;
    }
    let mut agent = ConsulAgent::started().await;
    let ports = Ports::claim(4);
    let directory = tempfile::tempdir().unwrap();
    let cache = |i: u16| directory.path().join(format!("peers-{i}.json"));
    let parameters = |i: u16| format!("&cache={}", cache(i).display());
    let begin = |agent: &ConsulAgent, i: u16| {
        start(agent, i, &ports.grpc(i), &ports.http(i), &parameters(i))
    };
    let mut running: Vec<_> = (0..3).map(|i| begin(&agent, i)).collect();
    let three: Vec<_> = (0..3).map(|i| ports.grpc(i)).collect();
    one_ring(&three).await;
    eventually("all are in the file", || {
        std::future::ready(three.iter().all(|address| has(&cache(0), address)).then_some(()))
    })
    .await;
    let url: DiscoveryUrl = format!("consul:kv?agent={}&id=service", agent.url()).parse().unwrap();
    let feed = url.feed().unwrap();
    let selector = Arc::new(Selector::builder().build(Instant::now()).unwrap());
    let following = feed_selector(&feed, &selector);
    timeout(PATIENCE, following.ready()).await.unwrap();
    eventually("the client has all", || {
        std::future::ready((selector.ring().len() == 3).then_some(()))
    })
    .await;
    let load = Load::start((0..3).map(|i| ports.http(i)).collect(), keys(), 100, None);
    load.more(100).await;
    let changes: Vec<_> = running.iter().map(ring_events).collect();

    agent.stop();
    let outage = Duration::from_secs(if bars() { 600 } else { 3 });
    let down = Instant::now();
    while down.elapsed() < outage {
        assert_eq!(selector.ring().len(), 3);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(running.iter().map(ring_events).collect::<Vec<_>>(), changes, "nobody went away");
    std::fs::copy(cache(0), cache(3)).unwrap();
    let begun = Instant::now();
    running.push(begin(&agent, 3));
    one_ring(&ports.all_grpc()).await;
    println!("without the registry for {outage:?}, a process joined in {:.1?}", begun.elapsed());

    // It comes back and knows nobody, until they have registered again.
    agent.start().await;
    eventually("all are registered again", || async {
        let services = services(&agent).await;
        (services.len() == 4 && services.iter().all(|(_, passes)| *passes)).then_some(())
    })
    .await;
    eventually("the client has the fourth", || {
        std::future::ready((selector.ring().len() == 4).then_some(()))
    })
    .await;
    let outcomes = load.finish().await;
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    println!("{} requests, {failed} failed", outcomes.len());
    assert_eq!(failed, 0, "{:?}", errors(&outcomes));
    for (node, before) in running.iter().zip(changes) {
        assert!(ring_events(node) <= before + 1, "the ring changed for the fourth alone");
    }
    for address in &three {
        let status = status(address).await.unwrap();
        assert!(three.iter().all(|other| member(&status, other).unwrap()["status"] == "alive"));
    }
}

fn has(file: &Path, text: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|content| content.contains(text))
}
