//! What `dev` tells, as lines for people and objects for programs.

use std::fmt;

use serde::Serialize;

use crate::output::{checksum, printable};

/// Something that happened in the cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum DevEvent {
    /// A process was started.
    Started { address: String, http: String, pid: Option<u32> },
    /// The address of the dashboard. It is a secret: its holder can do all that the keys do.
    Dashboard { url: String },
    /// A member says something new.
    Status {
        address: String,
        state: String,
        /// Members that it can reach, itself included.
        members: usize,
        #[serde(serialize_with = "as_checksum")]
        checksum: u64,
        /// Fraction of the ring that it owns.
        share: f64,
    },
    /// A member that answered does not any more.
    Silent { address: String },
    /// All members have the same membership checksum and see each other.
    Converged {
        nodes: usize,
        #[serde(serialize_with = "as_checksum")]
        checksum: u64,
        /// Since they were started or last ceased to agree.
        elapsed_ms: u64,
    },
    /// What one can try now.
    Hints { commands: Vec<String> },
    /// A process wrote a line to its standard error.
    Message { address: String, text: String },
    /// A process ended.
    Exited {
        address: String,
        how: String,
        /// What starts it again, when nobody told it to stop.
        restart: Option<String>,
    },
    /// Something is done to the cluster, because a key or a script asks for it.
    Action { text: String },
    /// A member answers what it was asked to do.
    Answer { address: String, ok: bool, text: String },
    /// What became of the requests of the last second.
    Load(LoadReport),
    /// A step of the script is done.
    Step { number: usize, step: String, elapsed_ms: u64 },
    /// The script is over; the reason says why it failed.
    Script { passed: bool, reason: Option<String> },
    /// Lines for people who asked for them by a key.
    Text { text: String },
    /// The processes are told to stop.
    Stopping { nodes: usize },
    /// All processes have stopped.
    Stopped,
}

/// Requests and what became of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct LoadReport {
    /// As many are sent in a second.
    pub(super) rate: u32,
    pub(super) answered: u64,
    pub(super) failed: u64,
    /// Of those that were answered: at the second attempt, as the first member had gone.
    pub(super) again: u64,
    pub(super) success_percent: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    /// The mean of those that were answered.
    pub(super) hops: f64,
    /// Why the last one failed that did.
    pub(super) failure: Option<String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [self.p50_us, self.p99_us].map(|us| us as f64 / 1000.0);
        write!(
            f,
            "load {}/s: {} answered, {} failed ({:.2} %), p50 {p50:.1} ms, p99 {p99:.1} ms, {:.2} hops",
            self.rate, self.answered, self.failed, self.success_percent, self.hops
        )?;
        self.failure.as_ref().map_or(Ok(()), |failure| write!(f, ", {}", printable(failure)))
    }
}

fn as_checksum<S: serde::Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&checksum(*value))
}

impl fmt::Display for DevEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { address, http, pid } => {
                write!(f, "{address} started, http://{http}")?;
                pid.map_or(Ok(()), |pid| write!(f, ", process {pid}"))
            }
            Self::Dashboard { url } => write!(f, "dashboard {url}"),
            Self::Status { address, state, members, checksum: sum, share } => write!(
                f,
                "{address} is {}, sees {members}, checksum {}, owns {:.1} %",
                printable(state),
                checksum(*sum),
                share * 100.0
            ),
            Self::Silent { address } => write!(f, "{address} does not answer"),
            Self::Converged { nodes, checksum: sum, elapsed_ms } => {
                write!(f, "all {nodes} have the checksum {} after {elapsed_ms} ms", checksum(*sum))
            }
            Self::Hints { commands } => write!(f, "try:\n  {}", commands.join("\n  ")),
            Self::Message { address, text } => write!(f, "{address} says: {}", printable(text)),
            Self::Exited { address, how, restart } => {
                write!(f, "{address} {how}")?;
                let restart = restart.as_ref();
                restart.map_or(Ok(()), |line| write!(f, "; start it again with\n  {line}"))
            }
            Self::Action { text } => f.write_str(text),
            Self::Answer { address, ok: true, text } => write!(f, "{address} {}", printable(text)),
            Self::Answer { ok: false, text, .. } => f.write_str(&printable(text)),
            Self::Load(report) => report.fmt(f),
            Self::Step { number, step, elapsed_ms } => {
                write!(f, "step {number} ({step}) done after {elapsed_ms} ms")
            }
            Self::Script { reason: None, .. } => f.write_str("the script has passed"),
            Self::Script { reason: Some(reason), .. } => f.write_str(reason),
            Self::Text { text } => f.write_str(text),
            Self::Stopping { nodes } => write!(f, "stopping {nodes}"),
            Self::Stopped => f.write_str("all have stopped"),
        }
    }
}
