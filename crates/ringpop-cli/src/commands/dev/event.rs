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
    /// The processes are told to stop.
    Stopping { nodes: usize },
    /// All processes have stopped.
    Stopped,
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
            Self::Stopping { nodes } => write!(f, "stopping {nodes}"),
            Self::Stopped => f.write_str("all have stopped"),
        }
    }
}
