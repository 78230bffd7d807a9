//! Why a member cannot be set up, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use swim_core::{ConfigError, LabelError};
use swim_driver::NoRandomness;

use crate::limits::{HAND_OFF_LIMIT_MAX, HAND_OFF_LIMIT_MIN, MOVING_CALLS_MAX, ROLL_WAIT_MAX};
use crate::placement::PlacementError;

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
    #[error("cannot listen on {address}: {source}; {}", listen_advice(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The socket that was given cannot be used.
    #[error("cannot serve on the socket that was given: {0}; give one that listens for TCP")]
    Listener(#[source] io::Error),
    /// The thread of the membership protocol could not be started.
    #[error("cannot start a thread for gossip: {0}; raise the limits of this process")]
    GossipThread(#[source] io::Error),
    /// The member listens on all interfaces and was not told which address
    /// others reach it at.
    #[error("listening on {bound}, which others cannot dial; set the address to advertise")]
    Unspecified {
        /// The address it listens on.
        bound: SocketAddr,
    },
    /// The address to advertise is none.
    #[error("cannot advertise this address: {reason}")]
    Advertise {
        /// The fault.
        reason: String,
    },
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
    /// The weight is none, or larger than it may be.
    #[error("weight is {value:?}, it must be a number from 0 to {max}")]
    Weight {
        /// The given value.
        value: String,
        /// The largest weight.
        max: u32,
    },
    /// A label was given twice, or beside the setting that stands for it.
    #[error("label `{key}` is given more than once; give each label one value")]
    LabelTwice {
        /// The label.
        key: String,
    },
    /// The label is one that the member sets by itself.
    #[error("label `{key}` is set by the member itself; give the label another name")]
    LabelReserved {
        /// The label.
        key: String,
    },
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
    #[error("access to administration: {reason}")]
    AdminAccess {
        /// The fault.
        reason: String,
    },
    /// The machine cannot be seeded.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The placement has a number of points that is out of its range.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A setting of the health check is out of its range.
    #[error("the health check: {reason}")]
    HealthCheck {
        /// The fault.
        reason: String,
    },
    /// A hook has no time or too long a one, or there are too many.
    #[error("the hooks: {reason}")]
    Hooks {
        /// The fault.
        reason: String,
    },
    /// A setting of the slow start is out of its range, or there is nothing to divide.
    #[error("the slow start: {reason}")]
    SlowStart {
        /// The fault.
        reason: String,
    },
    /// A setting of the ring is wrong.
    #[error("ring: {reason}")]
    Ring {
        /// The fault.
        reason: String,
    },
    /// A setting of forwarding is wrong.
    #[error("forwarding: {reason}")]
    Forwarder {
        /// The fault.
        reason: String,
    },
}

impl From<ringpop_forward::ConfigError> for BindError {
    fn from(error: ringpop_forward::ConfigError) -> Self {
        Self::Forwarder { reason: error.to_string() }
    }
}

impl From<hashring::BuildError> for BindError {
    fn from(error: hashring::BuildError) -> Self {
        Self::Ring { reason: error.to_string() }
    }
}
