//! `ringpop dev` with scripts, with keys, and with readers that go away: it does as it is told and
//! leaves nothing running.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use crate::bad_input::{FAILED, USAGE, complains};
use crate::runs_all::runs_all;
use crate::support::ports::{Ports, is_closed};
use crate::support::process::{Process, ringpop, runs};
use crate::support::terminal::Terminal;
use crate::support::{PATIENCE, eventually};

const SCRIPTS: [&str; 5] =
    ["suspend-revive", "kill-one", "rolling-restart", "scale-out", "partition-and-heal"];

/// Waits until no process of a run is left and no port is taken.
async fn nothing_is_left(dev: &Process, ports: &Ports) {
    let pids = dev.events().into_iter().filter_map(|event| event["pid"].as_u64());
    let pids: Vec<u32> = pids.map(|pid| pid.try_into().expect("small")).collect();
    eventually("nothing is left running", || {
        let gone =
            !pids.iter().any(|pid| runs(*pid)) && ports.all_grpc().iter().all(|a| is_closed(a));
        std::future::ready(gone.then_some(()))
    })
    .await;
}

fn start(ports: &Ports, more: &[&str]) -> Process {
    let base = ports.base.to_string();
    Process::start(&[&["dev", "--base-port", &base, "--json"], more].concat())
}

