//! The messages of the protocol.
//!
//! These are the machine's own types. Feature `wire` converts them to and from
//! protobuf; another transport may encode them as it likes.

use std::sync::Arc;

use crate::address::Address;
use crate::member::{Member, Status};

/// One protocol message.
///
/// A request carries a sequence number chosen by its sender; the reply repeats
/// it. This makes the same machine work over datagrams, where a reply is just
/// another packet, and over request/response transports, where the driver
/// answers a request with the message that the machine emits for its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Name of the application. Members of another application are refused.
    pub app: Arc<str>,
    /// Address of the sender.
    pub from: Address,
    /// Incarnation of the sender.
    pub from_incarnation: u64,
    /// Number that ties a reply to its request.
    pub seq: u64,
    /// The content.
    pub body: Body,
}

impl Message {
    /// Whether the message answers a request.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        match self.body {
            Body::Ping { .. } | Body::PingReq { .. } | Body::Join { .. } | Body::Sync(_) => false,
            Body::Ack { .. }
            | Body::PingReqAck { .. }
            | Body::JoinAck { .. }
            | Body::SyncAck { .. }
            | Body::Refused { .. } => true,
        }
    }
}

/// The kinds of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Direct probe; answered by [`Body::Ack`].
    Ping {
        /// Membership checksum of the sender.
        checksum: u64,
        /// Piggybacked changes.
        changes: Vec<Change>,
    },
    /// Answer to a ping.
    Ack {
        /// Membership checksum of the sender.
        checksum: u64,
        /// Piggybacked changes.
        changes: Vec<Change>,
    },
    /// Asks the receiver to ping `target`; answered by [`Body::PingReqAck`].
    PingReq {
        /// The member to ping.
        target: Address,
        /// Membership checksum of the sender.
        checksum: u64,
        /// Piggybacked changes.
        changes: Vec<Change>,
    },
    /// Reports whether the target of a ping-req answered.
    PingReqAck {
        /// The member that was pinged.
        target: Address,
        /// Whether it answered.
        reached: bool,
        /// Whether it may still answer: another answer under the same number
        /// follows.
        pending: bool,
        /// Piggybacked changes.
        changes: Vec<Change>,
    },
    /// Asks for one page of the membership; answered by [`Body::JoinAck`].
    Join {
        /// Where the page begins; `None` for the first.
        cursor: Option<Cursor>,
        /// Number that the sending process drew at its start, by which it
        /// recognises its own request when the address that it asked is one of
        /// its own; 0 when it has none.
        nonce: u64,
    },
    /// One page of the membership.
    JoinAck {
        /// Membership checksum of the sender.
        checksum: u64,
        /// The members of the page.
        changes: Vec<Change>,
        /// Where the next page begins; `None` after the last.
        next: Option<Cursor>,
    },
    /// One step of a full sync; answered by [`Body::SyncAck`].
    Sync(SyncStep),
    /// Answer to one step of a full sync.
    SyncAck {
        /// Membership checksum of the sender.
        checksum: u64,
        /// To [`SyncStep::Compare`]: the buckets that differ, ascending.
        differing: Vec<u16>,
        /// A page of the sender's members in the buckets that differ.
        changes: Vec<Change>,
        /// Where the next page begins; `None` after the last.
        next: Option<Cursor>,
    },
    /// The request was refused and changed nothing.
    Refused {
        /// The reason.
        reason: Refusal,
    },
}

impl Body {
    /// The changes that the message carries.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Ping { changes, .. }
            | Self::Ack { changes, .. }
            | Self::PingReq { changes, .. }
            | Self::PingReqAck { changes, .. }
            | Self::JoinAck { changes, .. }
            | Self::Sync(SyncStep::Exchange { changes, .. })
            | Self::SyncAck { changes, .. } => changes,
            Self::Join { .. } | Self::Sync(SyncStep::Compare { .. }) | Self::Refused { .. } => &[],
        }
    }
}

