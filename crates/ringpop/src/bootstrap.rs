//! Finding the other members: the bootstrap of `swim-driver`, and how it ends for people.

use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::DiscoveryError;
use swim_core::{Address, CommandError, JoinFailure};
use swim_driver::limits::DISCOVERY_TIMEOUT;
use swim_driver::{Bootstrap, BootstrapError as DriverError, Handle, Hosts};

use crate::lifecycle::Lifecycle;
use crate::problem::Problem;
use crate::state::State;

/// How a bootstrap ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bootstrapped {
    /// The members that this one joined. Empty when discovery knows nobody
    /// else: this member is a cluster of its own; also when it had joined
    /// in an earlier call that was given up.
    pub joined: Vec<Address>,
    /// Members known afterwards, this one included.
    pub members: usize,
}

/// Why a bootstrap failed. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The member does not serve yet: others could not reach it.
    #[error("others could not reach this member: call `serve` before `bootstrap`")]
    NotServing,
    /// The member is not in a state to bootstrap from.
    #[error("this member is {0} and cannot bootstrap")]
    State(State),
    /// Another live process advertises the address of this one.
    #[error(
        "another process answers at {address}, the address that this member advertises; give each \
         an address of its own"
    )]
    AddressTaken {
        /// The address.
        address: Address,
    },
    /// Discovery failed for as long as a join may take.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Discovery listed nobody to join for as long as a join may take, and the
    /// member was told never to start alone.
    #[error("nobody to join ({reason}); start the other members, or let this one start alone")]
    Nobody {
        /// What discovery said.
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
    #[error("{}", no_peer(failure, failures, origin))]
    NoPeer {
        /// The last failure.
        failure: JoinFailure,
        /// The last failure of each peer, at most
        /// [`JOIN_FAILURES_MAX`](swim_core::limits::JOIN_FAILURES_MAX).
        failures: Vec<JoinFailure>,
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

/// What a bootstrap needs of its member.
pub(crate) struct Setup<'a> {
    pub(crate) handle: &'a Handle,
    pub(crate) lifecycle: &'a Arc<Lifecycle>,
    pub(crate) hosts: &'a Hosts,
    pub(crate) app: &'a str,
    /// How long discovery may have nobody to join before this member starts
    /// alone; `None`: it never does.
    pub(crate) alone_after: Option<Duration>,
}

/// A member that has joined, or starts alone and why.
pub(crate) struct Joined {
    pub(crate) bootstrapped: Bootstrapped,
    pub(crate) alone: Option<Problem>,
}

/// Joins the members that discovery lists.
pub(crate) async fn join(setup: Setup<'_>) -> Result<Joined, BootstrapError> {
    let lifecycle = Arc::clone(setup.lifecycle);
    let begun = Bootstrap::new(setup.handle, setup.hosts)
        .start_alone_after(setup.alone_after)
        // A member that is being stopped joins no more.
        .only_if(move || lifecycle.state() < State::Draining)
        .run()
        .await
        .map_err(|error| told(error, setup.app))?;
    let bootstrapped = Bootstrapped { joined: begun.joined.peers, members: begun.joined.members };
    Ok(Joined { bootstrapped, alone: begun.alone.map(|reason| Problem::Alone { reason }) })
}

fn told(error: DriverError<DiscoveryError>, app: &str) -> BootstrapError {
    match error {
        DriverError::Discovery(error) => error.into(),
        DriverError::DiscoveryTimeout { origin } => {
            let timeout_ms = DISCOVERY_TIMEOUT.as_millis();
            DiscoveryError::TimedOut { origin, timeout_ms }.into()
        }
        DriverError::Nobody { reason } => BootstrapError::Nobody { reason },
        DriverError::NoPeer { failure: JoinFailure::OtherApp { peer, theirs }, .. } => {
            BootstrapError::OtherApp { peer, theirs: theirs.to_string(), ours: app.to_owned() }
        }
        DriverError::NoPeer { failure, failures, origin } => {
            BootstrapError::NoPeer { failure, failures, origin }
        }
        DriverError::Refused(error) => error.into(),
        _ => BootstrapError::Stopped,
    }
}

/// The words of the driver.
fn no_peer(failure: &JoinFailure, failures: &[JoinFailure], origin: &str) -> String {
    let (failure, failures, origin) = (failure.clone(), failures.to_vec(), origin.to_owned());
    DriverError::<DiscoveryError>::NoPeer { failure, failures, origin }.to_string()
}
