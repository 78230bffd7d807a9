//! Each fault is named in one sentence, with an exit code that tells whose it is, and never with a
//! panic.

use std::net::TcpListener;
use std::process::Stdio;

use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::ports::Ports;
use crate::support::process::{Process, ringpop};

pub(crate) const FAILED: i32 = 1;
pub(crate) const USAGE: i32 = 2;

/// Runs a command that must fail, and gives what it said.
pub(crate) async fn complaint(arguments: &[&str], code: i32) -> String {
    let mut command = ringpop(arguments);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = timeout(PATIENCE, output).await;
    let output = output
        .unwrap_or_else(|_| panic!("{arguments:?} does not end"))
        .expect("the command starts");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    // A member that tries for a while writes warnings meanwhile.
    let mut lines = stderr.lines().filter(|line| !line.contains(" WARN "));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        panic!("{arguments:?} says more or less than one line: {stderr}");
    };
    let message = line.strip_prefix("error: ").unwrap_or_else(|| panic!("{arguments:?}: {line}"));
    assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    println!("{message}");
    message.to_owned()
}

/// Asserts that a command fails and that its complaint contains all of `words`.
pub(crate) async fn complains(arguments: &[&str], code: i32, words: &[&str]) {
    let message = complaint(arguments, code).await;
    for word in words {
        assert!(message.contains(word), "{arguments:?} does not say {word:?}: {message}");
    }
}

#[tokio::test]
async fn a_wrong_command_line() {
    let node = ["node", "--listen", "127.0.0.1:20000", "--peers", "127.0.0.1:20000"];
    let with = |more: &[&'static str]| [&node[..], more].concat();
    complains(&[], USAGE, &["--help"]).await;
    complains(&["nod"], USAGE, &["'nod'", "'node'"]).await;
    complains(&with(&["--weigth", "2"]), USAGE, &["'--weigth'", "'--weight'"]).await;
    complains(&with(&["--weight", "101"]), USAGE, &["101", "100"]).await;
    complains(&with(&["--label", "zone"]), USAGE, &["key=value"]).await;
    complains(&with(&["--for", "soon"]), USAGE, &["30s"]).await;
    complains(&with(&["--http", "8100"]), USAGE, &["8100", "host:port"]).await;
    complains(&["node", "--listen", "nowhere", "--peers", "a:1"], USAGE, &["nowhere", "host:port"])
        .await;
    complains(&["node", "--listen", "a:1", "--peers", "a:1,b"], USAGE, &["\"b\"", "host:port"])
        .await;
    complains(&["node", "--listen", "0.0.0.0:20000", "--peers", "a:1"], USAGE, &["--advertise"])
        .await;
    complains(&["dev", "--nodes", "65"], USAGE, &["65", "64"]).await;
    complains(&["dev", "--base-port", "64600"], USAGE, &["--base-port", "64531"]).await;
    complains(&["status", "nowhere"], USAGE, &["nowhere", "host:port"]).await;
    complains(&["lookup", "127.0.0.1:1", ""], USAGE, &["empty"]).await;
}

#[tokio::test]
async fn a_hosts_file_that_cannot_be_used() {
    let ports = Ports::claim(1);
    let listen = ports.grpc(0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.json");
    let path = path.to_str().unwrap();
    let node = ["node", "--listen", &listen, "--hosts", path];
    complains(&node, FAILED, &["cannot read the hosts file", "hosts.json"]).await;
    for (text, reason) in [
        ("", "line 1 column 0"),
        ("{}", "JSON array"),
        ("[\"127.0.0.1\"]", "host:port"),
        ("[\"a:1\", 7]", "line 1 column"),
    ] {
        std::fs::write(path, text).unwrap();
        complains(&node, FAILED, &["hosts.json", reason]).await;
    }
}

#[tokio::test]
async fn a_port_in_use() {
    let ports = Ports::claim(2);
    let taken = TcpListener::bind(ports.grpc(1)).unwrap();
    let (free, taken_address) = (ports.grpc(0), taken.local_addr().unwrap().to_string());
    complains(
        &["node", "--listen", &taken_address, "--peers", &free],
        FAILED,
        &[&taken_address, "in use"],
    )
    .await;
    complains(
        &["node", "--listen", &free, "--peers", &free, "--http", &taken_address],
        FAILED,
        &[&taken_address, "in use", "--http"],
    )
    .await;
    let (base, port) = (ports.base.to_string(), taken.local_addr().unwrap().port().to_string());
    complains(
        &["dev", "--nodes", "2", "--base-port", &base],
        FAILED,
        &[&port, "in use", "--base-port"],
    )
    .await;
}

#[tokio::test]
async fn a_peer_of_another_application() {
    let ports = Ports::claim(2);
    let (one, two) = (ports.grpc(0), ports.grpc(1));
    let first =
        Process::start(&["node", "--listen", &one, "--peers", &one, "--app", "rides", "--json"]);
    first
        .told("the first is ready", |event| event["event"] == "state" && event["state"] == "ready")
        .await;
    complains(
        &["node", "--listen", &two, "--peers", &one, "--app", "meals", "--join-timeout", "5s"],
        FAILED,
        &[&one, "application", "meals"],
    )
    .await;
}

#[tokio::test]
async fn a_peer_that_never_answers() {
    let ports = Ports::claim(2);
    let (listen, silent_address) = (ports.grpc(0), ports.grpc(1));
    let closed = ["node", "--listen", &listen, "--peers", &silent_address, "--join-timeout", "2s"];
    complains(&closed, FAILED, &[&silent_address]).await;
    complains(&["status", &silent_address], FAILED, &[&silent_address, "refused"]).await;

    // Connections to it are accepted by the operating system, and nobody reads from them.
    let silent = TcpListener::bind(&silent_address).unwrap();
    let told = [silent_address.as_str(), "did not answer"];
    let (status, lookup) = (["status", &silent_address], ["lookup", &silent_address, "key"]);
    tokio::join!(
        complains(&closed, FAILED, &told[..1]),
        complains(&status, FAILED, &told),
        complains(&lookup, FAILED, &told),
    );
    drop(silent);
}

#[tokio::test]
async fn something_else_listens_there() {
    let ports = Ports::claim(1);
    let (grpc, http) = (ports.grpc(0), ports.http(0));
    let node =
        Process::start(&["node", "--listen", &grpc, "--peers", &grpc, "--http", &http, "--json"]);
    node.told("the node is ready", |event| event["event"] == "state" && event["state"] == "ready")
        .await;
    complains(&["status", &http], FAILED, &[&http, "no other kind of server has the port"]).await;
}
