//! Processes: copies of this program, their lines, their memory, and processor time.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::roles::Role;

/// A runtime of one thread, on which a member and its neighbours share what there is.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A runtime with `workers` threads.
pub(crate) fn runtime_of(workers: usize) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(workers).enable_all().build()?)
}

/// Runs `f` with this process and those that it starts on one core. A call then costs what it costs
/// in both processes, whatever the other core does.
pub(crate) fn on_one_core<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None).context("cannot read the allowed cores")?;
    let mut one = CpuSet::new();
    if let Some(core) = (0..CpuSet::MAX_CPU).find(|&core| before.is_set(core)) {
        one.set(core);
    }
    sched_setaffinity(None, &one).context("cannot choose a core")?;
    let result = f();
    sched_setaffinity(None, &before).context("cannot choose the former cores")?;
    result
}

/// Listeners on loopback, and their addresses.
pub(crate) fn listeners(count: usize) -> Result<(Vec<TcpListener>, Vec<String>)> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("cannot listen")?;
    let addresses = listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
    let addresses = addresses.collect::<Result<_>>()?;
    Ok((listeners, addresses))
}

/// How many descriptors this process may have; the limit is raised as far as it may be.
pub(crate) fn descriptors_max() -> Result<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of descriptors")?;
    Ok(limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)))
}

/// The processor time that this process has used, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A line that a process wrote, and when it came.
#[derive(Debug)]
pub(crate) struct Line {
    /// The number of the process.
    pub(crate) from: usize,
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// Another process of the bench. It ends with this one: a closed standard input tells it.
pub(crate) struct Remote {
    child: Child,
}

impl Remote {
    /// Starts a copy of this program. Its lines go to `lines` as those of number `from`.
    pub(crate) fn start(
        role: Role,
        listen: &str,
        hosts: &str,
        from: usize,
        lines: Sender<Line>,
    ) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", role.name(), "--listen", listen, "--hosts", hosts])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a process")?;
        let stdout = child.stdout.take().context("the process has no standard output")?;
        std::thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                let line = Line { from, at: Instant::now(), text };
                // Nobody waits for lines any more when the case is over.
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child })
    }

    /// The resident memory of the process in MiB.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        let bytes =
            pages.context("statm has no resident pages")? * rustix::param::page_size() as u64;
        Ok(bytes as f64 / f64::from(1 << 20))
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("the process was asked to stop")?;
        writeln!(input, "{line}").context("the process reads no more")
    }

    /// Asks it to stop in order: its standard input ends.
    pub(crate) fn stop(&mut self) {
        self.child.stdin = None;
    }

    /// Ends it as a crash does: with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill a process")
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A child that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
