//! The processes of a development cluster: started together, told to stop together, never left
//! behind.
//!
//! A member is told to stop by closing its standard input, which the operating system also does
//! when this process is killed: one way that always works. Each member has a process group of its
//! own: Ctrl-C at the terminal reaches only this process, and members are not interrupted twice.

use std::process::{ExitStatus, Stdio};

use futures_util::StreamExt as _;
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::cluster::Update;
use super::plan::Plan;
use crate::failure::Failure;
use crate::limits::{DEV_LINE_BYTES_MAX, DEV_STOP_TIMEOUT};

/// What the processes are told, in the order in which it can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Run,
    Stop,
    Kill,
}

/// The running processes.
#[derive(Debug)]
pub(super) struct Children {
    orders: watch::Sender<Order>,
    ids: Vec<Option<u32>>,
}

impl Children {
    /// Starts all processes. When one cannot be started, those before it are killed.
    pub(super) fn start(plan: &Plan, updates: &mpsc::Sender<Update>) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::failed(format!("cannot find this program's file: {error}"))
        })?;
        let mut children = Vec::new();
        for node in &plan.nodes {
            let mut command = Command::new(&program);
            command
                .args(plan.arguments(node))
                .arg("--exit-with-stdin")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true);
            #[cfg(unix)]
            command.process_group(0);
            let child = command.spawn().map_err(|error| {
                Failure::failed(format!("cannot start {} ({error})", program.display()))
            })?;
            children.push(child);
        }
        let ids = children.iter().map(Child::id).collect();
        let orders = watch::Sender::new(Order::Run);
        for (index, child) in children.into_iter().enumerate() {
            tokio::spawn(run(index, child, orders.subscribe(), updates.clone()));
        }
        Ok(Self { orders, ids })
    }

    /// Process ids in the order of the plan.
    pub(super) fn ids(&self) -> &[Option<u32>] {
        &self.ids
    }

    /// Tells all to leave the cluster and end. Those that do not in time are killed.
    pub(super) fn stop(&self) {
        self.orders.send_replace(Order::Stop);
    }

    /// Ends all at once.
    pub(super) fn kill(&self) {
        self.orders.send_replace(Order::Kill);
    }
}

/// Accompanies one process to its end.
async fn run(
    index: usize,
    mut child: Child,
    mut orders: watch::Receiver<Order>,
    updates: mpsc::Sender<Update>,
) {
    // `Child::wait` would close it.
    let stdin = child.stdin.take();
    let stderr = child.stderr.take();
    let messages = tokio::spawn(forward_lines(index, stderr, updates.clone()));
    let status = tokio::select! {
        status = child.wait() => status.ok(),
        () = given(&mut orders, Order::Stop) => {
            drop(stdin);
            end(&mut child, &mut orders).await
        }
    };
    // The last words of a process come before the news of its end.
    let _ = messages.await;
    let how = status.map_or_else(|| "lost".to_owned(), describe);
    let _ = updates.send(Update::Exited { index, how }).await;
}

/// Waits for a process that was told to stop, and kills it when it takes too long.
async fn end(child: &mut Child, orders: &mut watch::Receiver<Order>) -> Option<ExitStatus> {
    tokio::select! {
        status = timeout(DEV_STOP_TIMEOUT, child.wait()) => {
            if let Ok(status) = status {
                return status.ok();
            }
        }
        () = given(orders, Order::Kill) => {}
    }
    // Killing fails only when the process has ended, which the wait finds as well.
    let _ = child.start_kill();
    child.wait().await.ok()
}

/// Completes when `order` or a later one is given, or nobody is left to give one.
async fn given(orders: &mut watch::Receiver<Order>, order: Order) {
    let _ = orders.wait_for(|given| *given >= order).await;
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
