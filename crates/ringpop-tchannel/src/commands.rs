//! What lasts longer than one input of the machine: joining, coming back, leaving as
//! faulty, healing.

use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::{Discovery, DiscoveryError, PeersFuture};
use swim_core::{Address, CommandError, Event, Instant, Node, State};
use swim_driver::limits::DISCOVERY_TIMEOUT;
use swim_driver::{
    Bootstrap, BootstrapError, Bootstrapped, Discover as _, Handle, Hosts, Joined, WaitError,
};
use tokio::time::Instant as Clock;

use crate::counters::{Counters, count};
use crate::join_error::JoinError;
use crate::transport::Findings;

/// The discovery of a cluster of one.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Discovery for Nobody {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn origin(&self) -> String {
        "no discovery".to_owned()
    }

    fn is_fixed(&self) -> bool {
        true
    }
}

/// How many members a join waits for, this one included, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) members: usize,
    pub(crate) within: Duration,
}

/// What a join needs of its member.
#[derive(Clone, Debug)]
pub(crate) struct Joiner {
    pub(crate) handle: Handle,
    pub(crate) hosts: Hosts,
    pub(crate) findings: Arc<Findings>,
    pub(crate) counters: Arc<Counters>,
    /// How long discovery may have nobody to join before this member starts alone.
    pub(crate) alone_after: Option<Duration>,
    pub(crate) expected: Option<Expected>,
}

/// How a healing went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Healed {
    /// These members were reached.
    Contacted(Vec<Address>),
    /// It could not begin.
    Failed(String),
}

/// Joins the members that discovery lists. The join goes on when the future is
/// dropped.
pub(crate) async fn join(joiner: Joiner) -> Result<Joined, JoinError> {
    tokio::spawn(joiner.join()).await.unwrap_or(Err(JoinError::Ended))
}

impl Joiner {
    async fn join(self) -> Result<Joined, JoinError> {
        let begun = Clock::now();
        // What an earlier join found.
        drop(self.findings.take_mismatch());
        let bootstrap =
            Bootstrap::new(&self.handle, &self.hosts).start_alone_after(self.alone_after);
        let bootstrapped = bootstrap.run().await.map_err(|error| self.error(error))?;
        self.tell(&bootstrapped);
        let mut joined = bootstrapped.joined;
        if let Some(Expected { members, within }) = self.expected {
            let expected = self.handle.expect_members(members, begun, within).await;
            joined.members = expected.map_err(|_| JoinError::Ended)?;
        }
        Ok(joined)
    }

    fn tell(&self, bootstrapped: &Bootstrapped) {
        match &bootstrapped.alone {
            Some(_) if self.hosts.is_fixed() => tracing::info!("this member is a cluster of one"),
            Some(reason) => {
                count(&self.counters.alone);
                tracing::warn!(
                    "nobody to join: this member is a cluster of its own and goes on looking ({reason}); when others \
                     should be there, check discovery"
                );
            }
            None if !self.findings.knows_form() => tracing::warn!(
                "no member list of this cluster has a checksum of a known form; if full syncs do not end, \
                 set isCrossPlatform in ringpop-node"
            ),
            None => {}
        }
    }

    fn error(&self, error: BootstrapError<DiscoveryError>) -> JoinError {
        match error {
            BootstrapError::Discovery(error) => JoinError::Discovery(error),
            BootstrapError::DiscoveryTimeout { origin } => {
                let timeout_ms = DISCOVERY_TIMEOUT.as_millis();
                JoinError::Discovery(DiscoveryError::TimedOut { origin, timeout_ms })
            }
            BootstrapError::Nobody { reason } => JoinError::Nobody { reason },
            BootstrapError::NoPeer { failure, .. } => JoinError::Failed(failure),
            BootstrapError::Refused(error) => JoinError::Refused(error),
            // The transport cancels a join of a cluster with another form of checksums.
            _ => self.findings.take_mismatch().unwrap_or(JoinError::Ended),
        }
    }
}

/// Declares this member faulty, and waits until those who are told had their time.
pub(crate) async fn evict(handle: &Handle) {
    // Refused when there is nothing to evict from.
    let _ = handle.until(Node::evict_self, left).await;
}

/// Comes back after a leave; the member knows the cluster already.
pub(crate) async fn rejoin(handle: &Handle) -> Result<(), CommandError> {
    // Others are being told of the leave first.
    let is_leaving = |node: &mut Node, _: Instant| match node.state() {
        State::Leaving => Ok(()),
        _ => Err(()),
    };
    let _ = handle.until(is_leaving, left).await;
    let rejoin = |node: &mut Node, now: Instant| match node.state() {
        State::Leaving | State::Left => node.join(now, Vec::new()),
        State::Idle | State::Joining => Err(CommandError::NotJoined),
        State::Ready => Err(CommandError::AlreadyJoined),
    };
    handle.with(rejoin).await.unwrap_or(Err(CommandError::NotJoined))
}

fn left(_: &Node, event: &Event) -> Option<()> {
    matches!(event, Event::LeaveComplete { .. }).then_some(())
}

/// Compares member lists with the hosts that discovery lists. `None` when the member
/// has stopped.
pub(crate) async fn heal(handle: &Handle, hosts: &Hosts) -> Option<Healed> {
    let hosts = match hosts.hosts().await {
        Ok(hosts) => hosts,
        Err(error) => {
            tracing::warn!(%error, "discovery failed");
            return Some(Healed::Failed(error.to_string()));
        }
    };
    let ended = |_: &Node, event: &Event| match event {
        Event::HealEnded { contacted, .. } => Some(contacted.clone()),
        _ => None,
    };
    match handle.until(move |node, now| node.heal(now, hosts), ended).await {
        Ok(contacted) => Some(Healed::Contacted(contacted)),
        Err(WaitError::Refused(error)) => Some(Healed::Failed(error.to_string())),
        Err(WaitError::Stopped(_)) => None,
    }
}