async fn passes(script: &str) {
    let ports = Ports::claim(6);
    let mut dev = start(&ports, &["--script", script]);
    let code = dev.ended().await.code();
    let events = dev.events();
    assert_eq!(code, Some(0), "{script}: {:?}", events.last());
    assert!(events.iter().any(|event| event["event"] == "script" && event["passed"] == true));
    nothing_is_left(&dev, &ports).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripts_of_the_command_pass() {
    let all = runs_all("all scripts of `ringpop dev` but one");
    let count = if all { SCRIPTS.len() } else { 1 };
    for script in &SCRIPTS[..count] {
        passes(script).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_names_its_step() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("script.yaml");
    let path = file.to_str().unwrap();
    let ports = Ports::claim(3);
    let base = ports.base.to_string();
    let line = ["dev", "--base-port", &base, "--script", path];
    for (text, words) in [
        ("steps:\n  - kil: 1\n", &["step 1 (kil 1)", "unknown variant", "kill"][..]),
        ("steps: kill\n", &["script.yaml", "line 1"]),
        ("steps:\n  - converge: {within: soon}\n", &["step 1", "30s"]),
    ] {
        std::fs::write(&file, text).unwrap();
        complains(&line, USAGE, words).await;
    }
    complains(&["dev", "--script", "kill-two"], FAILED, &["script", "kill-two"]).await;

    let text = "nodes: 2\nsteps:\n  - converge: {within: 60s}\n  - status: {of: 1, is: faulty, within: 300ms}\n";
    std::fs::write(&file, text).unwrap();
    let mut dev = start(&ports, &["--script", path]);
    assert_eq!(dev.ended().await.code(), Some(FAILED));
    let verdict = dev.told("how it ended", |event| event["event"] == "script").await;
    let reason = verdict["reason"].as_str().unwrap();
    for word in ["step 2 (status", "not within 300ms", &format!("sees {} alive", ports.grpc(1))] {
        assert!(reason.contains(word), "{reason}");
    }
    nothing_is_left(&dev, &ports).await;

    // What cannot be done is said at once.
    std::fs::write(&file, "nodes: 2\nsteps:\n  - kill: 2\n").unwrap();
    let mut dev = start(&ports, &["--script", path]);
    assert_eq!(dev.ended().await.code(), Some(FAILED));
    let verdict = dev.told("how it ended", |event| event["event"] == "script").await;
    let reason = verdict["reason"].as_str().unwrap();
    assert!(reason.contains("step 1 (kill 2) failed: there is no member 2"), "{reason}");
    nothing_is_left(&dev, &ports).await;
}

/// As `head` does.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_it() {
    let ports = Ports::claim(2);
    let base = ports.base.to_string();
    let line = ["dev", "--nodes", "2", "--base-port", &base, "--json"];
    let mut dev = ringpop(&line).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    drop(lines);
    let status = timeout(PATIENCE, dev.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
    let pid = first["pid"].as_u64().unwrap().try_into().unwrap();
    assert!(!runs(pid), "{first}");
}

/// A member that is suspended goes on when `dev` is killed, and ends.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_it_is_killed_with_a_member_suspended() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("script.yaml");
    let text = "nodes: 2\nsteps:\n  - converge: {within: 60s}\n  - suspend: 1\n  - wait: 10m\n";
    std::fs::write(&file, text).unwrap();
    let ports = Ports::claim(2);
    let mut dev = start(&ports, &["--script", file.to_str().unwrap()]);
    dev.told("it is suspended", |event| event["event"] == "step" && event["number"] == 2).await;
    dev.signal(Signal::KILL);
    dev.ended().await;
    nothing_is_left(&dev, &ports).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_do_what_the_help_says() {
    let ports = Ports::claim(4);
    let base = ports.base.to_string();
    let line = ["dev", "--nodes", "3", "--base-port", &base];
    let mut dev = Terminal::run(&line, 100, 40);
    dev.shows("all 3 have the checksum").await;
    dev.press("?");
    dev.shows("up/down select").await;
    dev.press("+");
    dev.shows("100 requests a second").await;
    dev.press("\u{1b}[B");
    dev.press("k");
    dev.shows(&format!("killing {}", ports.grpc(1))).await;
    dev.shows("killed (signal 9)").await;
    dev.press("r");
    dev.press("s");
    dev.shows(&format!("suspending {}", ports.grpc(1))).await;
    dev.press("s");
    dev.press("r");
    dev.shows(&format!("{} goes on", ports.grpc(1))).await;
    dev.press("p");
    dev.shows("nothing passes between").await;
    dev.press("p");
    dev.shows("everything passes between all members again").await;
    dev.press("m");
    dev.press("i");
    dev.shows("INDIRECT").await;
    dev.press("a");
    dev.shows(&format!("{} started", ports.grpc(3))).await;
    dev.press("g");
    dev.shows("probes nobody").await;
    dev.press("t");
    dev.shows("has probed one member").await;
    dev.press("G");
    dev.shows("probes again").await;
    if runs_all("keys of `dev` that take members off the ring and restart them") {
        dev.press("e");
        dev.shows("owns no keys for 60 s").await;
        dev.press("E");
        dev.shows("owns keys again").await;
        dev.press("l");
        dev.shows("has left").await;
        dev.press("j");
        dev.shows("is back and knows").await;
        dev.press("f");
        dev.shows("members forgotten").await;
        dev.press("-");
        dev.shows("0 requests a second").await;
        dev.press("x");
        dev.shows(&format!("stopping {}", ports.grpc(1))).await;
        dev.shows("exited (code 0)").await;
        dev.press("K");
        dev.press("b");
        dev.shows(&format!("restarting {}", ports.grpc(1))).await;
        dev.press("R");
        dev.shows("restarting the members one by one").await;
    }
    dev.press(" h");
    dev.press("q");
    assert_eq!(dev.ended().await, Some(0));
    let closed = || ports.all_grpc().iter().all(|address| is_closed(address)).then_some(());
    eventually("nothing is left running", || std::future::ready(closed())).await;
}

/// A terminal in which nothing fits is no reason to fail.
#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_terminals_are_survived() {
    let ports = Ports::claim(1);
    let base = ports.base.to_string();
    let mut dev = Terminal::run(&["dev", "--nodes", "1", "--base-port", &base], 10, 2);
    eventually("it serves", || std::future::ready((!is_closed(&ports.grpc(0))).then_some(())))
        .await;
    let address = ports.grpc(0);
    let mut top = Terminal::run(&["top", &address], 30, 4);
    top.shows("needs 40x5").await;
    top.press("q");
    assert_eq!(top.ended().await, Some(0));
    let mut top = Terminal::run(&["top", &address], 120, 20);
    top.shows("1 members have one view").await;
    top.press(" q");
    assert_eq!(top.ended().await, Some(0));
    dev.press("q");
    assert_eq!(dev.ended().await, Some(0));
}
