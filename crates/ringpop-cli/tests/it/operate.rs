//! The commands of operators against a real cluster: each word does what it says.

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;

use crate::bad_input::{FAILED, USAGE, complains};
use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};
use crate::support::{Cluster, eventually, member, status};

async fn output(arguments: &[&str]) -> Output {
    ringpop(arguments).output().await.expect("the command starts")
}

/// What a command answers as JSON.
pub(crate) async fn json(arguments: &[&str]) -> Value {
    let output = output(&[arguments, &["--json"]].concat()).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// What a command says to people.
pub(crate) async fn text(arguments: &[&str]) -> String {
    let output = output(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_looks_at_a_member_and_changes_it() {
    let cluster = Cluster::start(3);
    cluster.converged().await;
    let address = &*cluster.ports.grpc(0);

    let members = json(&["members", address]).await;
    let all = members["members"].as_array().unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|member| member["status"] == "alive" && member["weight"] == 1));
    let alive = json(&["members", address, "--status", "faulty,suspect"]).await;
    assert_eq!(alive["members"], serde_json::json!([]));
    assert!(text(&["members", address]).await.starts_with("ADDRESS"));

    let stats = json(&["stats", address, "membership.pings"]).await;
    assert!(stats["counters"]["membership.pings_sent"].as_u64().unwrap() > 0, "{stats}");
    assert!(stats["counters"].get("forward.local").is_none());
    let all = json(&["stats", address, "--all"]).await;
    assert_eq!(all["counters"]["admin.commands"], 0);

    let labels = json(&["labels", address, "--set", "role=api", "--set", "zone=a"]).await;
    assert_eq!(labels, serde_json::json!({"role": "api", "zone": "a"}));
    assert_eq!(json(&["weight", address]).await["weight"], 1);
    assert_eq!(json(&["weight", address, "3"]).await["weight"], 3);
    assert_eq!(text(&["labels", address, "--remove", "zone"]).await, "role=api\nweight=3\n");
    let other = cluster.ports.grpc(1);
    eventually("others see the labels", || async {
        let status = status(&other).await?;
        let labels = &member(&status, address)?["labels"];
        (*labels == serde_json::json!({"role": "api", "weight": "3"})).then_some(())
    })
    .await;

    let period = json(&["config", address, "suspect_timeout"]).await;
    assert_eq!(period, serde_json::json!({"suspect_timeout": "2s"}));
    let changed = ["config", address, "suspect_timeout=1s 500ms", "buddy=false"];
    let changed = json(&changed).await;
    assert_eq!(changed, serde_json::json!({"suspect_timeout": "1s 500ms", "buddy": "false"}));

    let quiet = json(&["log-level", address]).await["directives"].clone();
    let loud = json(&["log-level", address, "info,ringpop=debug"]).await;
    assert_eq!(loud["before"], quiet);
    let directives = loud["directives"].as_str().unwrap();
    assert!(directives.contains("ringpop=debug"), "{directives}");
    let said = text(&["log-level", address]).await;
    assert_eq!(said, format!("{directives}\n"));
    let wrong = ["log-level", address, "ringpop=loud"];
    complains(&wrong, FAILED, &["these are no directives", "info,ringpop=debug"]).await;

    assert_eq!(json(&["gossip", address, "stop"]).await["gossip"], "stopped");
    assert!(text(&["status", address]).await.contains("gossip is stopped"));
    assert_eq!(json(&["gossip", address, "tick"]).await["probed"], true);
    assert_eq!(json(&["gossip", address, "start"]).await["gossip"], "started");
    assert_eq!(json(&["stats", address, "admin"]).await["counters"]["admin.commands"], 9);
    // Nobody has this address.
    complains(&["evict", address, "127.0.0.1:1"], FAILED, &["127.0.0.1:1"]).await;
    complains(&["evict", address, "127.0.0.1:1", "--undo"], FAILED, &["127.0.0.1:1"]).await;
    complains(&["evict", address, &other, "--for", "1ms"], FAILED, &["1ms"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_leaves_comes_back_and_one_that_was_killed_is_forgotten() {
    let mut cluster = Cluster::start(3);
    cluster.converged().await;
    let (address, other) = (&*cluster.ports.grpc(0), &*cluster.ports.grpc(1));
    let events = ["events", other, "--json", "--for", "10m"];
    let events = Process::start(&events);
    eventually("the events are read", || async {
        // Each label is an event; the first ones may come before the reader does.
        json(&["labels", other, "--set", "read=no"]).await;
        json(&["labels", other, "--set", "read=yes"]).await;
        (!events.events().is_empty()).then_some(())
    })
    .await;

    let left = json(&["leave", address]).await;
    assert_eq!(left["told"], 2);
    events
        .told("the leave", |event| event["after"] == "leave" && event["address"] == *address)
        .await;
    let own = status(address).await.unwrap();
    assert_eq!(own["state"], "ready");
    assert_eq!(member(&own, address).unwrap()["share"], 0.0);
    complains(&["leave", address], FAILED, &["left already"]).await;
    assert_eq!(json(&["join", address]).await["members"], 3);
    cluster.converged().await;
    complains(&["join", address], FAILED, &["has not left"]).await;

    let victim = cluster.ports.grpc(2);
    complains(&["reap", address, &victim], FAILED, &["faulty or has left"]).await;
    cluster.nodes[2].signal(Signal::KILL);
    cluster.nodes[2].ended().await;
    eventually("it is faulty", || async {
        let faulty = json(&["members", address, "--status", "faulty"]).await;
        (faulty["members"][0]["address"] == *victim).then_some(())
    })
    .await;
    // It is dead: nobody answers there, and healing is over.
    assert!(text(&["heal", address]).await.contains("no other partition answers"));
    assert_eq!(json(&["reap", address, "--all"]).await["reaped"], 1);
    eventually("the others forget it", || async {
        let status = status(other).await?;
        let forgotten = |m: &Value| m["status"] == "tombstone";
        member(&status, &victim).is_none_or(forgotten).then_some(())
    })
    .await;
    events
        .told("the reap", |event| event["address"] == *victim && event["after"] == "tombstone")
        .await;
    assert_eq!(json(&["destinations", address]).await["destinations"][0]["state"], "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_takes_commands_only_when_it_was_started_to() {
    let ports = Ports::claim(2);
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "correct-horse-battery\n").unwrap();
    let token = token.to_str().unwrap();
    let (closed, open) = (ports.grpc(0), ports.grpc(1));
    let node = |address: &str, more: &[&str]| {
        let node = ["node", "--listen", address, "--peers", address, "--json"];
        Process::start(&[&node[..], more].concat())
    };
    let _nodes = [node(&closed, &[]), node(&open, &["--admin-token-file", token])];
    for address in [&closed, &open] {
        let is_ready = || async { (status(address).await?["state"] == "ready").then_some(()) };
        eventually("it is ready", is_ready).await;
    }
    for words in [
        &["leave"][..],
        &["join"],
        &["heal"],
        &["weight", "3"],
        &["labels", "--set", "a=b"],
        &["gossip", "stop"],
        &["config", "buddy=false"],
        &["reap", "--all"],
        &["log-level", "info"],
        &["drain"],
        &["evict", "127.0.0.1:1"],
    ] {
        let line = |address| [&words[..1], &[address], &words[1..]].concat();
        complains(&line(&closed), FAILED, &["takes no commands", "--admin-loopback"]).await;
        complains(&line(&open), FAILED, &["with its token"]).await;
    }
    assert_eq!(json(&["weight", &closed]).await["weight"], 1, "everybody may ask");
    let weight = ["weight", &open, "3", "--token-file", token];
    assert_eq!(json(&weight).await["weight"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_cannot_be_answered_say_why() {
    let ports = Ports::claim(1);
    let nobody = ports.grpc(0);
    for word in ["members", "stats", "events", "destinations", "leave", "config", "log-level"] {
        complains(&[word, &nobody], FAILED, &[&nobody, "cannot be asked"]).await;
    }
    complains(&["weight", &nobody, "--token-file", "/nowhere"], FAILED, &["/nowhere"]).await;
    let node = Process::start(&["node", "--listen", &nobody, "--peers", &nobody, "--json"]);
    node.told("it is ready", |event| event["state"] == "ready").await;
    complains(&["config", &nobody, "budy"], USAGE, &["\"budy\"", "ringpop config"]).await;
    complains(&["config", &nobody, "buddy=perhaps"], USAGE, &["true or false"]).await;
    complains(&["config", &nobody, "suspect_timeout=3"], USAGE, &["200ms"]).await;
    let twice = ["config", &nobody, "suspect_timeout=3s", "suspect_timeout=4s"];
    complains(&twice, USAGE, &["suspect_timeout is set more than once"]).await;
    for (prefix, words) in [
        ("nope", &["\"nope\"", "admin., ", "membership."][..]),
        ("MEMBERSHIP", &["\"MEMBERSHIP\"", "did you mean \"membership.\""]),
        ("membership.ping_sent", &["did you mean \"membership.pings_sent\""]),
    ] {
        complains(&["stats", &nobody, prefix], USAGE, words).await;
        complains(&["stats", &nobody, prefix, "--all", "--json"], USAGE, words).await;
    }
    let nothing = text(&["stats", &nobody, "admin.commands_refused"]).await;
    assert!(nothing.contains("--all shows what is zero"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_is_not_removed_is_told() {
    let cluster = Cluster::start(1);
    cluster.converged().await;
    let address = &*cluster.ports.grpc(0);
    json(&["drain", address]).await;
    json(&["labels", address, "--set", "role=api", "--set", "rack=1"]).await;
    let line = ["labels", address, "--remove", "nope", "--remove", "role"];
    let line = [&line[..], &["--remove", "ring-draining"]].concat();
    let removed = output(&line).await;
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(
        String::from_utf8(removed.stderr).unwrap(),
        "warning: label \"nope\" was not removed: there was no such label\n\
         warning: label \"ring-draining\" was not removed: the member sets it by itself\n"
    );
    let left = String::from_utf8(removed.stdout).unwrap();
    assert!(left.contains("rack=1") && !left.contains("role"), "{left}");
}
