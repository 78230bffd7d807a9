//! Each command that asks a member, with each kind of bad input: none hangs, none panics, and each
//! says in one line what is wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::process::{Output, Stdio};

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::bad_input::{FAILED, USAGE};
use crate::operate::text;
use crate::questions::TIME_OVER;
use crate::support::PATIENCE;
use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};
use crate::tls::certificates;

/// The commands that ask a member, with what else they need; `MEMBER` stands for another one.
const ASKING: [&str; 26] = [
    "checksums",
    "collisions",
    "config",
    "config buddy=true",
    "count",
    "destinations",
    "drain",
    "dump -",
    "events -n 1",
    "evict MEMBER",
    "gossip",
    "heal",
    "join",
    "labels",
    "leave",
    "log-level",
    "lookup key",
    "members",
    "ownership",
    "partitions",
    "ping -n 1",
    "ranges --without MEMBER",
    "reap MEMBER",
    "stats",
    "top",
    "weight",
];

/// Those that need no more words than these, and answer at once.
const QUESTIONS: [&str; 14] = [
    "checksums",
    "collisions",
    "config",
    "count",
    "destinations",
    "gossip",
    "log-level",
    "members",
    "ownership",
    "partitions",
    "stats",
    "status",
    "top",
    "labels",
];

/// Words that ask no running member.
const OTHERS: [&str; 8] = ["cert", "completions", "dev", "diff", "help", "man", "node", "ring"];

fn asking() -> impl Iterator<Item = &'static str> {
    ASKING.into_iter().chain(["status", "wait --ready --timeout 100ms"])
}

/// The command with its member behind the first word.
fn line<'a>(command: &'a str, address: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words: Vec<_> = command.split(' ').collect();
    for word in words.iter_mut().filter(|word| **word == "MEMBER") {
        *word = "127.0.0.1:1";
    }
    words.insert(1, address);
    words.extend(more);
    words
}

/// Runs all commands, half of them at a time, and gives what each said.
async fn run_all(address: &str, more: &[&str]) -> Vec<(&'static str, Output)> {
    let commands: Vec<_> = asking().collect();
    let mut all = Vec::new();
    for some in commands.chunks(14) {
        let run = |command: &'static str| async move {
            let mut running = ringpop(&line(command, address, more));
            running.stdout(Stdio::piped()).stderr(Stdio::piped());
            let output = timeout(PATIENCE, running.output()).await;
            let output = output.unwrap_or_else(|_| panic!("{command} does not end"));
            (command, output.unwrap())
        };
        all.extend(join_all(some.iter().map(|command| run(command))).await);
    }
    all
}

/// Each failed with one line that has all of `words`.
fn all_complain(outputs: &[(&str, Output)], code: i32, words: &[&str]) {
    for (command, output) in outputs {
        let said = String::from_utf8_lossy(&output.stderr);
        let is_wait = command.starts_with("wait") && code == FAILED;
        let code = if is_wait { TIME_OVER } else { code };
        assert_eq!(output.status.code(), Some(code), "{command}: {said}");
        assert!(
            said.starts_with("error: ") && said.trim_end().lines().count() == 1,
            "{command}: {said}"
        );
        for word in words {
            assert!(said.contains(word), "{command} does not say {word:?}: {said}");
        }
    }
}

/// The words that `--help` lists.
async fn words_of_help() -> BTreeSet<String> {
    let help = text(&["--help"]).await;
    let listed = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let words = listed.lines().filter_map(|line| line.split(' ').nth(2));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The table of the README has all commands, and none that there is not.
#[tokio::test(flavor = "multi_thread")]
async fn every_word_of_the_help_is_in_the_table_of_the_readme() {
    let readme = include_str!("../../README.md");
    let rows = readme.lines().skip_while(|line| !line.starts_with("| command |")).skip(2);
    let mut described = BTreeSet::from(["help".to_owned()]);
    for row in rows.take_while(|line| line.starts_with('|')) {
        // What stands between back quotes in the first cell, without `ringpop` and arguments.
        let lines = row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2);
        let words = lines.map(|line| line.trim_start_matches("ringpop ").split(' ').next());
        described.extend(words.flatten().map(str::to_owned));
    }
    assert_eq!(words_of_help().await, described);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_word_of_the_help_is_tried_here() {
    let listed = words_of_help().await;
    let tried = ASKING.iter().chain(["status", "wait"].iter());
    let tried: BTreeSet<_> =
        tried.filter_map(|line| line.split(' ').next()).chain(OTHERS).map(str::to_owned).collect();
    assert_eq!(listed, tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_and_a_port_that_is_closed() {
    all_complain(&run_all("nowhere", &[]).await, USAGE, &["nowhere", "host:port"]);
    let ports = Ports::claim(1);
    let closed = ports.grpc(0);
    all_complain(&run_all(&closed, &[]).await, FAILED, &[&closed, "cannot be asked", "refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_side_encrypts_and_the_other_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let flags = certificates(directory.path());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let ports = Ports::claim(2);
    let (plain, encrypted) = (ports.grpc(0), ports.grpc(1));
    let start = |address: &str, more: &[&str]| {
        let node = ["node", "--listen", address, "--peers", address, "--json"];
        Process::start(&[&node[..], more].concat())
    };
    let nodes = [start(&plain, &[]), start(&encrypted, &flags)];
    for node in &nodes {
        node.told("it is ready", |event| event["state"] == "ready").await;
    }
    all_complain(&run_all(&encrypted, &[]).await, FAILED, &[&encrypted]);
    all_complain(&run_all(&plain, &flags).await, FAILED, &[&plain]);
}

/// A reader that has gone is no failure, and nothing panics.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_the_answer() {
    let ports = Ports::claim(1);
    let address = ports.grpc(0);
    let node = ["node", "--listen", &address, "--peers", &address, "--json"];
    let node = Process::start(&node);
    node.told("it is ready", |event| event["state"] == "ready").await;
    for command in QUESTIONS.into_iter().chain(["lookup key", "ping -n 1", "dump -"]) {
        for json in [&[][..], &["--json"]] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut running = ringpop(&line(command, &address, json));
            running.stdout(writer).stderr(Stdio::piped());
            let output = timeout(PATIENCE, running.output()).await.expect("it ends").unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{command} {json:?}: {said}");
            assert!(!said.contains("panicked"), "{command}: {said}");
        }
    }
}
