//! What lasts longer than one input of the machine: joining, coming back, leaving as
//! faulty, healing.

use std::sync::Arc;

use ringpop_discovery::{Discovery, DiscoveryError};
use swim_core::{Address, CommandError, Event, Instant, JoinFailure, Node, State};
use swim_driver::limits::DISCOVERY_TIMEOUT;
use swim_driver::{Discover, Handle, Joined, WaitError};

use crate::dialect::ChecksumForm;
use crate::transport::Findings;

/// Why a join failed. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Discovery could not list any hosts.
    #[error("cannot tell whom to join: {0}")]
    Discovery(#[from] DiscoveryError),
    /// Nobody could be joined in time.
    #[error("nobody could be joined in time; the last of them: {0}")]
    Failed(JoinFailure),
    /// The cluster writes its views down in another form than the one that was
    /// chosen with [`BridgeBuilder::checksum_form`](crate::BridgeBuilder::checksum_form).
    #[error(
        "the checksums of {peer} are those of {theirs}, and this member was set to those of {ours}: \
         their views would never agree; set the form of {theirs}, or none, which recognises it"
    )]
    OtherForm {
        /// The member whose list it was.
        peer: Address,
        /// The form of the cluster.
        theirs: ChecksumForm,
        /// The form that was chosen here.
        ours: ChecksumForm,
    },
    /// The machine refuses to join.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The member is shutting down.
    #[error("this member is shutting down")]
    Ended,
}

/// The hosts that discovery lists; none without one.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(pub(crate) Option<Arc<dyn Discovery>>);

impl Discover for Hosts {
    type Error = DiscoveryError;

    async fn hosts(&self) -> Result<Vec<Address>, DiscoveryError> {
        let Some(discovery) = &self.0 else { return Ok(Vec::new()) };
        let records = discovery.peers().await?;
        let addresses = records.iter().map(|record| record.address.to_string());
        // An address too long for the machine is no member of its cluster.
        Ok(addresses.filter_map(|address| Address::verbatim(&address).ok()).collect())
    }
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
pub(crate) async fn join(
    handle: Handle,
    hosts: Hosts,
    findings: Arc<Findings>,
) -> Result<Joined, JoinError> {
    let join = async move {
        // What an earlier join found.
        drop(findings.take_mismatch());
        let joined = handle.join_discovered(&hosts).await;
        let joined = joined.map_err(|error| join_error(error, &hosts, &findings))?;
        if joined.peers.is_empty() {
            tracing::warn!("no other hosts are listed: this member is a cluster of one");
        } else if !findings.knows_form() {
            tracing::warn!(
                "no member list of this cluster has a checksum of a known form; if full syncs do not end, \
                 set isCrossPlatform in ringpop-node"
            );
        }
        Ok(joined)
    };
    tokio::spawn(join).await.unwrap_or(Err(JoinError::Ended))
}

fn join_error(
    error: swim_driver::JoinError<DiscoveryError>,
    hosts: &Hosts,
    findings: &Findings,
) -> JoinError {
    use swim_driver::JoinError as Error;
    match error {
        Error::Discovery(error) => JoinError::Discovery(error),
        Error::DiscoveryTimeout => {
            let origin = hosts.0.as_ref().map_or_else(String::new, |discovery| discovery.origin());
            let timeout_ms = DISCOVERY_TIMEOUT.as_millis();
            JoinError::Discovery(DiscoveryError::TimedOut { origin, timeout_ms })
        }
        Error::Failed { failure, .. } => JoinError::Failed(failure),
        Error::Refused(error) => JoinError::Refused(error),
        _ => findings.take_mismatch().unwrap_or(JoinError::Ended),
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
