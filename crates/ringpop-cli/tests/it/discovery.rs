//! Where the members of a cluster come from, as the command is told, and what it makes of lists
//! that are late, incomplete or wrong.
//!
//! An ordinary run is short and prints figures; the bars themselves, which the page on discovery
//! names, want their full waits and a machine that does nothing else:
//!
//! ```text
//! cargo build --release -p ringpop-cli --features consul,dns
//! RINGPOP_BARS=60 RINGPOP_COMMAND=$PWD/target/release/ringpop \
//!     cargo test -p ringpop-cli --features consul,dns --test it -- --nocapture --test-threads 1 discovery
//! ```

#[cfg(feature = "consul")]
mod consul;
#[cfg(feature = "dns")]
mod dnsmasq;
#[cfg(any(feature = "consul", feature = "dns"))]
#[path = "../../../ringpop-discovery/tests/real/support.rs"]
mod registries;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::Cluster;
use crate::support::http::Client;
use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};

/// Lists the members that are ready, as a name server does for a service of Kubernetes.
async fn list_the_ready(file: PathBuf, grpc: Vec<String>, http: Vec<String>) {
    let client = Client::new();
    loop {
        let mut ready = Vec::new();
        for (grpc, http) in grpc.iter().zip(&http) {
            let answer = client.send("GET", http, "/ready", Default::default()).await;
            if answer.is_ok_and(|answer| answer.code == 200) {
                ready.push(grpc);
            }
        }
        write(&file, &serde_json::to_string(&ready).expect("texts are JSON"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Readers see the former or the new list.
fn write(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).expect("the directory can be written");
    std::fs::rename(&beside, file).expect("the directory can be written");
}

/// The first process finds no name, since nobody is ready; it must not wait for ever, and those
/// that start alone must find each other.
#[tokio::test(flavor = "multi_thread")]
async fn five_processes_of_whom_only_the_ready_are_listed_become_one_cluster() {
    let ports = Ports::claim(5);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ready.json");
    write(&file, "[]");
    let http: Vec<String> = (0..5).map(|i| ports.http(i)).collect();
    let listing = tokio::spawn(list_the_ready(file.clone(), ports.all_grpc(), http.clone()));
    let url = format!("file:{}?interval=100ms", file.display());
    let begun = Instant::now();
    let nodes = (0..5)
        .map(|i| {
            let (listen, http) = (ports.grpc(i), &http[usize::from(i)]);
            Process::start(&[
                "node",
                "--listen",
                &listen,
                "--http",
                http,
                "--discovery",
                &url,
                "--json",
            ])
        })
        .collect();
    let cluster = Cluster { ports, nodes };
    one_view(&cluster, "only the ready are listed", begun).await;
    listing.abort();
}

/// Whether the bars are decided; otherwise waits are short and figures are for people.
fn bars() -> bool {
    std::env::var_os("RINGPOP_BARS").is_some()
}

/// How long a cluster may take from the moment on at which discovery could tell.
const ONE_VIEW_MAX: Duration = Duration::from_secs(5);

/// Waits for one view, and prints how long that took since `since`.
async fn one_view(cluster: &Cluster, what: &str, since: Instant) {
    cluster.converged().await;
    let took = since.elapsed();
    println!("{what}: one view after {took:.1?}");
    assert!(!bars() || took < ONE_VIEW_MAX, "{what}: {took:?}");
}

#[cfg(any(feature = "consul", feature = "dns"))]
/// Waits until all of `addresses` are alive on the ring of each of them, and nobody else is.
async fn one_ring(addresses: &[String]) {
    use std::collections::BTreeSet;

    use crate::support::{eventually, status};

    eventually("one ring of all", || async {
        let wanted: BTreeSet<_> = addresses.iter().map(String::as_str).collect();
        let mut checksums = BTreeSet::new();
        for address in addresses {
            let status = status(address).await?;
            let members = status["members"].as_array()?.iter();
            let on_ring = members.filter(|member| member["share"] != 0.0);
            let on_ring: BTreeSet<_> = on_ring.filter_map(|m| m["address"].as_str()).collect();
            if on_ring != wanted || status["state"] != "ready" {
                // Each question is a process, which is a load of its own.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return None;
            }
            checksums.insert(status["ring_checksum"].to_string());
        }
        if checksums.len() != 1 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return None;
        }
        Some(())
    })
    .await;
}

/// Starts a member that reads its peers from `file`.
fn start(ports: &Ports, i: u16, file: &Path, more: &[&str]) -> Process {
    let (listen, url) = (ports.grpc(i), format!("file:{}", file.display()));
    let node = ["node", "--listen", &listen, "--discovery", &url, "--json"];
    Process::start(&[&node[..], more].concat())
}

/// The processes start one after the other, in another order than they are listed, and the list is
/// complete from the beginning.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_in_any_order_become_one_cluster() {
    const NODES: u16 = 5;
    let ports = Ports::claim(NODES);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hosts.json");
    write(&file, &serde_json::to_string(&ports.all_grpc()).unwrap());
    let mut order: Vec<u16> = (0..NODES).collect();
    let mut chance = std::process::id();
    for i in (1..order.len()).rev() {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        order.swap(i, chance as usize / 65_536 % (i + 1));
    }
    println!("they start in the order {order:?}");
    let mut nodes: Vec<_> = (0..NODES).map(|_| None).collect();
    for i in order {
        nodes[usize::from(i)] = Some(start(&ports, i, &file, &[]));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let begun = Instant::now();
    let cluster = Cluster { ports, nodes: nodes.into_iter().flatten().collect() };
    one_view(&cluster, "random order", begun).await;
}

/// Each process finds a list of its own for a while: one without anybody, and one of itself. Each
/// begins alone, and finds the others when they are listed.
#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_late_or_name_only_oneself_are_followed() {
    const NODES: u16 = 3;
    for (what, knows_itself, wait) in
        [("seeds that are late", false, 30), ("only oneself", true, 60)]
    {
        let ports = Ports::claim(NODES);
        let directory = tempfile::tempdir().unwrap();
        let file = |i: u16| directory.path().join(format!("hosts-{i}.json"));
        let mut nodes = Vec::new();
        for i in 0..NODES {
            let own = [ports.grpc(i)];
            let known = if knows_itself { &own[..] } else { &[] };
            write(&file(i), &serde_json::to_string(known).unwrap());
            let more: &[&str] = if bars() { &[] } else { &["--alone-after", "200ms"] };
            nodes.push(start(&ports, i, &file(i), more));
        }
        for node in &nodes {
            node.told("it begins alone", |event| event["state"] == "ready").await;
        }
        if bars() {
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
        for i in 0..NODES {
            write(&file(i), &serde_json::to_string(&ports.all_grpc()).unwrap());
        }
        let listed = Instant::now();
        one_view(&Cluster { ports, nodes }, what, listed).await;
    }
}

#[tokio::test]
async fn the_environment_is_asked_when_no_option_says_where_peers_come_from() {
    let listen = Ports::claim(1).grpc(0);
    let node = |environment: &str| {
        let mut command = ringpop(&["node", "--listen", &listen, "--for", "1s"]);
        command.env("RINGPOP_DISCOVERY", environment);
        command
    };
    for (environment, expected) in [
        ("", "set RINGPOP_DISCOVERY"),
        ("static:127.0.0.1:7100 dns:workers", "the name of the URL is wrong"),
        ("static:127.0.0.1:7100 dns:workers", "RINGPOP_DISCOVERY says so"),
    ] {
        let output = node(environment).output().await.unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
