//! Processes: where they run, what they cost, and how one is started as a copy of this program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::api::BenchClient;
use crate::roles::Role;

/// Where the processes of a run are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// All on one core, each with a current-thread runtime: the cost of a call in all processes
    /// together.
    OneCore,
    /// All on two cores, each with two workers.
    TwoCores,
}

impl Placement {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneCore => "1 core",
            Self::TwoCores => "2 cores",
        }
    }

    pub(crate) fn workers(self) -> usize {
        match self {
            Self::OneCore => 0,
            Self::TwoCores => 2,
        }
    }

    /// Places this process; those that it starts from then on inherit the place.
    pub(crate) fn apply(self, allowed: &CpuSet) -> Result<()> {
        let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let mut chosen = CpuSet::new();
        cores.take(self.workers().max(1)).for_each(|core| chosen.set(core));
        sched_setaffinity(None, &chosen).context("cannot choose cores")
    }
}

/// The cores that this process was given.
pub(crate) fn allowed() -> Result<CpuSet> {
    sched_getaffinity(None).context("cannot read the allowed cores")
}

/// A runtime with `workers` threads, or with none but the caller's.
pub(crate) fn runtime(workers: usize) -> Result<Runtime> {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    Ok(builder.worker_threads(workers.max(1)).enable_all().build()?)
}

/// The processor time that this process has used.
pub(crate) fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The resident memory of this process.
pub(crate) fn memory_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// Another process of the bench. It ends with this one: a closed standard input tells it.
pub(crate) struct Remote {
    child: Child,
    pub(crate) address: String,
}

impl Remote {
    /// Starts a copy of this program in `role`, and waits until it listens.
    pub(crate) fn start(role: Role, placement: Placement, owner: Option<&Self>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", role.name(), "--workers", &placement.workers().to_string()]);
        if let Some(owner) = owner {
            command.args(["--owner", &owner.address]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a process")?;
        let mut address = String::new();
        let stdout = child.stdout.take().context("the process has no standard output")?;
        BufReader::new(stdout).read_line(&mut address)?;
        ensure!(!address.is_empty(), "a process ended before it listened");
        Ok(Self { child, address: address.trim().to_owned() })
    }

    /// Its number at the operating system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn client(&self) -> Result<BenchClient> {
        BenchClient::connect(&self.address).await
    }
}

impl Remote {
    /// Asks it to stop in its own time.
    pub(crate) fn stop(&mut self) {
        drop(self.child.stdin.take());
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
