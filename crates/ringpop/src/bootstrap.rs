//! Finding the other members.

use std::sync::Arc;

use ringpop_discovery::{Discovery, DiscoveryError, Record};
use swim_core::{Address, CommandError, JoinFailure};
use tokio::sync::mpsc;

use crate::gossip::{Command, Handle, JoinProgress};
use crate::lifecycle::State;

/// How a bootstrap ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bootstrapped {
    /// The members that this one joined. Empty when discovery knows nobody
    /// else: this member is a cluster of its own.
    pub joined: Vec<Address>,
    /// Members known afterwards, this one included.
    pub members: usize,
}

/// Why a bootstrap failed. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The member does not serve yet, so that others could not reach it.
    #[error("others could not reach this member: call `serve` before `bootstrap`")]
    NotServing,
    /// The member is not in a state to bootstrap from.
    #[error("this member is {0} and cannot bootstrap")]
    State(State),
    /// Discovery failed.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// An address from discovery is none.
    #[error("{origin} lists an address that cannot be used: {reason}")]
    Address {
        /// Where it comes from.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A peer belongs to another application.
    #[error(
        "{peer} belongs to application `{theirs}`, this member to `{ours}`; check the application \
         name and the list of peers"
    )]
    OtherApp {
        /// The peer.
        peer: Address,
        /// The name of its application.
        theirs: String,
        /// The name of this member's.
        ours: String,
    },
    /// No peer answered in time.
    #[error(
        "no peer could be joined, the last failure: {failure}; check that {origin} lists running members"
    )]
    NoPeer {
        /// The last failure.
        failure: JoinFailure,
        /// Where the peers come from.
        origin: String,
    },
    /// The membership machine refused.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The member was stopped meanwhile.
    #[error("this member was stopped while it bootstrapped")]
    Stopped,
}

/// Joins the members that discovery lists. Discovery is asked again before
/// each further round, so that peers that appear late are found.
pub(crate) async fn join(
    handle: &Handle,
    discovery: &Arc<dyn Discovery>,
    app: &str,
) -> Result<Bootstrapped, BootstrapError> {
    let peers = resolve(discovery).await?;
    let (sender, mut progress) = mpsc::unbounded_channel();
    handle
        .ask(|done| Command::Join(peers, sender, done))
        .await
        .ok_or(BootstrapError::Stopped)??;
    let cancel = CancelOnDrop(Some(handle.clone()));
    loop {
        match progress.recv().await.ok_or(BootstrapError::Stopped)? {
            JoinProgress::Retrying => match resolve(discovery).await {
                Ok(peers) => handle.tell(Command::Peers(peers)).await,
                Err(error) => tracing::warn!(%error, "keeping the peers known so far"),
            },
            JoinProgress::Complete { joined, members } => {
                cancel.disarm();
                return Ok(Bootstrapped { joined, members });
            }
            JoinProgress::Failed(failure) => {
                cancel.disarm();
                return Err(failed(failure, discovery, app));
            }
        }
    }
}

fn failed(failure: JoinFailure, discovery: &Arc<dyn Discovery>, app: &str) -> BootstrapError {
    match failure {
        JoinFailure::OtherApp { peer, theirs } => {
            BootstrapError::OtherApp { peer, theirs: theirs.to_string(), ours: app.to_owned() }
        }
        failure => BootstrapError::NoPeer { failure, origin: discovery.origin() },
    }
}

/// The healthy peers that discovery lists now.
pub(crate) async fn resolve(
    discovery: &Arc<dyn Discovery>,
) -> Result<Vec<Address>, BootstrapError> {
    let records = discovery.peers().await?;
    let address = |record: Record| {
        Address::new(record.address.as_str()).map_err(|error| BootstrapError::Address {
            origin: discovery.origin(),
            reason: error.to_string(),
        })
    };
    records.into_iter().filter(|record| record.healthy).map(address).collect()
}

/// Gives up the join when whoever waits for it does.
struct CancelOnDrop(Option<Handle>);

impl CancelOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.tell_now(Command::CancelJoin);
        }
    }
}
