//! Commands tell the truth about the place of a member on the ring.

use crate::operate::{json, text};
use crate::support::ports::Ports;
use crate::support::process::Process;
use crate::support::{Cluster, eventually, member, status};

/// Runs a command of two members, and compares what it says. `A` stands for the first.
async fn says(address: &str, command: &str, words: &[&str]) {
    let mut line: Vec<&str> = command.split(' ').collect();
    for word in line.iter_mut().filter(|word| **word == "A") {
        *word = address;
    }
    let said = text(&line).await;
    println!("{said}");
    for word in words {
        assert!(said.contains(word), "{command} does not say {word:?}: {said}");
    }
    let off = status(address).await.expect("it answers");
    let owns = member(&off, address).expect("it knows itself")["share"] != 0.0;
    let claims = ["owns keys", "is on the ring again", "it keeps"];
    let claims = claims.iter().any(|claim| said.contains(claim));
    assert_eq!(owns, claims, "{command}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_several_reasons_keep_off_the_ring() {
    let cluster = Cluster::start(2);
    cluster.converged().await;
    let address = &*cluster.ports.grpc(0);
    let drained = "it is still off the ring: it is drained (`ringpop drain --undo` ends that)";
    for (command, words) in [
        ("leave A", "has left the ring, 1 members confirmed it"),
        ("drain A", "is off the ring anyway: it has left"),
        ("join A", drained),
        ("drain A --undo", "owns keys again"),
        ("drain A --undo", "owns keys, as before"),
        ("drain A", "is drained and serves on"),
        ("drain A", "is drained and serves on, as before"),
        ("evict A A --for 5m", "is evicted for 5m; it is off the ring anyway: it is drained"),
        ("evict A A --undo", drained),
        ("evict A A --for 5m", "anyway"),
        ("drain A --undo", "is not drained any more; it is still off the ring: it is evicted by"),
        ("evict A A --undo", "owns keys again"),
        ("evict A A --for 5m", "owns no keys for 5m"),
        ("evict A A --undo", "owns keys again"),
        ("leave A", "has left the ring"),
        ("drain A --undo", "was not drained; it is still off the ring: it has left"),
        ("join A", "is on the ring again and knows 2 members"),
    ] {
        says(address, command, &[words]).await;
    }
    json(&["weight", address, "0"]).await;
    says(address, "drain A --undo", &["was not drained", "its weight is 0"]).await;
    let undone = json(&["drain", address, "--undo"]).await;
    assert_eq!(undone["share"], 0.0);
    assert_eq!(undone["off_ring"][0]["reason"], "weight_zero");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_member_keeps_its_keys() {
    let ports = Ports::claim(1);
    let address = &*ports.grpc(0);
    let node = ["node", "--listen", address, "--peers", address, "--admin-loopback", "--json"];
    let node = Process::start(&node);
    node.told("it is ready", |event| event["state"] == "ready").await;
    let kept = "it keeps 100.0 % of the keys, since no other member is on the ring";
    for (command, words) in [
        ("drain A", ["is drained, but", kept]),
        ("drain A --undo", ["owns keys again"; 2]),
        ("evict A A", ["is evicted for 1h, but", kept]),
        ("evict A A --undo", ["owns keys again"; 2]),
        ("leave A", ["has left, 0 members confirmed it", kept]),
        ("join A", ["is on the ring again"; 2]),
    ] {
        says(address, command, &words).await;
    }
    let drained = json(&["drain", address]).await;
    assert_eq!((&drained["drained"], &drained["share"]), (&true.into(), &1.0.into()));
}

/// Asked of another member, which tells what it sees.
#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_at_another_member() {
    let cluster = Cluster::start(2);
    cluster.converged().await;
    let (asked, evicted) = (&*cluster.ports.grpc(0), &*cluster.ports.grpc(1));
    json(&["drain", evicted]).await;
    eventually("the asked member sees the drain", || async {
        let status = status(asked).await?;
        member(&status, evicted)?["labels"].get("ring-draining").map(drop)
    })
    .await;
    let said = text(&["evict", asked, evicted, "--for", "5m"]).await;
    assert!(said.starts_with(evicted) && said.contains("anyway: it is drained"), "{said}");
    let said = text(&["evict", asked, evicted, "--undo"]).await;
    assert!(
        said.contains("not evicted any more; it is still off the ring: it is drained"),
        "{said}"
    );
}
