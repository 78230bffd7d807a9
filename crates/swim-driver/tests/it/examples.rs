//! The examples as people run them: agents on loopback that are killed and
//! interrupted, and a cluster on a transport of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long anything may take: twenty times what it takes on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER_KEY: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A running agent; killed when dropped.
struct Agent {
    process: Child,
    address: String,
    lines: Receiver<String>,
    /// The lines that were read so far.
    seen: Vec<String>,
}

/// `cargo test` builds the examples before it runs tests.
fn executable(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let path = profile.join("examples").join(example);
    assert!(
        path.exists(),
        "{} is not built; run: cargo build -p swim-driver --all-features --examples",
        path.display()
    );
    path
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(executable("udp_agent"));
    command.args(args).env_remove("UDP_AGENT_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Agent {
    /// Starts an agent on a free port.
    fn start(args: &[&str]) -> Self {
        let mut process = command(&["--listen", "127.0.0.1:0"]).args(args).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        // Ends with the process, whose end of the pipe is then closed.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut agent = Self { process, address: String::new(), lines, seen: Vec::new() };
        let line = agent.wait("that it listens", |line| line.starts_with("listening on"));
        agent.address = line.rsplit(' ').next().unwrap().to_owned();
        agent
    }

    /// The first line for which the condition holds, among those read already
    /// and those to come.
    #[track_caller]
    fn wait(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut checked = 0;
        loop {
            if let Some(line) = self.seen[checked..].iter().find(|line| wanted(line)) {
                return line.clone();
            }
            checked = self.seen.len();
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{} did not print {what}, but:\n{}", self.address, self.seen.join("\n"))
                }
            }
        }
    }

    #[track_caller]
    fn wait_for_status(&mut self, address: &str, status: &str) {
        self.wait(&format!("{address} -> {status}"), |line| {
            change(line) == Some((address, status))
        });
    }

    fn interrupt(&self) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// The last line of an agent that ends by itself.
    #[track_caller]
    fn end(&mut self) -> (ExitStatus, String) {
        let last = self.wait("its last line", |line| line.starts_with("left;"));
        (self.process.wait().unwrap(), last)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address and the new status, when the line tells of a change: `1.234
/// 127.0.0.1:9001 alive -> suspect (Probe)`.
fn change(line: &str) -> Option<(&str, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [_, address, _, "->", status, ..] => Some((address, status)),
        _ => None,
    }
}

/// A number of the last line.
fn counter(line: &str, name: &str) -> u64 {
    let (_, rest) = line.split_once(&format!("{name}: ")).unwrap();
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}

#[test]
fn three_agents_find_each_other_notice_a_kill_and_hear_of_a_leave() {
    let mut a = Agent::start(&["--key", KEY]);
    let a_address = a.address.clone();
    let mut b = Agent::start(&["--key", KEY, "--join", &a_address]);
    let mut c = Agent::start(&["--key", KEY, "--join", &a_address]);
    let (b_address, c_address) = (b.address.clone(), c.address.clone());
    for (agent, others) in [
        (&mut a, [&b_address, &c_address]),
        (&mut b, [&a_address, &c_address]),
        (&mut c, [&a_address, &b_address]),
    ] {
        for other in others {
            agent.wait_for_status(other, "alive");
        }
    }

    c.process.kill().unwrap();
    for agent in [&mut a, &mut b] {
        agent.wait_for_status(&c_address, "suspect");
        agent.wait_for_status(&c_address, "faulty");
    }

    b.interrupt();
    let (status, last) = b.end();
    assert!(status.success(), "{status}");
    assert_eq!(counter(&last, "oversized"), 0);
    a.wait_for_status(&b_address, "leave");

    a.interrupt();
    let (status, last) = a.end();
    assert!(status.success(), "{status}");
    assert_eq!(counter(&last, "oversized"), 0);
    assert_eq!(counter(&last, "malformed"), 0);
    assert!((1..=1400).contains(&counter(&last, "largest_bytes")), "{last}");
}

#[test]
fn without_a_key_agents_work_too_and_leave_when_their_time_is_over() {
    let mut a = Agent::start(&[]);
    let mut b = Agent::start(&["--join", &a.address, "--for", "500ms"]);
    b.wait_for_status(&a.address, "alive");
    let (status, _) = b.end();
    assert!(status.success(), "{status}");
    a.wait_for_status(&b.address, "leave");
}

#[test]
fn a_key_or_an_application_of_its_own_keeps_a_cluster_apart() {
    let mut a = Agent::start(&["--key", KEY]);
    for args in [&["--key", OTHER_KEY][..], &["--key", KEY, "--app", "another"], &[]] {
        let mut stranger = Agent::start(&[args, &["--join", &a.address]].concat());
        stranger.wait("that it has no answer", |line| line.contains("JoinRetrying"));
    }
    a.interrupt();
    let (status, last) = a.end();
    assert!(status.success(), "{status}");
    assert!(counter(&last, "malformed") >= 3, "{last}");
    let address = a.address.clone();
    let changes = a.seen.iter().filter_map(|line| change(line));
    assert_eq!(changes.collect::<Vec<_>>(), [(&*address, "leave")]);
}

#[test]
fn wrong_arguments_are_answered_with_what_to_do() {
    let taken = Agent::start(&[]);
    for (args, expected) in [
        (&["--listen", "0.0.0.0:0"][..], "--advertise"),
        (&["--listen", &taken.address], "cannot listen on 127.0.0.1"),
        (&["--listen", "127.0.0.1:0", "--key", "abc"], "a key is 64 hexadecimal digits"),
        (&["--listen", "127.0.0.1:0", "--app", ""], "application name has 0 bytes"),
    ] {
        let mut process = command(args).stderr(Stdio::piped()).spawn().unwrap();
        let mut message = String::new();
        let stderr = process.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut message).unwrap();
        assert!(!process.wait().unwrap().success());
        assert!(message.contains(expected), "{args:?}: {message}");
    }
}

#[test]
fn a_transport_of_ones_own_makes_a_cluster() {
    let output = Command::new(executable("own_transport")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let (before, after) = text.split_once("c ends without a word").unwrap();
    assert!(before.contains("a: ") && before.contains("b: "), "{text}");
    assert!(after.contains(" is suspect"), "{text}");
}
