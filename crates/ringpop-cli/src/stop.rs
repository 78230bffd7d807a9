//! What ends a run: a signal, the time of `--for`, or the end of standard input.

use std::future::pending;
use std::io::{self, BufRead as _, Read as _};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::failure::Failure;
use crate::limits::STDIN_LINE_BYTES_MAX;

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Somebody or something asked for it.
    Asked,
    /// The time of `--for` is over.
    Time,
}

/// Waits for whatever ends a run.
#[derive(Debug)]
pub(crate) struct Stop {
    signals: Signals,
    deadline: Option<Instant>,
    stdin_closed: Option<oneshot::Receiver<()>>,
}

impl Stop {
    /// Listens from now on, to standard input as well when somebody takes its lines.
    pub(crate) fn new(after: Option<Duration>, stdin: Option<TakeLine>) -> Result<Self, Failure> {
        let signals = Signals::new()
            .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
        Ok(Self {
            signals,
            // A time that the clock cannot hold never comes.
            deadline: after.and_then(|after| Instant::now().checked_add(after)),
            stdin_closed: stdin.map(watch_stdin),
        })
    }

    /// Completes when the run should end gracefully, and after that at each signal: who sends a
    /// second one does not want to wait. Cancel safe.
    pub(crate) async fn next(&mut self) -> Why {
        let deadline = self.deadline;
        let time = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        let stdin = async {
            match &mut self.stdin_closed {
                // An error would mean that the watching thread is gone, which then notices no end
                // either.
                Some(closed) => drop(closed.await),
                None => pending().await,
            }
        };
        let why = tokio::select! {
            () = self.signals.next() => Why::Asked,
            () = time => Why::Time,
            () = stdin => Why::Asked,
        };
        self.deadline = None;
        self.stdin_closed = None;
        why
    }
}

/// Takes a line of standard input.
pub(crate) type TakeLine = Box<dyn FnMut(&str) + Send>;

/// Reads standard input to its end.
///
/// A thread of its own, because the read cannot be cancelled and a task would hold up the end of
/// the runtime.
fn watch_stdin(mut take: TakeLine) -> oneshot::Receiver<()> {
    let (closed, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut line = String::new();
        loop {
            line.clear();
            match (&mut stdin).take(STDIN_LINE_BYTES_MAX).read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => take(line.trim_end()),
                // `read_line` goes on by itself when it is interrupted.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => break,
            }
        }
        // The receiver is gone when the run has ended for another reason.
        let _ = closed.send(());
    });
    receiver
}

#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending().await
        }
    }
}
