//! `--faults`: `ringpop dev` cuts the ways between its members.
//!
//! The process that started the member writes a line of JSON to its standard input for each fault.
//! Nobody else can: there is no port and no call for it. A member takes faults only on loopback,
//! and cuts only the connections that it opens itself, so that `dev` tells all members the same.

use std::net::SocketAddr;

use ringpop::Builder;
use ringpop::discovery::Address;
use ringpop::testing::Network;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::stop::TakeLine;

/// A line of standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Nothing passes between members of different groups, each named by its address.
    Partition(Vec<Vec<String>>),
    /// Everything passes again.
    Restore,
}

/// The network of a member that takes faults.
#[derive(Clone, Debug)]
pub(super) struct Faults(Network);

impl Faults {
    pub(super) fn new() -> Self {
        Self(Network::new())
    }

    fn take(&self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Fault::Partition(groups)) => {
                let groups: Vec<&[String]> = groups.iter().map(Vec::as_slice).collect();
                self.0.partition(&groups);
            }
            Ok(Fault::Restore) => self.0.restore(),
            Err(error) => tracing::warn!("a line of standard input is no fault: {error}"),
        }
    }

    pub(super) fn apply(
        &self,
        builder: Builder,
        address: &Address,
        listen: SocketAddr,
    ) -> Result<Builder, Failure> {
        if !listen.ip().is_loopback() {
            return Err(Failure::Usage("--faults is for members on loopback".to_owned()));
        }
        Ok(builder.network(address.as_str(), &self.0))
    }
}

/// What a member does with the lines of its standard input.
pub(super) fn take_lines(faults: Option<Faults>) -> TakeLine {
    Box::new(move |line| {
        if let Some(faults) = &faults {
            faults.take(line);
        }
    })
}

/// A member that is suspended when the process that started it is killed would stay: it goes on
/// then, and finds its standard input closed. Only Linux can tell it.
pub(super) fn tie_to_parent() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))
    {
        tracing::warn!("this member cannot be told of the end of its parent: {error}");
    }
}
