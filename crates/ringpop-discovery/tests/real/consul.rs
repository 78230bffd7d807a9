//! A Consul agent in development mode, which forgets everything when it ends.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ringpop_discovery::consul::{Agent, Consul, Registration, Service};
use ringpop_discovery::{Discovery as _, Feed, Freshness};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, Process, failure, free_ports, ids, is_installed, until};

struct Server {
    ports: [u16; 3],
    process: Option<Process>,
    configuration: Option<String>,
}

impl Server {
    fn new() -> Self {
        Self { ports: free_ports(), process: None, configuration: None }
    }

    async fn started() -> Self {
        let mut server = Self::new();
        server.start().await;
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    fn agent(&self) -> Agent {
        Agent::new(&self.url()).unwrap()
    }

    async fn start(&mut self) {
        let [http, server, serf] = self.ports;
        let mut arguments: Vec<String> =
            ["agent", "-dev", "-node=node-a", "-bind=127.0.0.1", "-client=127.0.0.1"]
                .map(str::to_owned)
                .into();
        for (name, port) in [
            ("http-port", http.to_string()),
            ("server-port", server.to_string()),
            ("serf-lan-port", serf.to_string()),
            ("serf-wan-port", "-1".to_owned()),
            ("dns-port", "-1".to_owned()),
            ("grpc-port", "-1".to_owned()),
        ] {
            arguments.push(format!("-{name}={port}"));
        }
        if let Some(configuration) = &self.configuration {
            arguments.push(format!("-config-file={configuration}"));
        }
        self.process = Some(Process::start("consul", &arguments));
        let leader = async {
            while !self.ask("GET", "/v1/status/leader", "").await.contains("127.0.0.1") {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, leader).await.expect("the agent has a leader");
    }

    fn stop(&mut self) {
        self.process = None;
    }

    /// One request over a connection of its own; its whole answer, empty when there is none.
    async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.ports[0])).await else {
            return String::new();
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: consul\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn register(&self, id: &str, address: &str, status: &str) {
        let body = format!(
            r#"{{"Name":"kv","ID":"{id}","Address":"{address}","Port":7100,"Check":{{"CheckID":"{id}:c","TTL":"600s","Status":"{status}"}}}}"#
        );
        let answer = self.ask("PUT", "/v1/agent/service/register", &body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

fn feed(server: &Server) -> Feed {
    Feed::new(Consul::new(&server.agent(), "kv"))
}

#[tokio::test]
async fn an_agent_that_starts_late_and_ends_and_comes_back_empty_empties_nothing() {
    if !is_installed("consul") {
        return;
    }
    let mut server = Server::new();
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    let error = failure(&mut snapshots).await;
    assert!(!error.lists_nobody(), "down is not empty: {error}");
    server.start().await;
    server.register("a", "10.0.0.1", "passing").await;
    let list = until(&mut snapshots, |list| list.freshness().is_live()).await;
    assert_eq!(ids(&list), ["node-a/a"]);

    server.stop();
    let failed = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    assert_eq!(ids(&failed), ["node-a/a"]);
    server.start().await;
    // It answers, and knows no such service.
    let failures = feed.stats().failures;
    let again = async {
        while feed.stats().failures == failures {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("the agent is asked again");
    assert_eq!(feed.peers().await.unwrap().len(), 1, "nothing is emptied");
    server.register("b", "10.0.0.2", "passing").await;
    let list = until(&mut snapshots, |list| list.freshness().is_live()).await;
    assert_eq!(ids(&list), ["node-a/b"]);
}

#[tokio::test]
async fn changes_of_health_arrive_at_once() {
    if !is_installed("consul") {
        return;
    }
    let server = Server::started().await;
    server.register("a", "10.0.0.1", "passing").await;
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    until(&mut snapshots, |list| list.records()[0].healthy).await;
    let mut took = Vec::new();
    for i in 0..100 {
        let healthy = i % 2 == 1;
        let status = if healthy { "passing" } else { "critical" };
        let body = format!(r#"{{"Status":"{status}"}}"#);
        let start = Instant::now();
        server.ask("PUT", "/v1/agent/check/update/a:c", &body).await;
        until(&mut snapshots, |list| list.records()[0].healthy == healthy).await;
        took.push(start.elapsed());
    }
    took.sort();
    // A figure for people: how fast it is on a machine that does other things is no condition.
    println!("change to list: p50 {:?}, p99 {:?}", took[49], took[98]);
}

#[tokio::test]
async fn an_agent_that_hangs_is_waited_for() {
    if !is_installed("consul") {
        return;
    }
    let server = Server::started().await;
    server.register("a", "10.0.0.1", "passing").await;
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    until(&mut snapshots, |list| ids(list).len() == 1).await;
    server.process.as_ref().unwrap().signal("STOP");
    sleep(Duration::from_secs(2)).await;
    assert!(snapshots.latest().unwrap().freshness().is_live(), "a question may take its time");
    server.process.as_ref().unwrap().signal("CONT");
    server.register("b", "10.0.0.2", "passing").await;
    let list = until(&mut snapshots, |list| ids(list).len() == 2).await;
    assert!(list.freshness().is_live());
}

#[tokio::test]
async fn a_token_that_is_not_known_is_refused_with_advice() {
    if !is_installed("consul") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let path_text = |path: &Path| path.to_str().unwrap().to_owned();
    let configuration = r#"{"acl":{"enabled":true,"default_policy":"deny","tokens":{"master":"b1a7e1a5-0000-4000-8000-000000000001"}}}"#;
    let mut server = Server::new();
    server.configuration = Some(path_text(&file("acl.json", configuration)));
    server.start().await;
    let wrong = file("wrong", "b1a7e1a5-0000-4000-8000-00000000ffff");
    let right = file("right", "b1a7e1a5-0000-4000-8000-000000000001\n");
    let service = || Service::new("kv", "a", "10.0.0.1:7100".parse().unwrap());
    let (_ready, is_ready) = watch::channel(true);
    let registration = Registration::new(&server.agent().token_file(&right), service()).unwrap();
    let registering = tokio::spawn(registration.run(is_ready));

    let refused = Feed::new(Consul::new(&server.agent().token_file(&wrong), "kv"));
    let error = refused.peers().await.unwrap_err();
    assert!(!error.lists_nobody(), "{error}");
    assert!(error.to_string().contains("service:read"), "{error}");
    let allowed = Feed::new(Consul::new(&server.agent().token_file(&right), "kv"));
    let list = until(&mut allowed.snapshots(), |list| list.records()[0].healthy).await;
    assert_eq!(ids(&list), ["node-a/a"]);
    registering.abort();
}

#[tokio::test]
async fn a_registration_follows_readiness_and_survives_its_agent() {
    if !is_installed("consul") {
        return;
    }
    let mut server = Server::started().await;
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    let mut service = Service::new("kv", "a", "10.0.0.1:7100".parse().unwrap());
    service.weight = 3;
    service.meta.insert("zone".to_owned(), "eu-1a".to_owned());
    let (ready, is_ready) = watch::channel(false);
    let registration = Registration::new(&server.agent(), service).unwrap();
    let registering = tokio::spawn(registration.run(is_ready));
    let list = until(&mut snapshots, |list| !list.records()[0].healthy).await;
    assert_eq!((list.records()[0].weight, list.records()[0].zone.as_deref()), (3, Some("eu-1a")));
    ready.send_replace(true);
    until(&mut snapshots, |list| list.records()[0].healthy).await;

    server.stop();
    until(&mut snapshots, |list| !list.freshness().is_live()).await;
    server.start().await;
    until(&mut snapshots, |list| list.freshness().is_live() && list.records()[0].healthy).await;
    drop(ready);
    timeout(PATIENCE, registering).await.expect("it ends in time").unwrap();
    let answer = server.ask("GET", "/v1/agent/services", "").await;
    assert!(answer.trim_end().ends_with("{}"), "{answer}");
    let list = until(&mut snapshots, |list| !list.freshness().is_live()).await;
    let Freshness::Failed { reason, .. } = list.freshness() else { panic!("{list:?}") };
    assert!(reason.contains("lists no peers"), "{reason}");
}

#[tokio::test]
async fn ten_thousand_instances_arrive() {
    if !is_installed("consul") {
        return;
    }
    let server = Server::started().await;
    let node = r#"{"Node":"node-b","Address":"10.9.9.9"}"#;
    assert!(server.ask("PUT", "/v1/catalog/register", node).await.starts_with("HTTP/1.1 200"));
    for batch in 0..200 {
        let operations: Vec<String> = (0..50)
            .map(|i| {
                let (id, low) = (batch * 50 + i, i);
                format!(
                    r#"{{"Service":{{"Verb":"set","Node":"node-b","Service":{{"ID":"kv-{id}","Service":"kv","Address":"10.1.{batch}.{low}","Port":7100}}}}}}"#
                )
            })
            .collect();
        let body = format!("[{}]", operations.join(","));
        let answer = server.ask("PUT", "/v1/txn", &body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let start = Instant::now();
    let feed = feed(&server);
    let mut snapshots = feed.snapshots();
    let list = until(&mut snapshots, |list| list.records().len() == 10_000).await;
    assert!(list.freshness().is_live());
    println!("the first list of 10,000 instances took {:?}", start.elapsed());
}
