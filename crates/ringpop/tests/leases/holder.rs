//! Another process that holds leases: this program, started once more.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringpop::{LeaseSettings, LeaseStore};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::scenarios::{SLOTS, alone, granted};
use crate::support::PATIENCE;
use crate::{consul, kubernetes};

/// Names the store to the other process.
const STORE: &str = "RINGPOP_TEST_LEASE_STORE";

/// Of the leases of the other process: after a pause it may go on for a part of that.
const TTL: Duration = Duration::from_secs(3);

/// What the other process says of the lease of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// It writes, and has just checked that it may.
    Writes { slot: u32, token: u64 },
    /// It has noticed that its lease is over.
    Ended { slot: u32, token: u64 },
}

/// The other process, which ends with the test.
pub(crate) struct Holder {
    process: Child,
    said: mpsc::UnboundedReceiver<Said>,
}

impl Holder {
    pub(crate) fn start(store: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "holder::the_other_process", "--ignored", "--nocapture"])
            .env(STORE, store)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = mpsc::unbounded_channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(said) = parsed(&line) {
                    let _ = tell.send(said);
                }
            }
        });
        Self { process, said }
    }

    /// What it says next.
    pub(crate) async fn said(&mut self) -> Said {
        let said = timeout(PATIENCE, self.said.recv()).await.expect("it says something in time");
        said.expect("it goes on")
    }

    /// What it has said by now; it says nothing more while it is stopped.
    pub(crate) async fn said_before_it_stopped(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        while let Ok(Some(said)) = timeout(Duration::from_millis(300), self.said.recv()).await {
            all.push(said);
        }
        all
    }

    /// `STOP` and `CONT` pause it and have it go on.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn parsed(line: &str) -> Option<Said> {
    let mut words = line.split(' ');
    let (verb, slot, token) = (words.next()?, words.next()?, words.next()?);
    let (slot, token) = (slot.parse().ok()?, token.parse().ok()?);
    match verb {
        "writes" => Some(Said::Writes { slot, token }),
        "ended" => Some(Said::Ended { slot, token }),
        _ => None,
    }
}

async fn hold(store: impl LeaseStore) {
    let member = alone().await;
    let settings = LeaseSettings::new(SLOTS).ttl(TTL).margin(TTL / 3);
    let leases = member.leases(store, settings).unwrap();
    let mut held = Vec::new();
    for slot in 0..SLOTS {
        held.push(granted(&leases, slot).await);
    }
    let mut out = std::io::stdout();
    while !held.is_empty() {
        held.retain(|lease| {
            let (is_held, slot, token) = (lease.check(), lease.slot(), lease.token());
            let verb = if is_held { "writes" } else { "ended" };
            writeln!(out, "\n{verb} {slot} {token}").unwrap();
            is_held
        });
        sleep(Duration::from_millis(10)).await;
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
#[ignore = "is what the other process runs"]
async fn the_other_process() {
    let store = std::env::var(STORE).unwrap();
    match store.split_once(' ').unwrap() {
        ("consul", url) => hold(consul::store(url)).await,
        (_, url) => hold(kubernetes::store(url)).await,
    }
}
