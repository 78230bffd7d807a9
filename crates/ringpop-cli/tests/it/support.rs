//! Real processes for the tests: free ports, nodes that end with their test, questions to them, and
//! load.

pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod requests;
pub(crate) mod terminal;

use std::time::{Duration, Instant};

use serde_json::Value;

use self::process::{Process, ringpop};

/// Shortest wait before a test gives up on anything that should take a second or two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Questions that a test asks at least before it gives up. A busy machine answers each of them
/// late, and the wait grows with the load; on a quiet one they take less than [`PATIENCE`].
const QUESTIONS_MIN: u32 = 300;

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut question: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    for asked in 0_u32.. {
        if let Some(answer) = question().await {
            return answer;
        }
        let waited = start.elapsed();
        assert!(
            waited < PATIENCE || asked < QUESTIONS_MIN,
            "not within {waited:?} and {asked} questions: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the questions end with an assertion")
}

/// What `ringpop status` says, or nothing when it fails.
pub(crate) async fn status(address: &str) -> Option<Value> {
    let output = ringpop(&["status", address, "--local", "--json"]).output().await.ok()?;
    output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).expect("one JSON object"))
}

/// What one member thinks of another.
pub(crate) fn member<'a>(status: &'a Value, address: &str) -> Option<&'a Value> {
    let members = status["members"].as_array()?;
    members.iter().find(|member| member["address"] == address)
}

/// Several nodes that know of each other.
pub(crate) struct Cluster {
    pub(crate) ports: ports::Ports,
    pub(crate) nodes: Vec<Process>,
}

impl Cluster {
    /// Starts all nodes at once.
    pub(crate) fn start(size: u16) -> Self {
        let ports = ports::Ports::claim(size);
        let nodes = (0..size).map(|i| start_node(&ports, i)).collect();
        Self { ports, nodes }
    }

    /// Starts node `i` again, at the same address.
    pub(crate) fn restart(&mut self, i: u16) {
        self.nodes[usize::from(i)] = start_node(&self.ports, i);
    }

    /// Waits until all nodes are ready, have the same checksums, and see each other. Returns the
    /// membership checksum.
    pub(crate) async fn converged(&self) -> String {
        let addresses = self.ports.all_grpc();
        eventually("all members agree", || agreement(&addresses)).await
    }
}

async fn agreement(addresses: &[String]) -> Option<String> {
    let questions = addresses.iter().map(|address| status(address));
    let answers: Option<Vec<Value>> =
        futures_util::future::join_all(questions).await.into_iter().collect();
    let answers = answers?;
    let first = answers.first()?;
    let agree = answers.iter().all(|answer| {
        let alive = |address: &String| {
            member(answer, address).is_some_and(|m| m["status"] == "alive" && m["share"] != 0.0)
        };
        answer["state"] == "ready"
            && answer["membership_checksum"] == first["membership_checksum"]
            && answer["ring_checksum"] == first["ring_checksum"]
            && addresses.iter().all(alive)
    });
    agree.then(|| first["membership_checksum"].as_str().expect("a text").to_owned())
}

fn start_node(ports: &ports::Ports, i: u16) -> Process {
    let (listen, http, peers) = (ports.grpc(i), ports.http(i), ports.all_grpc().join(","));
    let arguments = [
        "node",
        "--listen",
        &listen,
        "--http",
        &http,
        "--peers",
        &peers,
        "--preset",
        "local",
        "--admin-loopback",
        "--json",
    ];
    Process::start(&arguments)
}
