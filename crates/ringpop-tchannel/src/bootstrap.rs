//! How a bootstrap ends.

use ringpop_discovery::DiscoveryError;
use swim_core::{Address, CommandError, JoinFailure};
use swim_driver::BootstrapError as DriverError;

use crate::dialect::ChecksumForm;

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
    /// Discovery could not be asked for as long as a join may take.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Discovery listed nobody to join for as long as a join may take, and the member was told
    /// never to start alone.
    #[error("nobody to join ({reason}); start the other members, or let this one start alone")]
    Nobody {
        /// What discovery said.
        reason: String,
    },
    /// Nobody could be joined in time.
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
    /// The membership machine refused, because this member has joined already for instance.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The member was stopped meanwhile.
    #[error("this member was stopped while it bootstrapped")]
    Stopped,
}

/// The words of the driver.
fn no_peer(failure: &JoinFailure, failures: &[JoinFailure], origin: &str) -> String {
    let (failure, failures, origin) = (failure.clone(), failures.to_vec(), origin.to_owned());
    DriverError::<DiscoveryError>::NoPeer { failure, failures, origin }.to_string()
}
