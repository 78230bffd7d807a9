//! The canonical encoding of the messages: protobuf, schema
//! `proto/ringpop/v1/swim.proto`.
//!
//! A custom transport is "bytes in, bytes out" with
//! [`Node::handle_packet`](crate::Node::handle_packet) and [`encode`]; [`decode`] is
//! for a look at a message before the node gets it. A transport that moves protobuf
//! messages itself, such as gRPC, uses [`to_proto`] and [`from_proto`].
//!
//! Unknown fields are ignored, and an unreadable change is dropped and counted while
//! the rest of its message stands: members of different versions work together.
//!
//! ```
//! use swim_core::{Body, Message, wire};
//!
//! let message = Message {
//!     app: "rides".into(),
//!     from: "10.0.0.7:7946".parse()?,
//!     from_incarnation: 1_700_000_000_000,
//!     seq: 7,
//!     body: Body::Ping { checksum: 42, changes: vec![] },
//! };
//! let bytes = wire::encode(&message);
//! assert_eq!(bytes.len(), wire::encoded_len(&message));
//! assert_eq!(wire::decode(&bytes)?.message, message);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod convert;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::nursery, reason = "generated")]
#[rustfmt::skip]
mod generated;

/// The protobuf messages, generated from the schema.
pub mod pb {
    pub use super::generated::*;
}

pub(crate) mod read;
mod tags;
mod write;

use crate::address::AddressError;
use crate::message::Message;

pub use self::convert::status;
pub use crate::limits::MESSAGE_BYTES_MAX;

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The message, without the changes that could not be read.
    pub message: Message,
    /// Number of changes that could not be read; to be given to
    /// [`Node::handle_malformed`](crate::Node::handle_malformed).
    pub dropped_changes: usize,
}

/// Encodes a message.
#[must_use]
pub fn encode(message: &Message) -> Vec<u8> {
    write::encode(message)
}

/// Appends the encoding of a message to `bytes`: a transport can use one buffer for
/// all.
pub fn encode_into(message: &Message, bytes: &mut Vec<u8>) {
    write::append(message, bytes);
}

/// Number of bytes that [`encode`] gives.
#[must_use]
pub fn encoded_len(message: &Message) -> usize {
    write::message_len(message)
}

/// Decodes a message.
///
/// # Errors
///
/// When the bytes are no message, or a field that the message cannot do
/// without is missing or out of bounds.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    Ok(read::read(bytes, &read::KnowsNothing)?.decoded)
}

/// The protobuf form of a message.
#[must_use]
pub fn to_proto(message: Message) -> pb::Message {
    message.into()
}

/// The message that a protobuf form stands for.
///
/// # Errors
///
/// When a field that the message cannot do without is missing or out of
/// bounds.
pub fn from_proto(message: pb::Message) -> Result<Decoded, DecodeError> {
    message.try_into()
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end within a field.
    #[error("not a protobuf message: it ends within a field")]
    Truncated,
    /// A field has a number or type that protobuf does not have.
    #[error("not a protobuf message: a field has no valid number and type")]
    Field,
    /// A text is not UTF-8.
    #[error("not a protobuf message: a text is not UTF-8")]
    Text,
    /// The message is too large.
    #[error("message has {bytes} bytes, at most {MESSAGE_BYTES_MAX} are allowed")]
    TooLarge {
        /// Length in bytes.
        bytes: usize,
    },
    /// The message has no body, or one of a kind that this version does not
    /// know.
    #[error("message has no body that this version knows")]
    Body,
    /// The application name is empty or too long.
    #[error("application name has {bytes} bytes")]
    App {
        /// Length in bytes.
        bytes: usize,
    },
    /// A field is not an address.
    #[error("field {field}: {error}")]
    Address {
        /// Name of the field.
        field: &'static str,
        /// The fault.
        error: AddressError,
    },
    /// A list of buckets is too long, or a number of buckets too high.
    #[error("field {field} is beyond the number of buckets")]
    Buckets {
        /// Name of the field.
        field: &'static str,
    },
}

#[cfg(test)]
mod tests;
