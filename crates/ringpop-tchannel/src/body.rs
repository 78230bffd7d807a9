//! The JSON bodies of Ringpop's protocol and the machine's messages.
//!
//! Reading is lenient where implementations differ: fields that are not known
//! are ignored, a change that cannot be read is left out and counted, and the
//! rest of its message counts. Writing follows the published schemas, which
//! allow no other fields.

mod read;
mod write;

use std::sync::Arc;

pub(crate) use self::write::{LabelMap, error, json};
pub use self::{
    read::{Read, read_refusal, read_reply, read_request},
    write::{write_reply, write_request},
};
use swim_core::{Address, AddressError};

/// The three endpoints of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Asks for the member list.
    Join,
    /// Probes.
    Ping,
    /// Asks to probe another member.
    PingReq,
}

impl Endpoint {
    /// Its name in the first argument of a call.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "/protocol/join",
            Self::Ping => "/protocol/ping",
            Self::PingReq => "/protocol/ping-req",
        }
    }

    /// The endpoint of this name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Join, Self::Ping, Self::PingReq]
            .into_iter()
            .find(|endpoint| endpoint.as_str().as_bytes() == name)
    }
}

/// What a body does not say of the message that it stands for.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Name of the own application, for bodies that carry none.
    pub app: Arc<str>,
    /// Whom the message is from, where the body does not say it or is not
    /// believed.
    pub from: Address,
    /// Number that ties a reply to its request.
    pub seq: u64,
}

/// Why a body is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is no JSON, or a field is missing or of another type.
    #[error("malformed body: {0}")]
    Json(#[from] serde_json::Error),
    /// An address in it is none.
    #[error("malformed body: {0}")]
    Address(#[from] AddressError),
}

/// Text of an error by which a process of another application refuses; all
/// implementations have these words in it.
const OTHER_APP: &str = "different app";

/// Words by which a process refuses that has not joined.
const NOT_READY: &str = "not ready";

/// Words by which a process refuses a join from its own address.
const JOIN_ITSELF: &str = "join itself";

#[cfg(test)]
mod tests;