impl Body {
    /// The changes that the message carries; drops the rest.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        match self {
            Self::Ping { changes, .. }
            | Self::Ack { changes, .. }
            | Self::PingReq { changes, .. }
            | Self::PingReqAck { changes, .. }
            | Self::JoinAck { changes, .. }
            | Self::Sync(SyncStep::Exchange { changes, .. })
            | Self::SyncAck { changes, .. } => changes,
            Self::Join { .. } | Self::Sync(SyncStep::Compare { .. }) | Self::Refused { .. } => {
                Vec::new()
            }
        }
    }
}

/// One step of a full sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncStep {
    /// The first step: the digest of each bucket of the sender. The number of
    /// buckets is a power of two, at most [`BUCKETS_MAX`](crate::limits::BUCKETS_MAX).
    Compare {
        /// One digest for each bucket.
        digests: Vec<u64>,
    },
    /// A later step: a page of the sender's members in the buckets that
    /// differ, and a request for a page of the receiver's.
    Exchange {
        /// Number of buckets, as in the first step.
        buckets: u16,
        /// The buckets that differ, ascending.
        differing: Vec<u16>,
        /// Where the wanted page begins; `None` when the sender has them all.
        cursor: Option<Cursor>,
        /// Members of the sender.
        changes: Vec<Change>,
    },
}

/// A position in the membership of the member that gave it: the next page
/// begins after `after` in bucket `bucket` of `buckets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Number of buckets that the positions refer to.
    pub buckets: u16,
    /// The bucket in which the page begins.
    pub bucket: u16,
    /// The last member of that bucket that was sent; `None` when none was.
    pub after: Option<Address>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The receiver belongs to another application.
    AppMismatch,
    /// The receiver has not joined yet.
    NotReady,
    /// The sender claims the address of the receiver.
    SelfAddress,
    /// The receiver serves as many requests of this kind as it allows.
    Busy,
    /// A field is malformed or out of bounds.
    Invalid,
    /// The incarnation of the sender, which is the time at which it started, is
    /// too far ahead of the receiver's clock.
    ClockAhead,
}

impl Refusal {
    /// The meaning of the refusal, as a clause.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AppMismatch => "it belongs to another application",
            Self::NotReady => "it has not joined yet",
            Self::SelfAddress => "another process there advertises the address of this member",
            Self::Busy => "it is busy",
            Self::Invalid => "it found the request malformed",
            Self::ClockAhead => {
                "this member's clock is more than 139 years ahead of its own; one of them is wrong"
            }
        }
    }
}

/// What gossip says about one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The member as the change describes it.
    pub member: Member,
    /// The member that made the change; `None` when unknown. A change is not sent
    /// back to its source.
    pub source: Option<Source>,
}

/// The member that made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Address of the member.
    pub address: Address,
    /// Its incarnation when it made the change.
    pub incarnation: u64,
}

impl Change {
    /// Exact number of bytes that the change takes within a message of the
    /// [`wire`] encoding, its own tag and length included.
    ///
    /// [`wire`]: https://protobuf.dev/programming-guides/encoding/
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let content = self.content_len();
        1 + varint_len(content as u64) + content
    }

    pub(crate) fn content_len(&self) -> usize {
        let member = &self.member;
        let source = self
            .source
            .as_ref()
            .map_or(0, |source| text_len(source.address.as_str()) + number_len(source.incarnation));
        let labels: usize = member
            .labels
            .iter()
            .map(|(key, value)| {
                let pair = text_len(key) + text_len(value);
                1 + varint_len(pair as u64) + pair
            })
            .sum();
        text_len(member.address.as_str()) + 2 + number_len(member.incarnation) + source + labels
    }
}

/// Bytes of a protobuf text field with a one-byte tag; absent when empty.
pub(crate) fn text_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { 1 + varint_len(text.len() as u64) + text.len() }
}

/// Bytes of a protobuf number field with a one-byte tag; absent when 0.
pub(crate) const fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_len(value) }
}

/// Bytes of a protobuf varint: 7 bits each.
pub(crate) const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

impl Status {
    /// The number of the status in the wire encoding.
    pub(crate) const fn code(self) -> u8 {
        self as u8 + 1
    }
}
