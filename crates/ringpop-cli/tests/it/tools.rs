//! The commands of `docs/tools.md` against real clusters: one that agrees, one with a dead member,
//! and one that is partitioned.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::Signal;
use tokio::time::timeout;

use crate::bad_input::complains;
use crate::operate::json;
use crate::support::PATIENCE;
use crate::support::ports::Ports;
use crate::support::process::{Process, kill, ringpop};

/// The code of a command whose answer needs one view.
const DISAGREE: i32 = 3;

/// Commands of the page that ask a member or have it do something, in the order of the page, each
/// once.
fn commands() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut seen = BTreeSet::new();
    let quoted =
        page.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split('`'));
    let commands = quoted.filter(|text| text.starts_with("ringpop "));
    // It starts clusters, and has tests of its own.
    let is_dev = |command: &str| command.starts_with("ringpop dev");
    let commands = commands.filter(|text| !is_dev(text) && seen.insert(text.to_owned()));
    commands.map(str::to_owned).collect()
}

/// Runs a command of the page, and gives its exit code and what it said.
async fn run(command: &str, address: &str, member: &str, file: &str) -> (Option<i32>, String) {
    // A watch goes on until nobody reads.
    let words = command.split(' ').skip(1).filter(|word| !word.starts_with("--watch"));
    let words: Vec<_> = words
        .map(|word| match word {
            "ADDRESS" => address,
            "MEMBER" => member,
            "FILE" => file,
            word => word,
        })
        .collect();
    let output = timeout(PATIENCE, ringpop(&words).output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command} does not end")).unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

struct Dev {
    ports: Ports,
    process: Process,
    directory: tempfile::TempDir,
}

impl Dev {
    /// Starts a cluster and waits until the script has come to its last step.
    async fn start(steps: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script.yaml");
        let listed: Vec<_> = steps.iter().map(|step| format!("  - {step}\n")).collect();
        let text = format!("nodes: 4\nsteps:\n{}  - wait: 1h\n", listed.concat());
        std::fs::write(&script, text).unwrap();
        let ports = Ports::claim(4);
        let base = ports.base.to_string();
        let line = ["dev", "--base-port", &base, "--json", "--script", script.to_str().unwrap()];
        let process = Process::start(&line);
        let last = steps.len();
        let done = |event: &serde_json::Value| event["event"] == "step" && event["number"] == last;
        process.told("the cluster is ready", done).await;
        Self { ports, process, directory }
    }

    /// Runs all commands of the page, each with the exit code that is expected. `agree` waits
    /// before those that need one view: earlier ones change it.
    async fn run_all(&self, agree: bool, expected: impl Fn(&str) -> Option<i32>) {
        let file = self.directory.path().join("file").to_str().unwrap().to_owned();
        let (address, member) = (self.ports.grpc(0), self.ports.grpc(1));
        for command in commands() {
            let Some(expected) = expected(&command) else { continue };
            if agree && needs_one_view(&command) {
                json(&["wait", &address, "--converged"]).await;
            }
            let (code, said) = run(&command, &address, &member, &file).await;
            // The same name stands for a dump, and for a directory of certificates.
            if command.starts_with("ringpop cert") || command.starts_with("ringpop diff") {
                let _ = std::fs::remove_file(&file);
                let _ = std::fs::remove_dir_all(&file);
            }
            assert_eq!(code, Some(expected), "{command}: {said}");
            assert!(!said.contains("panicked"), "{command}: {said}");
            assert_eq!(
                expected == DISAGREE,
                said.contains("there is no one answer"),
                "{command}: {said}"
            );
        }
    }
}

fn needs_one_view(command: &str) -> bool {
    let word = command.split(' ').nth(1).unwrap();
    let needs = ["count", "ownership", "collisions", "ranges", "lookup"].contains(&word);
    // Partitions can be counted all the more.
    needs && !command.ends_with("partitions")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_works_with_a_dead_member_too() {
    let dev = Dev::start(&["converge: {within: 2m}"]).await;
    dev.run_all(true, |_| Some(0)).await;
    let started = dev.process.events();
    let pid = started.iter().find(|event| event["address"] == *dev.ports.grpc(3)).unwrap()["pid"]
        .as_u64();
    kill(pid.unwrap().try_into().unwrap(), Signal::KILL);
    let address = dev.ports.grpc(0);
    json(&["wait", &address, "--members", "3", "--converged"]).await;
    dev.run_all(true, |_| Some(0)).await;
    let unreached = json(&["partitions", &address]).await;
    assert_eq!(unreached["partitions"].as_array().unwrap().len(), 1, "{unreached}");
}

/// Commands that need one view say that there is none; all others work.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_works_in_a_partition() {
    let steps =
        ["converge: {within: 2m}", "partition: [[0, 1], [2, 3]]", "views: {count: 2, within: 2m}"];
    let dev = Dev::start(&steps).await;
    let address = dev.ports.grpc(0);
    let first = json(&["count", &address, "--any-view"]).await;
    assert_eq!((&first["partitions"], &first["members"]), (&2.into(), &2.into()));
    let status = json(&["status", &address]).await;
    assert_eq!(status["cluster"]["is_agreed"], false);
    assert_eq!(status["cluster"]["views"].as_array().unwrap().len(), 2, "{status}");
    assert!(!status["cluster"]["differences"].as_array().unwrap().is_empty(), "{status}");
    complains(
        &["lookup", &address, "key"],
        DISAGREE,
        &["has 2 rings", "--any-view", "--converged"],
    )
    .await;
    // Healing waits for those that are cut off, which the script `partition-and-heal` is about, and
    // members that are forgotten are not asked any more.
    let expected = |command: &str| match needs_one_view(command) {
        _ if command.starts_with("ringpop heal") || command.starts_with("ringpop reap") => None,
        true => Some(DISAGREE),
        false => Some(0),
    };
    dev.run_all(false, expected).await;
}
