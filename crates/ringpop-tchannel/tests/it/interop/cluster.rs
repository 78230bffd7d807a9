//! Clusters of both kinds.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ringpop_tchannel::discovery::JsonFile;
use ringpop_tchannel::{Bridge, ChecksumForm, Config};
use serde_json::Value;
use tempfile::TempDir;

use super::peers::ringpop_node;
use crate::support::{Process, ask, hosts_file, seen, stats, until};

/// How long a member may be suspect: shorter than usual, as the tests are.
pub const SUSPECT_PERIOD: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Node,
    Testpop,
    /// A Rust member within the test, whose counters can be read.
    Bridge,
}

#[derive(Debug)]
enum Running {
    Process(Process),
    Bridge(Box<Bridge>),
}

#[derive(Debug)]
pub struct Peer {
    kind: Kind,
    /// Where it is known.
    pub address: String,
    /// Where it listens.
    pub listens: String,
    running: Option<Running>,
}

#[derive(Debug)]
pub struct Cluster {
    pub peers: Vec<Peer>,
    hosts: PathBuf,
    _directory: TempDir,
}

impl Cluster {
    /// Starts members one after the other, each known at its first address and
    /// listening on its second. `None` without ringpop-node.
    pub async fn start(members: Vec<(Kind, String, String)>) -> Option<Self> {
        ringpop_node()?;
        let directory = TempDir::new().unwrap();
        let addresses: Vec<String> =
            members.iter().map(|(_, address, _)| address.clone()).collect();
        let hosts = hosts_file(directory.path(), &addresses);
        let peers = members.into_iter().map(|(kind, address, listens)| Peer {
            kind,
            address,
            listens,
            running: None,
        });
        let mut cluster = Self { peers: peers.collect(), hosts, _directory: directory };
        for i in 0..cluster.peers.len() {
            cluster.launch(i).await;
        }
        Some(cluster)
    }

    /// Starts a member that does not run.
    pub async fn launch(&mut self, i: usize) {
        let Peer { kind, address, listens, .. } = &self.peers[i];
        let suspect_ms = SUSPECT_PERIOD.as_millis().to_string();
        let running = match kind {
            Kind::Node => {
                let directory = ringpop_node().expect("checked at the start");
                let mut node = Command::new("node");
                node.current_dir(directory).arg("member.js").args([listens, address]);
                node.arg(&self.hosts).arg(&suspect_ms);
                Running::Process(Process::start(&mut node))
            }
            Kind::Testpop => {
                assert_eq!(address, listens, "testpop listens where it is known");
                let period = format!("--suspect-period={suspect_ms}");
                let options = [period.as_str(), "--checksum=node"];
                Running::Process(Process::testpop(address, &self.hosts, &options))
            }
            Kind::Bridge => {
                let config = Config::ringpop().to_builder().suspect_timeout(SUSPECT_PERIOD);
                let bridge = Bridge::builder("ringpop")
                    .listen(listens.parse().unwrap())
                    .advertise(address)
                    .discovery(JsonFile::new(&self.hosts))
                    .checksum_form(ChecksumForm::Node)
                    .config(config.build().unwrap())
                    .bind()
                    .await
                    .unwrap();
                // The first of a cluster waits here until the second answers.
                bridge.bootstrap().await.unwrap();
                Running::Bridge(Box::new(bridge))
            }
        };
        self.peers[i].running = Some(running);
    }

    pub fn process(&mut self, i: usize) -> &mut Process {
        match &mut self.peers[i].running {
            Some(Running::Process(process)) => process,
            other => panic!("{i} is no process: {other:?}"),
        }
    }

    pub fn bridge(&self, i: usize) -> &Bridge {
        match &self.peers[i].running {
            Some(Running::Bridge(bridge)) => bridge,
            other => panic!("{i} is no bridge: {other:?}"),
        }
    }

    pub fn kill(&mut self, i: usize) {
        self.process(i).kill();
        self.peers[i].running = None;
    }

    pub fn address(&self, i: usize) -> &str {
        &self.peers[i].address
    }

    /// What a member says; asked where it listens, past any proxy.
    pub async fn stats(&self, i: usize) -> Option<Value> {
        stats(&self.peers[i].listens).await
    }

    /// A command to a member that it carries out.
    pub async fn command(&self, i: usize, endpoint: &str) {
        let answer = ask(&self.peers[i].listens, endpoint, "null").await;
        assert!(matches!(answer, Some(crate::support::Answer::Ok(_))), "{i}: {answer:?}");
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.peers.len()).filter(|i| self.peers[*i].running.is_some())
    }

    /// Whether all that run see the expected status of each member.
    async fn all_see(&self, expected: &[(usize, &str)]) -> bool {
        for i in self.running() {
            let Some(stats) = self.stats(i).await else { return false };
            let as_expected = |(of, status): &(usize, &str)| {
                seen(&stats, self.address(*of)).is_some_and(|(seen, _)| seen == *status)
            };
            if !expected.iter().all(as_expected) {
                return false;
            }
        }
        true
    }

    /// The checksums of all that run.
    pub async fn checksums(&self) -> Vec<Option<u64>> {
        let mut checksums = Vec::new();
        for i in self.running() {
            let stats = self.stats(i).await;
            checksums.push(stats.and_then(|stats| stats["membership"]["checksum"].as_u64()));
        }
        checksums
    }

    async fn agree(&self) -> bool {
        let checksums = self.checksums().await;
        checksums[0].is_some() && checksums.iter().all(|checksum| *checksum == checksums[0])
    }

    /// Waits until all that run see this and are on one checksum.
    pub async fn expect(
        &self,
        what: &str,
        limit: Duration,
        expected: &[(usize, &str)],
    ) -> Duration {
        until(what, limit, || async { self.all_see(expected).await && self.agree().await }).await
    }

    /// Waits until all see all alive.
    pub async fn expect_all_alive(&self, what: &str, limit: Duration) -> Duration {
        let alive: Vec<_> = (0..self.peers.len()).map(|i| (i, "alive")).collect();
        self.expect(what, limit, &alive).await
    }

    /// The incarnation of a member as another one sees it.
    pub async fn incarnation(&self, at: usize, of: usize) -> u64 {
        let stats = self.stats(at).await.expect("the member answers");
        seen(&stats, self.address(of)).expect("the member is known").1
    }

    /// Waits until a member is suspect somewhere.
    pub async fn expect_suspect(&self, at: usize, of: usize, limit: Duration) {
        let suspect = || async {
            let stats = self.stats(at).await;
            stats
                .and_then(|stats| seen(&stats, self.address(of)))
                .is_some_and(|(status, _)| status == "suspect")
        };
        until("a member that is stopped is suspect", limit, suspect).await;
    }
}
