//! The processes of a development cluster: each started, signalled and told to stop by itself, and
//! never left behind.
//!
//! A member is told to stop by closing its standard input, which the operating system also does
//! when this process is killed: one way that always works. Each member has a process group of its
//! own: Ctrl-C at the terminal reaches only this process, and members are not interrupted twice.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::cluster::Update;
use super::plan::Plan;
use crate::failure::Failure;
use crate::limits::{DEV_LINE_BYTES_MAX, DEV_ORDERS_MAX, DEV_STOP_TIMEOUT, SETTING_PREFIX};

/// What a process is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    /// This line on its standard input.
    Say(String),
    Stop,
    Kill,
}

/// The processes.
#[derive(Debug)]
pub(super) struct Children {
    program: PathBuf,
    updates: mpsc::Sender<Update>,
    /// In the order of the plan; `None` once it has ended.
    running: Vec<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    pid: Option<u32>,
    orders: mpsc::Sender<Order>,
}

impl Children {
    pub(super) fn new(updates: mpsc::Sender<Update>) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::failed(format!("cannot find this program's file: {error}"))
        })?;
        Ok(Self { program, updates, running: Vec::new() })
    }

    /// Starts the process of a member, and gives its id.
    pub(super) fn start(&mut self, plan: &Plan, index: usize) -> Result<Option<u32>, Failure> {
        let mut command = Command::new(&self.program);
        command
            .args(plan.arguments(&plan.nodes[index]))
            .args(["--faults", "--exit-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // The members of a cluster have the settings of its plan.
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with(SETTING_PREFIX)) {
            command.env_remove(name);
        }
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|error| {
            Failure::failed(format!("cannot start {} ({error})", self.program.display()))
        })?;
        let pid = child.id();
        let (orders, inbox) = mpsc::channel(DEV_ORDERS_MAX);
        tokio::spawn(run(index, child, inbox, self.updates.clone()));
        if self.running.len() <= index {
            self.running.resize_with(index + 1, || None);
        }
        self.running[index] = Some(Running { pid, orders });
        Ok(pid)
    }

    /// The process has ended.
    pub(super) fn ended(&mut self, index: usize) {
        self.running[index] = None;
    }

    /// Writes a line to the standard input of a member that runs.
    pub(super) fn say(&self, index: usize, line: &str) {
        self.order(index, &Order::Say(format!("{line}\n")));
    }

    /// Tells a member to leave the cluster and end. When it does not in time it is killed.
    pub(super) fn stop(&self, index: usize) {
        // One that is suspended would not notice.
        self.resume(index);
        self.order(index, &Order::Stop);
    }

    /// Ends a member at once.
    pub(super) fn kill(&self, index: usize) {
        self.order(index, &Order::Kill);
    }

    /// Tells all to leave the cluster and end.
    pub(super) fn stop_all(&self) {
        (0..self.running.len()).for_each(|index| self.stop(index));
    }

    /// Ends all at once.
    pub(super) fn kill_all(&self) {
        (0..self.running.len()).for_each(|index| self.kill(index));
    }

    /// Has a member stand still, as on a machine that is starved.
    #[cfg(unix)]
    pub(super) fn suspend(&self, index: usize) {
        self.signal(index, rustix::process::Signal::STOP);
    }

    /// Has a member that is suspended go on.
    #[cfg(unix)]
    pub(super) fn resume(&self, index: usize) {
        self.signal(index, rustix::process::Signal::CONT);
    }

    #[cfg(not(unix))]
    pub(super) fn suspend(&self, _: usize) {}

    #[cfg(not(unix))]
    pub(super) fn resume(&self, _: usize) {}

    #[cfg(unix)]
    fn signal(&self, index: usize, signal: rustix::process::Signal) {
        let pid = self.running.get(index).and_then(|running| running.as_ref()?.pid);
        let pid = pid.and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?));
        if let Some(pid) = pid {
            // It fails only when the process has ended, which is told soon.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn order(&self, index: usize, order: &Order) {
        if let Some(Some(running)) = self.running.get(index) {
            // A process that takes no more orders has ended or is told to.
            let _ = running.orders.try_send(order.clone());
        }
    }
}

/// Accompanies one process to its end.
async fn run(
    index: usize,
    mut child: Child,
    mut orders: mpsc::Receiver<Order>,
    updates: mpsc::Sender<Update>,
) {
    // `Child::wait` would close it.
    let stdin = child.stdin.take();
    let stderr = child.stderr.take();
    let messages = tokio::spawn(forward_lines(index, stderr, updates.clone()));
    let status = tokio::select! {
        status = child.wait() => Err(status.ok()),
        order = next_end(stdin, &mut orders) => Ok(order),
    };
    let status = match status {
        Err(ended) => ended,
        Ok(order) => end(&mut child, order, &mut orders).await,
    };
    // The last words of a process come before the news of its end.
    let _ = messages.await;
    let how = status.map_or_else(|| "lost".to_owned(), describe);
    let _ = updates.send(Update::Exited { index, how }).await;
}

/// Passes on lines until the process is to end, and closes its standard input then.
async fn next_end(mut stdin: Option<ChildStdin>, orders: &mut mpsc::Receiver<Order>) -> Order {
    loop {
        match orders.recv().await {
            Some(Order::Say(line)) => {
                if let Some(stdin) = &mut stdin {
                    // A process that reads nothing any more has ended.
                    let _ = stdin.write_all(line.as_bytes()).await;
                }
            }
            Some(order) => return order,
            None => return Order::Stop,
        }
    }
}

/// Waits for a process that was told to stop, and kills it when it takes too long.
async fn end(
    child: &mut Child,
    order: Order,
    orders: &mut mpsc::Receiver<Order>,
) -> Option<ExitStatus> {
    if order != Order::Kill {
        tokio::select! {
            status = timeout(DEV_STOP_TIMEOUT, child.wait()) => {
                if let Ok(status) = status {
                    return status.ok();
                }
            }
            () = killed(orders) => {}
        }
    }
    // Killing fails only when the process has ended, which the wait finds as well.
    let _ = child.start_kill();
    child.wait().await.ok()
}

/// Completes when the process is to be killed.
async fn killed(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if order == Order::Kill {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Passes on what a process writes to its standard error.
async fn forward_lines(
    index: usize,
    stderr: Option<impl AsyncRead + Unpin>,
    updates: mpsc::Sender<Update>,
) {
    let Some(stderr) = stderr else { return };
    let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(DEV_LINE_BYTES_MAX));
    while let Some(line) = lines.next().await {
        let text = match line {
            Ok(text) => text,
            Err(LinesCodecError::MaxLineLengthExceeded) => "(a line too long to show)".to_owned(),
            Err(LinesCodecError::Io(_)) => return,
        };
        if updates.send(Update::Message { index, text }).await.is_err() {
            return;
        }
    }
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("killed (signal {signal})");
    }
    match status.code() {
        Some(code) => format!("exited (code {code})"),
        None => status.to_string(),
    }
}
