//! `ringpop dev` starts a cluster, shows it, and leaves nothing running, however it ends.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::eventually;
use crate::support::http::Client;
use crate::support::ports::{Ports, is_closed};
use crate::support::process::{Process, kill, runs};

const NODES: u16 = 3;

struct Dev {
    ports: Ports,
    process: Process,
}

impl Dev {
    fn start(more: &[&str]) -> Self {
        let ports = Ports::claim(NODES);
        let (nodes, base) = (NODES.to_string(), ports.base.to_string());
        let mut arguments = vec!["dev", "--nodes", &nodes, "--base-port", &base, "--json"];
        arguments.extend(more);
        let process = Process::start(&arguments);
        Self { ports, process }
    }

    /// The processes that it started.
    async fn pids(&self) -> Vec<u32> {
        let started = |event: &Value| event["event"] == "started";
        eventually("all processes are started", || {
            let events = self.process.events();
            let pids: Vec<_> = events
                .iter()
                .filter(|event| started(event))
                .map(|event| event["pid"].as_u64().expect("a number").try_into().expect("small"))
                .collect();
            std::future::ready((pids.len() == usize::from(NODES)).then_some(pids))
        })
        .await
    }

    async fn converged(&self, nodes: u16) -> Value {
        let converged =
            move |event: &Value| event["event"] == "converged" && event["nodes"] == nodes;
        self.process.told("the members agree", converged).await
    }

    /// Waits until no process is left and no port is taken.
    async fn nothing_is_left(&self, pids: &[u32]) {
        let addresses = [self.ports.all_grpc(), self.ports.all_http()].concat();
        eventually("nothing is left running", || {
            let gone = !pids.iter().any(|pid| runs(*pid)) && addresses.iter().all(|a| is_closed(a));
            std::future::ready(gone.then_some(()))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_by_itself_when_its_time_is_over() {
    let mut dev = Dev::start(&["--for", "2s"]);
    let pids = dev.pids().await;
    assert_eq!(dev.process.ended().await.code(), Some(0));
    assert!(!pids.iter().any(|pid| runs(*pid)), "all processes have ended before");
    dev.nothing_is_left(&pids).await;
    dev.process.told("the end", |event| event["event"] == "stopped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_a_cluster_that_works_and_stops_it_on_a_signal() {
    let mut dev = Dev::start(&["--load", "20"]);
    let pids = dev.pids().await;
    let converged = dev.converged(NODES).await;
    println!("{NODES} nodes agree after {} ms", converged["elapsed_ms"]);
    let hints = dev.process.told("what to try", |event| event["event"] == "hints").await;
    assert_eq!(hints["commands"].as_array().map(Vec::len), Some(3));

    let client = Client::new();
    assert_eq!(client.put(&dev.ports.http(0), "greeting", "hello").await.unwrap().code, 204);
    for address in dev.ports.all_http() {
        assert_eq!(client.get(&address, "greeting").await.unwrap().body, "hello");
    }
    let answered = |event: &Value| {
        event["event"] == "load" && event["answered"].as_u64().is_some_and(|count| count > 0)
    };
    dev.process.told("requests are answered", answered).await;
    dev.process.signal(Signal::INT);
    assert_eq!(dev.process.ended().await.code(), Some(0));
    dev.nothing_is_left(&pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_it_is_killed() {
    let mut dev = Dev::start(&[]);
    let pids = dev.pids().await;
    dev.converged(NODES).await;
    dev.process.signal(Signal::KILL);
    dev.process.ended().await;
    dev.nothing_is_left(&pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_a_member_is_killed() {
    let mut dev = Dev::start(&[]);
    let pids = dev.pids().await;
    dev.converged(NODES).await;
    kill(pids[1], Signal::KILL);
    let exited = dev.process.told("the end of a process", |event| event["event"] == "exited").await;
    assert_eq!(exited["address"], *dev.ports.grpc(1));
    assert_eq!(exited["how"], "killed (signal 9)");
    dev.converged(NODES - 1).await;
    dev.process.signal(Signal::TERM);
    assert_eq!(dev.process.ended().await.code(), Some(0));
    dev.nothing_is_left(&pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fails_when_no_member_is_left() {
    let mut dev = Dev::start(&[]);
    let pids = dev.pids().await;
    for pid in &pids {
        kill(*pid, Signal::KILL);
    }
    assert_eq!(dev.process.ended().await.code(), Some(1));
    dev.nothing_is_left(&pids).await;
}
