//! The commands that ask all members, against a real cluster: one that agrees, one with a member
//! that is stopped, and one with a member that is dead.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use crate::bad_input::{FAILED, USAGE, complains};
use crate::operate::{json, text};
use crate::support::process::ringpop;
use crate::support::{Cluster, PATIENCE, eventually};

/// The code of a command whose time was over.
pub(crate) const TIME_OVER: i32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn all_members_are_asked() {
    let mut cluster = Cluster::start(4);
    let checksum = cluster.converged().await;
    let addresses = cluster.ports.all_grpc();
    let one = &*addresses[0];

    let waited = json(&["wait", one, "--ready", "--converged", "--members", "4"]).await;
    assert_eq!(waited["members"], 4);
    they_agree(one, &addresses, &checksum).await;
    rings_are_looked_at(one, &addresses).await;
    dumps_are_compared(one).await;
    a_reader_that_goes_away_ends_a_watch(one).await;

    // A member that is stopped holds nobody up, and is named.
    let stopped = &*addresses[3];
    cluster.nodes[3].signal(Signal::STOP);
    let seen = json(&["checksums", one]).await;
    assert_eq!(seen["members"].as_array().unwrap().len(), 3, "{seen}");
    assert_eq!(seen["unreached"][0]["address"], *stopped);
    let reason = seen["unreached"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("did not answer within 2 s"), "{reason}");
    cluster.nodes[3].signal(Signal::KILL);
    cluster.nodes[3].ended().await;

    // A member that is dead refuses.
    eventually("the others know of its death", || async {
        let faulty = json(&["members", one, "--status", "faulty"]).await;
        (faulty["members"][0]["address"] == *stopped).then_some(())
    })
    .await;
    let waited = json(&["wait", one, "--converged", "--members", "3"]).await;
    assert_eq!(waited["members"], 3);
    let status = json(&["status", one]).await;
    assert_eq!(status["cluster"]["is_agreed"], true, "{status}");
    assert_eq!(status["cluster"]["asked"], 3);
    let reason = status["cluster"]["unreached"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("refused"), "{reason}");
    let shown = text(&["status", one]).await;
    assert!(shown.contains("3 members have one view") && shown.contains("not asked:"), "{shown}");
    assert_eq!(text(&["count", one, "members"]).await, "3\n");
    // It is not taken for alive: that it does not answer is no failure.
    let pings = json(&["ping", one, "-n", "1"]).await;
    assert_eq!(pings["members"][3]["status"], "faulty");
    assert_eq!(pings["members"][3]["answers"], 0);
    let late = ["wait", one, "--members", "4", "--timeout", "300ms"];
    complains(&late, TIME_OVER, &["not within 300ms", "sees 3 members alive, not 4"]).await;
}

async fn they_agree(one: &str, addresses: &[String], checksum: &str) {
    let checksums = json(&["checksums", one]).await;
    let told: Vec<_> = checksums["members"].as_array().unwrap().iter().collect();
    let names: Vec<_> = told.iter().map(|row| row["address"].as_str().unwrap()).collect();
    assert_eq!(names, addresses);
    assert!(told.iter().all(|row| row["membership_checksum"] == *checksum), "{checksums}");
    let partitions = json(&["partitions", one]).await;
    let expected = json!([{
        "checksum": checksum, "members": addresses, "alive": 4, "suspect": 0, "faulty": 0
    }]);
    assert_eq!(partitions["partitions"], expected);
    assert_eq!(json(&["count", one]).await, json!({"members": 4, "hosts": 1, "partitions": 1}));
    let status = json(&["status", one]).await;
    assert_eq!(status["cluster"]["differences"], json!([]));
    let pings = json(&["ping", one, "-n", "2"]).await;
    assert!(
        pings["members"].as_array().unwrap().iter().all(|ping| ping["answers"] == 2),
        "{pings}"
    );
}

