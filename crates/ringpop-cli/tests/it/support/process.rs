//! The `ringpop` command as a process that ends with its test.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{PATIENCE, eventually};

/// The command with these arguments; killed when dropped. `RINGPOP_COMMAND` is the path of another
/// build than that of the tests.
pub(crate) fn ringpop(arguments: &[&str]) -> Command {
    let built = || env!("CARGO_BIN_EXE_ringpop").to_owned();
    let mut command = Command::new(std::env::var("RINGPOP_COMMAND").unwrap_or_else(|_| built()));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    // A backtrace in the output of a test that expects an error is a failure.
    command.env("RUST_BACKTRACE", "1").env_remove("RUST_LOG");
    command
}

/// A running command that writes JSON lines.
pub(crate) struct Process {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::run(ringpop(arguments))
    }

    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the command starts");
        let events = Arc::default();
        let stdout = child.stdout.take().expect("a pipe");
        tokio::spawn(collect(stdout, Arc::clone(&events)));
        Self { child, events }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("the process was not waited for")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// What it told so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.lock().expect("no holder panics").clone()
    }

    /// Waits until it tells what `wanted` finds.
    pub(crate) async fn told(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let find = || {
            self.events
                .lock()
                .expect("no holder panics")
                .iter()
                .find(|event| wanted(event))
                .cloned()
        };
        eventually(what, || std::future::ready(find())).await
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = timeout(PATIENCE, self.child.wait()).await;
        status.expect("the process ends").expect("the process was started here")
    }
}

async fn collect(stdout: ChildStdout, events: Arc<Mutex<Vec<Value>>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let event = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        events.lock().expect("no holder panics").push(event);
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().expect("process ids are positive")).expect("not zero");
    kill_process(pid, signal).expect("the process exists");
}

/// Whether a process runs. One that ended and was not waited for does not.
pub(crate) fn runs(pid: u32) -> bool {
    if cfg!(target_os = "linux") {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state follows the name, which is in parentheses and may contain some itself.
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        return state.is_some_and(|state| !matches!(state, 'Z' | 'X'));
    }
    let pid = Pid::from_raw(pid.try_into().expect("process ids are positive")).expect("not zero");
    rustix::process::test_kill_process(pid).is_ok()
}
