//! Why a member cannot be set up, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use swim_core::{ConfigError, LabelError};
use swim_driver::NoRandomness;

use crate::admin::access::AdminAccessError;
use crate::health_check::HealthCheckError;
use crate::hooks::HooksError;
use crate::labels::OwnLabelError;
use crate::limits::{HAND_OFF_LIMIT_MAX, HAND_OFF_LIMIT_MIN, MOVING_CALLS_MAX, ROLL_WAIT_MAX};
use crate::placement::PlacementError;
use crate::ring_options::RingConditionError;
use crate::slow_start::SlowStartError;

/// What to do when a port cannot be taken.
fn listen_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "choose another address or stop the process that uses it",
        io::ErrorKind::AddrNotAvailable => {
            "this host has no such address: listen on one that it has, or on 0.0.0.0 and advertise one"
        }
        io::ErrorKind::PermissionDenied => {
            "choose a port of 1024 or above, or give the right to take it"
        }
        _ => "choose another address",
    }
}

/// Why a member could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The port could not be taken.
    #[error("cannot listen on {address}; {}", listen_advice(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The socket that was given cannot be used.
    #[error("cannot serve on the socket that was given; give one that listens")]
    Listener(#[source] io::Error),
    /// The thread of the membership protocol could not be started.
    #[error("cannot start a thread for gossip; raise the limits of this process")]
    GossipThread(#[source] io::Error),
    /// The member listens on all interfaces and was not told which address
    /// others reach it at.
    #[error("listening on {bound}, which others cannot dial; set the address to advertise")]
    Unspecified {
        /// The address it listens on.
        bound: SocketAddr,
    },
    /// The address to advertise is none.
    #[error(transparent)]
    Advertise(#[from] AdvertiseError),
    /// A setting of the membership protocol is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A label is wrong.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The name of a ring is empty or too long, or has characters that are no visible ASCII.
    #[error("ring {name:?}: a name has 1 to {max} visible ASCII characters")]
    RingName {
        /// The name.
        name: String,
        /// The longest that a name may be.
        max: usize,
    },
    /// Two rings have one name.
    #[error("ring {name:?} is set up more than once; give each ring a name of its own")]
    RingTwice {
        /// The name.
        name: String,
    },
    /// A ring has a condition that no member can meet.
    #[error("ring {ring:?}: {why}")]
    RingCondition {
        /// The name of the ring.
        ring: String,
        /// The condition, and what is wrong with it.
        why: RingConditionError,
    },
    /// There are too many rings.
    #[error("{rings} rings beside the main one, there may be {max}")]
    Rings {
        /// How many there are.
        rings: usize,
        /// How many there may be.
        max: usize,
    },
    /// Routes are for a ring that is not set up.
    #[error("routes are for the ring {name:?}, which is not set up; give its options to `ring`")]
    RingUnknown {
        /// The name.
        name: String,
    },
    /// A label, or the weight, is wrong.
    #[error(transparent)]
    OwnLabel(#[from] OwnLabelError),
    /// The identity is an empty text.
    #[error("the identity is empty; give the member a name, or leave the identity out")]
    IdentityEmpty,
    /// The time for handing state over is out of its range.
    #[error(
        "the limit of a hand-off is {limit:?}, it must be from {HAND_OFF_LIMIT_MIN:?} to \
         {HAND_OFF_LIMIT_MAX:?}"
    )]
    HandOffLimit {
        /// The time.
        limit: Duration,
    },
    /// Calls for keys that move wait too long, or too many of them.
    #[error(
        "calls for keys that move wait {limit:?}, {calls_max} of them at most; the time must be 1 ms \
         to {HAND_OFF_LIMIT_MAX:?} and the number 1 to {MOVING_CALLS_MAX}"
    )]
    WhileMoving {
        /// The time.
        limit: Duration,
        /// How many may wait.
        calls_max: usize,
    },
    /// The time for which a member stands by in a roll is too long.
    #[error("a member stands by in a roll for {wait:?}, it must be at most {ROLL_WAIT_MAX:?}")]
    RollWait {
        /// The time.
        wait: Duration,
    },
    /// A member without a version takes part in no roll.
    #[error("`roll_wait` is set and no version is; set `version` as well")]
    RollWithoutVersion,
    /// The certificate of this process is not valid any more.
    #[error("the certificate in {path} expired {days} days ago, others would refuse it; renew it")]
    CertificateExpired {
        /// Where the certificate is.
        path: String,
        /// How long ago, in whole days.
        days: u64,
    },
    /// The callers that may give commands are not well defined.
    #[error(transparent)]
    AdminAccess(#[from] AdminAccessError),
    /// The machine cannot be seeded.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The placement has a number of points that is out of its range.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A setting of the health check is out of its range.
    #[error(transparent)]
    HealthCheck(#[from] HealthCheckError),
    /// A hook has no time or too long a one, or there are too many.
    #[error(transparent)]
    Hooks(#[from] HooksError),
    /// A setting of the slow start is out of its range, or there is nothing to divide.
    #[error(transparent)]
    SlowStart(#[from] SlowStartError),
    /// A setting of the ring is wrong.
    #[error(transparent)]
    Ring(#[from] hashring::BuildError),
    /// A setting of forwarding is wrong.
    #[error(transparent)]
    Forwarder(#[from] ringpop_forward::ConfigError),
}

/// Why an address cannot be told to others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvertiseError {
    /// The text is no address.
    #[error("cannot advertise what is no address: {0}")]
    Invalid(ringpop_discovery::AddressError),
    /// Others cannot dial it.
    #[error("cannot advertise this address: {0}")]
    Undiallable(swim_core::AddressError),
}