async fn rings_are_looked_at(one: &str, addresses: &[String]) {
    let ownership = json(&["ownership", one]).await;
    let shares = ownership["members"].as_array().unwrap();
    let sum: f64 = shares.iter().map(|owned| owned["share"].as_f64().unwrap()).sum();
    assert!(shares.len() == 4 && (sum - 1.0).abs() < 1e-9, "{ownership}");
    assert!(text(&["collisions", one]).await.contains("no points that could collide"));

    // By rendezvous nothing moves but what the member had, and by weight that is a quarter.
    let moves = json(&["ranges", one, "--without", &addresses[2]]).await;
    assert!((moves["share"].as_f64().unwrap() - 0.25).abs() < 1e-6, "{moves}");
    let moves = json(&["ranges", one, "--with", "127.0.0.1:9=4"]).await;
    assert!((moves["share"].as_f64().unwrap() - 0.5).abs() < 1e-6, "{moves}");
    complains(&["ranges", one], USAGE, &["--without"]).await;
    complains(&["ranges", one, "--without", "a:1"], FAILED, &["a:1 is not on the ring"]).await;
    complains(&["ranges", one, "--weight", "a:1=2"], FAILED, &["a:1 is not on the ring"]).await;
    let twice = ["ranges", one, "--with", one];
    complains(&twice, FAILED, &["is on the ring already"]).await;
    let without = ["ranges", one, "--without", one, "--ranges"];
    complains(&without, USAGE, &["has no ranges"]).await;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    let keys: Vec<_> = (0..20).map(|i| format!("key {i}")).collect();
    std::fs::write(&file, keys.join("\n\n")).unwrap();
    let file = file.to_str().unwrap();
    let looked_up = json(&["lookup", one, "--keys", file, "-n", "2"]).await;
    let walk = json(&["lookup", one, "key 7", "--walk"]).await;
    let single = json(&["lookup", one, "key 7", "-n", "2"]).await;
    assert_eq!(walk["owners"].as_array().unwrap().len(), 4);
    assert_eq!(walk["owners"].as_array().unwrap()[..2], single["owners"].as_array().unwrap()[..]);
    assert_eq!(looked_up["keys"].as_array().unwrap().len(), keys.len());
    assert_eq!(looked_up["keys"][7]["owners"], single["owners"]);
    assert_eq!(looked_up["ring_checksum"], single["ring_checksum"]);
    complains(&["lookup", one, "--keys", "/nowhere"], FAILED, &["keys", "/nowhere"]).await;
}

async fn dumps_are_compared(one: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (before, after) = (path("before"), path("after"));
    let dumped = json(&["dump", one, &before]).await;
    assert_eq!(dumped["members"], 4, "{dumped}");
    let same = json(&["diff", &before, &before]).await;
    assert_eq!(same["differences"], json!([]));
    json(&["labels", one, "--set", "dumped=yes"]).await;
    json(&["wait", one, "--converged"]).await;
    json(&["dump", one, &after]).await;
    let differences = json(&["diff", &before, &after]).await;
    let differences = differences["differences"].as_array().unwrap();
    // Each of the four sees the label.
    let labels: Vec<&Value> = differences.iter().filter(|it| it["what"] == "labels").collect();
    assert_eq!(labels.len(), 4, "{differences:?}");
    assert!(labels.iter().all(|it| it["of"] == *one && it["after"] == "dumped=yes"), "{labels:?}");
    std::fs::write(&after, "{}").unwrap();
    complains(&["diff", &before, &after], FAILED, &["is no file of `ringpop dump`"]).await;
    complains(&["dump", one, "/nowhere/dump"], FAILED, &["/nowhere/dump"]).await;
}

/// As `head` does.
async fn a_reader_that_goes_away_ends_a_watch(one: &str) {
    let watched = ["checksums", one, "--json", "--watch=20ms"];
    let mut watching = ringpop(&watched).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next_line().await.unwrap().unwrap();
        let _: Value = serde_json::from_str(&line).unwrap();
    }
    drop(lines);
    let status = timeout(PATIENCE, watching.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
}
