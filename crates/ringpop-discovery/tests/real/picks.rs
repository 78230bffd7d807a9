//! How long a change in a registry takes until a client picks by it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashring::Selector;
use ringpop_discovery::consul::{Agent, Consul};
use ringpop_discovery::kubernetes::{ApiServer as Api, Kubernetes, Port};
use ringpop_discovery::{Feed, feed_selector};
use tokio::time::{sleep, timeout};

use super::api_server::ApiServer;
use super::support::{ConsulAgent, PATIENCE, is_installed};

/// Changes that are measured: the 99th percentile is the second largest.
const CHANGES: usize = 200;

/// Has two backends of `feed`, one of which `set_ready` takes out and in, and prints how long it
/// took until the owner of a key was another one. That is a figure for people: how fast it is on a
/// machine that does other things is no condition.
async fn measure(name: &str, feed: &Feed, mut set_ready: impl AsyncFnMut(bool)) {
    let selector = Arc::new(Selector::builder().build(Instant::now()).unwrap());
    let following = feed_selector(feed, &selector);
    timeout(PATIENCE, following.ready()).await.unwrap();
    let mut picker = selector.picker();
    let mut owner =
        |key: &str| picker.pick(key.as_bytes(), Instant::now()).unwrap().id().to_owned();
    let both = async {
        loop {
            let owners: Vec<_> = (0..64).map(|i| (i, owner(&format!("key-{i}")))).collect();
            if let Some((key, _)) = owners.iter().find(|(_, owner)| owner.ends_with('a'))
                && owners.iter().any(|(_, owner)| owner.ends_with('b'))
            {
                return format!("key-{key}");
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let key = timeout(PATIENCE, both).await.expect("both are there");
    let mut took = Vec::new();
    for i in 0..CHANGES {
        let is_ready = i % 2 == 1;
        let begun = Instant::now();
        set_ready(is_ready).await;
        let picked = async {
            while owner(&key).ends_with('a') != is_ready {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, picked).await.expect("the pick follows");
        took.push(begun.elapsed());
    }
    took.sort();
    let (p50, p99) = (took[CHANGES / 2], took[CHANGES - CHANGES / 100]);
    println!("{name}: change to pick p50 {p50:.1?}, p99 {p99:.1?}, max {:.1?}", took[CHANGES - 1]);
}

#[tokio::test]
async fn a_change_in_consul_is_picked_by() {
    if !is_installed("consul") {
        return;
    }
    let server = ConsulAgent::started().await;
    server.register("a", "10.0.0.1", "passing").await;
    server.register("b", "10.0.0.2", "passing").await;
    let feed = Feed::new(Consul::new(&Agent::new(&server.url()).unwrap(), "kv"));
    measure("Consul", &feed, async |is_ready| {
        let status = if is_ready { "passing" } else { "critical" };
        let body = format!(r#"{{"Status":"{status}"}}"#);
        server.ask("PUT", "/v1/agent/check/update/a:c", &body).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_in_kubernetes_is_picked_by() {
    let Some(server) = ApiServer::start().await else { return };
    server.put("kv-b", &[("b", "10.0.0.2", true)]).await;
    let mut version = server.put("kv-a", &[("a", "10.0.0.1", true)]).await;
    let api = Api::new(&server.url()).unwrap();
    let port = Port::Name("gossip".to_owned());
    let feed = Feed::new(Kubernetes::new(&api, "shop", "kv", port));
    measure("EndpointSlices", &feed, async |is_ready| {
        let endpoints = [("a", "10.0.0.1", is_ready)];
        version = server.replace("kv-a", Some(version.clone()), &endpoints).await;
    })
    .await;
}
