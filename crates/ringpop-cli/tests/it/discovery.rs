//! Where the members of a cluster come from, as the command is told.

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
    let start = Instant::now();
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
    cluster.converged().await;
    // A figure for people: how fast it is on a machine that does other things is no condition.
    println!("one view after {:?}", start.elapsed());
    listing.abort();
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
        ("static:127.0.0.1:7100 dns:workers", "RINGPOP_DISCOVERY: the name of the URL is wrong"),
    ] {
        let output = node(environment).output().await.unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
