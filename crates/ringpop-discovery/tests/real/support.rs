//! Registries as processes. The tests of other crates include this file.

#![allow(dead_code, reason = "each test uses a part of what is shared")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// For a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a program can be run. Otherwise that is said past the capture of test output, since a
/// skipped test looks like one that passed.
pub(crate) fn is_installed(program: &str) -> bool {
    let version =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if version.is_ok_and(|status| status.success()) {
        return true;
    }
    skipped(&format!("{program}, which is not installed"));
    false
}

/// Says that tests with something are skipped.
pub(crate) fn skipped(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nSKIPPED: tests with {what}").unwrap();
}

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(program: &str, arguments: &[String]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// `STOP` and `CONT` make it hang and go on.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that were free a moment ago.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A name server of `workers.test` that has these SRV records of `_gossip._tcp.workers.test`:
/// target, port and, if they matter, priority and weight.
pub(crate) fn dnsmasq(port: u16, records: impl IntoIterator<Item = String>) -> Process {
    let mut arguments: Vec<String> = [
        "--keep-in-foreground",
        "--bind-interfaces",
        "--listen-address=127.0.0.1",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=",
        "--local=/workers.test/",
        "--local-ttl=1",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--port={port}"));
    let record = |record| format!("--srv-host=_gossip._tcp.workers.test,{record}");
    arguments.extend(records.into_iter().map(record));
    Process::start("dnsmasq", &arguments)
}

/// A Consul agent. Without a place for its storage it forgets everything when it ends.
pub(crate) struct ConsulAgent {
    ports: [u16; 3],
    pub(crate) process: Option<Process>,
    pub(crate) storage: Option<PathBuf>,
    /// The path of a file with more settings.
    pub(crate) configuration: Option<String>,
}

impl ConsulAgent {
    pub(crate) fn new() -> Self {
        Self { ports: free_ports(), process: None, storage: None, configuration: None }
    }

    pub(crate) async fn started() -> Self {
        let mut server = Self::new();
        server.start().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    pub(crate) async fn start(&mut self) {
        let [http, server, serf] = self.ports;
        let mut arguments: Vec<String> =
            ["agent", "-node=node-a", "-bind=127.0.0.1", "-client=127.0.0.1"]
                .map(str::to_owned)
                .into();
        match &self.storage {
            None => arguments.push("-dev".to_owned()),
            Some(storage) => arguments.extend([
                "-server".to_owned(),
                "-bootstrap-expect=1".to_owned(),
                format!("-data-dir={}", storage.display()),
                // An election takes a second instead of five.
                "-hcl=performance { raft_multiplier = 1 }".to_owned(),
            ]),
        }
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

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// One request over a connection of its own; its whole answer, empty when there is none.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.ports[0])).await else {
            return String::new();
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: consul\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) async fn register(&self, id: &str, address: &str, status: &str) {
        let body = format!(
            r#"{{"Name":"kv","ID":"{id}","Address":"{address}","Port":7100,"Check":{{"CheckID":"{id}:c","TTL":"600s","Status":"{status}"}}}}"#
        );
        let answer = self.ask("PUT", "/v1/agent/service/register", &body).await;
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
}
