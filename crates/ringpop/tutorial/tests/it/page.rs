//! The commands of `docs/tutorial.md`, run in the order of the page, do what it says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::pages::{Block, blocks, ringpop};

/// How long processes that are ready may take to find each other. A probe of each of the others
/// takes milliseconds; the rest is room for a busy machine.
const FORMING_MAX: Duration = Duration::from_secs(60);

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> Vec<Block> {
    blocks(&std::fs::read_to_string(package().join("../../../docs/tutorial.md")).unwrap())
}

/// The ports of the page and those that this run takes instead.
struct Ports(Vec<(String, String)>);

impl Ports {
    fn choose() -> Self {
        let written = [7401, 7402, 7403, 9401, 9402, 9403];
        let listeners = written.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let replace = |(port, listener): (u16, &TcpListener)| {
            (format!("127.0.0.1:{port}"), listener.local_addr().unwrap().to_string())
        };
        Self(written.into_iter().zip(&listeners).map(replace).collect())
    }

    fn apply(&self, line: &str) -> String {
        self.0.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
    }
}

/// The program of a `cargo run` line, without cargo, and its arguments.
fn command(line: &str, directory: &Path) -> Command {
    let (run, args) = line.split_once(" -- ").expect("arguments follow two dashes");
    let program = match run.strip_prefix("cargo run -p ringpop-tutorial --bin ") {
        Some("plain") => PathBuf::from(env!("CARGO_BIN_EXE_plain")),
        Some("sharded") => PathBuf::from(env!("CARGO_BIN_EXE_sharded")),
        Some("production") => PathBuf::from(env!("CARGO_BIN_EXE_production")),
        Some("client") => PathBuf::from(env!("CARGO_BIN_EXE_client")),
        _ => {
            assert_eq!(run, "cargo run -p ringpop-cli", "a command that this test does not know");
            ringpop()
        }
    };
    let mut command = Command::new(program);
    command.args(args.split(' ')).current_dir(directory).stdin(Stdio::null());
    command
}

/// The processes of one `start` block.
struct Running {
    line: String,
    child: Child,
}

impl Running {
    /// Starts them together and waits until each is ready and has all of them on its ring: a key
    /// may still move while the cluster forms, sooner than a person could type the next command.
    fn start(lines: &[String], directory: &Path) -> Vec<Self> {
        let start = |line: &String| {
            let child = command(line, directory).stdout(Stdio::piped()).spawn().unwrap();
            Self { line: line.clone(), child }
        };
        let mut running: Vec<Self> = lines.iter().map(start).collect();
        for process in &mut running {
            process.wait_until_ready();
        }
        for process in running.iter().filter(|process| !process.line.contains("--bin plain")) {
            let started = Instant::now();
            while process.owners_on_its_ring(directory) < lines.len() {
                assert!(started.elapsed() < FORMING_MAX, "{} knows too few members", process.line);
            }
        }
        running
    }

    /// The members that own keys, as this one sees it.
    fn owners_on_its_ring(&self, directory: &Path) -> usize {
        let (_, args) = self.line.split_once(" -- ").unwrap();
        let mut status = Command::new(ringpop());
        status.current_dir(directory).args(["status", args.split(' ').next().unwrap(), "--json"]);
        if self.line.contains("--bin production") {
            status.args(["--tls-cert", "certificates/member.pem"]);
            status.args(["--tls-key", "certificates/member-key.pem"]);
            status.args(["--tls-ca", "certificates/ca.pem"]);
        }
        let output = status.output().unwrap();
        assert!(output.status.success(), "{status:?}: {output:?}");
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let members = status["members"].as_array().unwrap();
        members.iter().filter(|member| member["share"].as_f64() > Some(0.0)).count()
    }

    fn wait_until_ready(&mut self) {
        if self.line.contains("--bin plain") {
            let address = self.line.rsplit(' ').next().unwrap();
            while TcpStream::connect(address).is_err() {
                assert!(self.child.try_wait().unwrap().is_none(), "{} ended", self.line);
                std::thread::yield_now();
            }
            return;
        }
        // A member that cannot join gives up by itself, which ends the wait.
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready at "), "{}: {line:?}", self.line);
    }

    /// Stops it as the page says; it must end well.
    fn stop(mut self) {
        let graceful = !self.line.contains("--bin plain");
        let signal = if self.line.contains("--bin sharded") { Signal::INT } else { Signal::TERM };
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success() || !graceful, "{}: {status}", self.line);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs the lines of a block. Those that call the service must all be answered by one process.
fn run(lines: &[String], directory: &Path) {
    let mut answered_by = Vec::new();
    for line in lines {
        let output = command(line, directory).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        if line.contains("--bin client") {
            answered_by.push(text(&output).rsplit(' ').next().unwrap().to_owned());
        }
        if line.contains(" get ") {
            assert!(text(&output).starts_with("ada from "), "{line}: {output:?}");
        }
    }
    answered_by.dedup();
    assert!(answered_by.len() <= 1, "different processes answered: {answered_by:?}");
}

/// Watches a session as the line says, stops the process that has it, and sees the watch end.
fn watch(line: &str, directory: &Path, running: &mut Vec<Running>) {
    let mut command = command(line, directory);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut update = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut update).unwrap();
    let owner = update.trim().strip_prefix("ada from ").unwrap();
    let is_owner = |process: &Running| process.line.contains(&format!(" -- {owner} "));
    running.remove(running.iter().position(is_owner).unwrap()).stop();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let ended = !output.status.success() && error.contains("the key of this stream has moved to");
    assert!(ended, "{line}: {}, {error}", output.status);
}

/// What `curl` of the line would print.
fn get(line: &str) -> String {
    let url = line.strip_prefix("curl http://").unwrap();
    let (address, path) = url.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let ports = Ports::choose();
    let mut running: Vec<Running> = Vec::new();
    let mut commands = 0;
    for block in page() {
        let lines: Vec<String> = block.lines.iter().map(|line| ports.apply(line)).collect();
        match block.directive.as_str() {
            "start" => {
                running.drain(..).for_each(Running::stop);
                running = Running::start(&lines, directory.path());
            }
            "run" => run(&lines, directory.path()),
            "watch" => watch(&lines[0], directory.path(), &mut running),
            other => {
                let Some(name) = other.strip_prefix("metrics: ") else { continue };
                let answer = get(&lines[0]);
                assert!(answer.contains(name), "no {name} in {answer}");
            }
        }
        commands += lines.len();
    }
    running.drain(..).for_each(Running::stop);
    assert!(commands >= 15, "the page has {commands} commands");
}
