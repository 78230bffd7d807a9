//! What lasts longer than one input of the machine: joining, coming back, leaving as
//! faulty, healing.

use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::{Discovery, DiscoveryError, PeersFuture};
use swim_core::{Address, CommandError, Event, Instant, Node, State};
use swim_driver::limits::DISCOVERY_TIMEOUT;
use swim_driver::{
    Bootstrap, BootstrapError as DriverError, Bootstrapped as Begun, Discover as _, Handle, Hosts,
    Joined, WaitError,
};
use tokio::time::{Instant as Clock, timeout};

use crate::bootstrap::{BootstrapError, Bootstrapped};
use crate::command_error::{LeaveRingError, RejoinError};
use crate::counters::{Counters, count};
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

/// How many members a bootstrap waits for, this one included, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) members: usize,
    pub(crate) within: Duration,
}

/// What a bootstrap needs of its member.
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
pub(crate) async fn bootstrap(joiner: Joiner) -> Result<Bootstrapped, BootstrapError> {
    tokio::spawn(joiner.bootstrap()).await.unwrap_or(Err(BootstrapError::Stopped))
}

impl Joiner {
    async fn bootstrap(self) -> Result<Bootstrapped, BootstrapError> {
        let begun = Clock::now();
        // What an earlier join found.
        drop(self.findings.take_mismatch());
        let bootstrap =
            Bootstrap::new(&self.handle, &self.hosts).start_alone_after(self.alone_after);
        let begun_now = bootstrap.run().await.map_err(|error| self.error(error))?;
        self.tell(&begun_now);
        let Joined { peers, members, .. } = begun_now.joined;
        let mut bootstrapped = Bootstrapped { joined: peers, members };
        if let Some(Expected { members, within }) = self.expected {
            let expected = self.handle.expect_members(members, begun, within).await;
            bootstrapped.members = expected.map_err(|_| BootstrapError::Stopped)?;
        }
        Ok(bootstrapped)
    }

    fn tell(&self, begun: &Begun) {
        match &begun.alone {
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

    fn error(&self, error: DriverError<DiscoveryError>) -> BootstrapError {
        match error {
            DriverError::Discovery(error) => error.into(),
            DriverError::DiscoveryTimeout { origin } => {
                let timeout_ms = DISCOVERY_TIMEOUT.as_millis();
                DiscoveryError::TimedOut { origin, timeout_ms }.into()
            }
            DriverError::Nobody { reason } => BootstrapError::Nobody { reason },
            DriverError::NoPeer { failure, failures, origin } => {
                BootstrapError::NoPeer { failure, failures, origin }
            }
            DriverError::Refused(error) => error.into(),
            // The transport cancels a join of a cluster with another form of checksums.
            _ => self.findings.take_mismatch().unwrap_or(BootstrapError::Stopped),
        }
    }
}

/// Goes as the machine is told, and waits until those who are told had their time; gives how many
/// confirmed it.
pub(crate) async fn go(
    handle: &Handle,
    limit: Duration,
    go: fn(&mut Node, Instant) -> Result<(), CommandError>,
) -> Result<usize, LeaveRingError> {
    match timeout(limit, handle.until(go, left)).await {
        Ok(told) => Ok(told?),
        Err(_elapsed) => Ok(0),
    }
}

/// Comes back after a leave; the member knows the cluster already.
pub(crate) async fn rejoin(handle: &Handle) -> Result<(), RejoinError> {
    // Others are being told of the leave first.
    let is_leaving = |node: &mut Node, _: Instant| match node.state() {
        State::Leaving => Ok(()),
        _ => Err(()),
    };
    let _ = handle.until(is_leaving, left).await;
    let rejoin = |node: &mut Node, now: Instant| match node.state() {
        State::Leaving | State::Left => Ok(node.join(now, Vec::new())?),
        State::Idle | State::Joining => Err(RejoinError::NotJoined),
        State::Ready => Err(RejoinError::NotAway),
    };
    handle.with(rejoin).await?
}

fn left(_: &Node, event: &Event) -> Option<usize> {
    match event {
        Event::LeaveComplete { acknowledged, .. } => Some(*acknowledged),
        _ => None,
    }
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
