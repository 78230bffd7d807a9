//! Members whose name lists only those that are ready, as a headless service of Kubernetes does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::registries::{Process as Server, dnsmasq, free_ports, is_installed};
use super::{ONE_VIEW_MAX, bars, one_ring};
use crate::support::http::Client;
use crate::support::ports::Ports;
use crate::support::process::Process;

const NODES: u16 = 5;

/// A name server that has an SRV record for each of these ports, and nothing when there is none.
fn serve(port: u16, ready: &[u16]) -> Server {
    dnsmasq(port, ready.iter().map(|member| format!("localhost,{member}")))
}

/// Starts the name server anew whenever another member is ready.
async fn list_the_ready(port: u16, http: Vec<String>, base: u16, end: Arc<AtomicBool>) {
    let client = Client::new();
    let (mut listed, mut server) = (Vec::new(), serve(port, &[]));
    while !end.load(Ordering::SeqCst) {
        let mut ready = Vec::new();
        for (member, http) in (base..).zip(&http) {
            let answer = client.send("GET", http, "/ready", Default::default()).await;
            if answer.is_ok_and(|answer| answer.code == 200) {
                ready.push(member);
            }
        }
        if ready != listed {
            drop(server);
            server = serve(port, &ready);
            listed = ready;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Nobody has a record before the first one is ready.
#[tokio::test(flavor = "multi_thread")]
async fn five_processes_whose_name_has_only_the_ready_become_one_cluster() {
    if !is_installed("dnsmasq") {
        return;
    }
    let (ports, [port]) = (Ports::claim(NODES), free_ports());
    let end = Arc::<AtomicBool>::default();
    let listing = list_the_ready(port, ports.all_http(), ports.base, Arc::clone(&end));
    let listing = tokio::spawn(listing);
    let url = format!("srv:_gossip._tcp.workers.test?server=127.0.0.1:{port}");
    let addresses: Vec<_> = (0..NODES).map(|i| format!("localhost:{}", ports.base + i)).collect();
    let begun = Instant::now();
    let start = |(listen, http): (&String, &String)| {
        let node = ["node", "--listen", listen, "--http", http, "--discovery", &url, "--json"];
        Process::start(&node)
    };
    let _nodes: Vec<_> = addresses.iter().zip(&ports.all_http()).map(start).collect();
    one_ring(&addresses).await;
    let took = begun.elapsed();
    println!("a name that has only the ready: one view after {took:.1?}");
    assert!(!bars() || took < ONE_VIEW_MAX, "{took:?}");
    end.store(true, Ordering::SeqCst);
    listing.await.unwrap();
}
