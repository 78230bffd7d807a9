//! Registries that others wrote, as they are published: Consul and dnsmasq.
//!
//! A program that is not installed skips its tests, which is said at the beginning of a line;
//! `.ci/run` installs what it can.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod consul;
mod dnsmasq;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringpop_discovery::{DiscoveryError, Snapshot, Snapshots};
use tokio::time::timeout;

/// For a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a program can be run. Otherwise that is said past the capture of test output, since a
/// skipped test looks like one that passed.
fn is_installed(program: &str) -> bool {
    let version =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if version.is_ok_and(|status| status.success()) {
        return true;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nSKIPPED: tests with {program}, which is not installed").unwrap();
    false
}

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[String]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// `STOP` and `CONT` make it hang and go on.
    fn signal(&self, signal: &str) {
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
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// The next snapshot that is as the test wants it.
async fn until(snapshots: &mut Snapshots, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let search = async {
        loop {
            if let Ok(snapshot) = snapshots.next().await.expect("the source goes on")
                && wanted(&snapshot)
            {
                return snapshot;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the list came in time")
}

/// The next failure before any list is known.
async fn failure(snapshots: &mut Snapshots) -> DiscoveryError {
    let next = timeout(PATIENCE, snapshots.next()).await.expect("an answer in time");
    next.expect("the source goes on").expect_err("nothing is known")
}

/// The ids of a list.
fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.records().iter().map(|record| &*record.id).collect()
}
