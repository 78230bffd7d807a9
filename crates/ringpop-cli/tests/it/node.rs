//! One member: its limits, what it tells others of itself, and how it ends.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::http::Client;
use crate::support::ports::{Ports, is_closed};
use crate::support::process::{Process, kill, ringpop};
use crate::support::{PATIENCE, eventually, member, status};

fn is_ready(event: &Value) -> bool {
    event["event"] == "state" && event["state"] == "ready"
}

/// A node that is alone.
async fn start(ports: &Ports, more: &[&str]) -> Process {
    let (grpc, http) = (ports.grpc(0), ports.http(0));
    let node = ["node", "--listen", &grpc, "--http", &http, "--peers", &grpc, "--json"];
    let process = Process::start(&[&node[..], more].concat());
    process.told("the node is ready", is_ready).await;
    process
}

/// Runs a command to its end and gives what it wrote.
async fn output(arguments: &[&str]) -> String {
    let output = ringpop(arguments).stdout(Stdio::piped()).output().await;
    let output = output.expect("the command starts");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_scraped_over_http() {
    let ports = Ports::claim(1);
    let _node = start(&ports, &[]).await;
    let (client, http) = (Client::new(), ports.http(0));
    assert_eq!(client.put(&http, "key", "value").await.unwrap().code, 204);
    let answer = client.send("GET", &http, "/metrics", Bytes::new()).await.unwrap();
    assert_eq!(answer.code, 200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let table = ringpop::metrics::table();
    let mut figures = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let ends = ["_bucket", "_sum", "_count"];
        let stem = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let known = |name: &str| table.iter().any(|metric| metric.name == name);
        assert!(known(name) || known(stem), "{line} is not in the table");
        assert!(line.contains(&format!("member=\"{}\"", ports.grpc(0))), "{line}");
        figures += 1;
    }
    assert!(figures > 100, "{figures} figures: {text}");
    for line in [
        "# TYPE ringpop_membership_pings_sent_total counter",
        "# TYPE ringpop_forward_in_flight gauge",
        "# TYPE ringpop_membership_join_seconds histogram",
        "# HELP ringpop_ready 1 while the member is ready, 0 otherwise",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ring_is_listed_over_http() {
    let ports = Ports::claim(1);
    let _node = start(&ports, &[]).await;
    let (client, http) = (Client::new(), ports.http(0));
    for (path, address) in
        [("/ring", "/members/0/address"), ("/v3/discovery:endpoints", "/resources/0/@type")]
    {
        let answer = client.send("GET", &http, path, Bytes::new()).await.unwrap();
        assert_eq!(answer.code, 200, "{path}: {answer:?}");
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(told.pointer(address).is_some(), "{path}: {told}");
    }
    let answer = client.send("DELETE", &http, "/ring", Bytes::new()).await.unwrap();
    assert_eq!(answer.code, 405, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_values_have_limits() {
    let ports = Ports::claim(1);
    let _node = start(&ports, &[]).await;
    let (client, http) = (Client::new(), ports.http(0));
    let put = |path: String, value: Vec<u8>| {
        let (client, http) = (client.clone(), http.clone());
        async move { client.send("PUT", &http, &path, value.into()).await.unwrap() }
    };

    let largest: Vec<u8> = (0..1024 * 1024).map(|i| (i % 251) as u8).collect();
    assert_eq!(put("/kv/large".into(), largest.clone()).await.code, 204);
    assert_eq!(client.get(&http, "large").await.unwrap().body, largest);
    let refused = put("/kv/large".into(), vec![0; 1024 * 1024 + 1]).await;
    assert_eq!(refused.code, 413, "{refused:?}");

    let longest = "k".repeat(1024);
    assert_eq!(put(format!("/kv/{longest}"), vec![1]).await.code, 204);
    let refused = put(format!("/kv/{longest}k"), vec![1]).await;
    assert_eq!(refused.code, 400, "{refused:?}");

    assert_eq!(put("/kv/a%2Fb/%C3%A4".into(), vec![2]).await.code, 204);
    assert_eq!(client.get(&http, "a/b/%c3%a4").await.unwrap().body, Bytes::from_static(&[2]));
    let refused = put("/kv/%FF".into(), vec![1]).await;
    assert_eq!(refused.code, 400, "{refused:?}");
    for (method, path, code) in [("PUT", "/kv/", 404), ("GET", "/", 404), ("POST", "/kv/a", 405)] {
        let refused = client.send(method, &http, path, Bytes::new()).await.unwrap();
        assert_eq!(refused.code, code, "{method} {path}: {refused:?}");
        assert!(!refused.body.is_empty(), "{method} {path} says why");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_owner_requests_are_refused_with_the_reason() {
    let ports = Ports::claim(1);
    let _node = start(&ports, &["--weight", "0"]).await;
    let refused = Client::new().get(&ports.http(0), "key").await.unwrap();
    assert_eq!(refused.code, 503, "{refused:?}");
    assert!(refused.body.len() > 1, "it says why: {refused:?}");
}

/// A member that knows nobody yet would take the keys of all others for its own.
#[tokio::test(flavor = "multi_thread")]
async fn it_answers_for_no_key_before_it_has_joined() {
    let ports = Ports::claim(2);
    let (one, two, http) = (ports.grpc(0), ports.grpc(1), ports.http(0));
    let early = ["node", "--listen", &one, "--http", &http, "--peers", &two, "--json"];
    let early = Process::start(&early);
    early.told("a round without success", |event| event["event"] == "join_retrying").await;
    let client = Client::new();
    let refused = client.put(&http, "key", "value").await.unwrap();
    assert_eq!(refused.code, 503, "{refused:?}");
    assert!(refused.body.len() > 1, "it says why: {refused:?}");

    let late = ["node", "--listen", &two, "--peers", &one, "--json"];
    let late = Process::start(&late);
    early.told("the first is ready", is_ready).await;
    late.told("the second is ready", is_ready).await;
    assert_eq!(client.put(&http, "key", "value").await.unwrap().code, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_tell_each_other_who_they_are() {
    let ports = Ports::claim(2);
    let (one, two) = (ports.grpc(0), ports.grpc(1));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.json");
    std::fs::write(&path, serde_json::to_vec(&[&one, &two]).unwrap()).unwrap();
    let hosts = path.to_str().unwrap();
    let more = ["--weight", "3", "--label", "zone=b"];
    let first = ["node", "--listen", &one, "--hosts", hosts, "--identity", "worker-1", "--json"];
    let second = ["node", "--listen", &two, "--hosts", hosts, "--json"];
    let first = Process::start(&first);
    let second = Process::start(&[&second[..], &more].concat());
    first.told("the first is ready", is_ready).await;
    second.told("the second is ready", is_ready).await;

    let (worker, heavy) = eventually("each knows what the other says of itself", || async {
        let (from_two, from_one) = (status(&two).await?, status(&one).await?);
        Some((member(&from_two, &one)?.clone(), member(&from_one, &two)?.clone()))
    })
    .await;
    assert_eq!(worker["identity"], "worker-1");
    assert_eq!(heavy["labels"]["zone"], "b");
    let share = |member: &Value| member["share"].as_f64().unwrap();
    assert_eq!((share(&worker), share(&heavy)), (0.25, 0.75));

    // Until both have one view, it tells how they differ.
    eventually("the table of members", || async {
        let table = output(&["status", &one]).await;
        (table.contains("worker-1") && table.contains("weight=3 zone=b")).then_some(())
    })
    .await;
    let owners = output(&["lookup", &one, "key", "-n", "2"]).await;
    assert_eq!(owners, output(&["lookup", &two, "key", "-n", "2"]).await);
    let mut lines: Vec<_> = owners.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [&one, &two]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let ports = Ports::claim(1);
    let mut node = start(&ports, &[]).await;
    // A request that does not end keeps the graceful stop waiting.
    let mut upload = TcpStream::connect(ports.http(0)).unwrap();
    upload.write_all(b"PUT /kv/slow HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe").unwrap();
    // The answer to a later request shows that the earlier connection was accepted.
    assert_eq!(Client::new().put(&ports.http(0), "key", "value").await.unwrap().code, 204);
    node.signal(Signal::INT);
    let http = ports.http(0);
    eventually("no more connections are taken", || {
        std::future::ready(is_closed(&http).then_some(()))
    })
    .await;
    node.signal(Signal::TERM);
    assert_eq!(node.ended().await.code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finishes_requests_before_it_ends() {
    let ports = Ports::claim(1);
    let mut node = start(&ports, &[]).await;
    let mut upload = TcpStream::connect(ports.http(0)).unwrap();
    upload
        .write_all(
            b"PUT /kv/slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhe",
        )
        .unwrap();
    assert_eq!(Client::new().put(&ports.http(0), "key", "value").await.unwrap().code, 204);
    node.signal(Signal::TERM);
    let http = ports.http(0);
    eventually("no more connections are taken", || {
        std::future::ready(is_closed(&http).then_some(()))
    })
    .await;
    upload.write_all(b"llo").unwrap();
    let answer = std::io::read_to_string(upload).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(node.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_its_time_is_over_and_when_its_input_ends() {
    let ports = Ports::claim(1);
    let mut node = start(&ports, &["--for", "3s"]).await;
    assert_eq!(node.ended().await.code(), Some(0));
    node.told("the end", |event| event["event"] == "state" && event["state"] == "stopped").await;
    // The standard input of processes in these tests is empty.
    let grpc = ports.grpc(0);
    let mut node = Process::start(&[
        "node",
        "--listen",
        &grpc,
        "--peers",
        &grpc,
        "--json",
        "--exit-with-stdin",
    ]);
    assert_eq!(node.ended().await.code(), Some(0));
}

/// Load balancers that watch the port have the time to go elsewhere, and nobody who asks meanwhile
/// is refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_http_port_says_that_it_is_not_ready_before_it_ends() {
    let ports = Ports::claim(1);
    let mut node = start(&ports, &["--lame-duck", "3s"]).await;
    let (client, http) = (Client::new(), ports.http(0));
    let ready = || async { client.send("GET", &http, "/ready", Bytes::new()).await };
    assert_eq!(ready().await.unwrap().code, 200);
    assert_eq!(client.put(&http, "key", "value").await.unwrap().code, 204);
    node.signal(Signal::TERM);
    let told = eventually("it is not ready any more", || async {
        let reply = ready().await.expect("the port is served in the lame duck time");
        (reply.code != 200).then_some(reply)
    })
    .await;
    assert_eq!((told.code, &told.body[..]), (503, &b"draining\n"[..]));
    // Nobody takes over from the last one.
    assert_eq!(client.get(&http, "key").await.unwrap().code, 200);
    assert_eq!(node.ended().await.code(), Some(0));
}

/// Of two members one stops: until its HTTP port ends, each request to it is answered.
#[tokio::test(flavor = "multi_thread")]
async fn requests_to_the_http_port_of_a_member_that_stops_are_answered_by_others() {
    let mut cluster = crate::support::Cluster::start(2);
    cluster.converged().await;
    let (client, http) = (Client::new(), cluster.ports.http(0));
    cluster.nodes[0].signal(Signal::TERM);
    let mut answered = 0;
    while let Ok(reply) = client.put(&http, &format!("key-{answered}"), "value").await {
        assert_eq!(reply.code, 204, "{reply:?}");
        answered += 1;
    }
    assert!(answered > 0, "the port was closed at once");
    assert!(is_closed(&http), "a request was broken off");
    assert_eq!(cluster.nodes[0].ended().await.code(), Some(0));
}

/// The reader of its output may go away, as a terminal or a logger does.
#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_nobody_reads_its_output() {
    let ports = Ports::claim(1);
    let (grpc, http) = (ports.grpc(0), ports.http(0));
    let mut node = ringpop(&["node", "--listen", &grpc, "--http", &http, "--peers", &grpc, "-v"]);
    let mut node = node.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((node.stdout.take(), node.stderr.take()));
    let client = Client::new();
    eventually("it serves", || async {
        let reply = client.put(&http, "key", "value").await.ok()?;
        (reply.code == 204).then_some(())
    })
    .await;
    kill(node.id().unwrap(), Signal::TERM);
    let ended = tokio::time::timeout(PATIENCE, node.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}
