//! Values stay while the processes that hold them stop and start in order.

use rustix::process::Signal;

use crate::support::http::Client;
use crate::support::{Cluster, eventually};

fn keys() -> impl Iterator<Item = String> {
    (0..200).map(|i| format!("key-{i}"))
}

async fn write(cluster: &Cluster) {
    let (client, node) = (Client::new(), cluster.ports.http(0));
    for key in keys() {
        let written =
            client.put(&node, &key, &format!("value of {key}")).await.expect("it answers");
        assert_eq!(written.code, 204, "{written:?}");
    }
}

/// How many keys have their value, asked at one node.
async fn found(node: &str) -> usize {
    let (client, mut found) = (Client::new(), 0);
    for key in keys() {
        let read = client.get(node, &key).await.expect("it answers");
        let expected = format!("value of {key}");
        match read.code {
            200 => assert_eq!(&read.body[..], expected.as_bytes(), "{key}"),
            code => assert_eq!(code, 404, "{read:?}"),
        }
        found += usize::from(read.code == 200);
    }
    found
}

async fn stop_and_start(cluster: &mut Cluster, i: u16, others_find: usize) {
    let asked = cluster.ports.http(u16::from(i == 0));
    let node = &mut cluster.nodes[usize::from(i)];
    node.signal(Signal::TERM);
    assert_eq!(node.ended().await.code(), Some(0));
    assert_eq!(found(&asked).await, others_find, "node {i} has stopped");
    cluster.restart(i);
    cluster.converged().await;
    assert_eq!(found(&asked).await, others_find, "node {i} is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_survive_a_process_that_stops_in_order_and_its_start() {
    let mut cluster = Cluster::start(3);
    cluster.converged().await;
    write(&cluster).await;
    stop_and_start(&mut cluster, 1, keys().count()).await;
}

/// A whole roll, and beside it how much a roll of killed processes keeps.
#[tokio::test(flavor = "multi_thread")]
async fn values_survive_a_roll_of_all_processes() {
    let Some(nodes) = crate::runs_all::runs_all("a roll of ten processes").then_some(10) else {
        return;
    };
    let mut cluster = Cluster::start(nodes);
    cluster.converged().await;
    write(&cluster).await;
    for i in 0..nodes {
        stop_and_start(&mut cluster, i, keys().count()).await;
    }
    let (all, kept) = (keys().count(), found(&cluster.ports.http(0)).await);
    println!("a roll of {nodes} processes in order: {kept} of {all} values");
    for i in 0..nodes {
        cluster.nodes[usize::from(i)].signal(Signal::KILL);
        cluster.nodes[usize::from(i)].ended().await;
        let asked = cluster.ports.http(u16::from(i == 0));
        eventually("it answers without the killed process", || {
            let asked = asked.clone();
            async move { Client::new().get(&asked, "key-0").await.ok() }
        })
        .await;
        cluster.restart(i);
        cluster.converged().await;
    }
    let kept = found(&cluster.ports.http(0)).await;
    println!("a roll of {nodes} killed processes: {kept} of {all} values");
}
