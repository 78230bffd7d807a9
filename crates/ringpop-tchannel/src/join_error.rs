//! Why a member did not join.

use ringpop_discovery::DiscoveryError;
use swim_core::{Address, CommandError, JoinFailure};

use crate::dialect::ChecksumForm;

/// Why a join failed. It may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Discovery could not be asked for as long as a join may take.
    #[error("cannot tell whom to join: {0}")]
    Discovery(#[from] DiscoveryError),
    /// Discovery listed nobody to join for as long as a join may take, and the member was told
    /// never to start alone.
    #[error("nobody to join ({reason}); start the other members, or let this one start alone")]
    Nobody {
        /// What discovery said.
        reason: String,
    },
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
