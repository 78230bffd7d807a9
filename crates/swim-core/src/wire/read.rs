//! Bytes to messages, without the generated types in between.
//!
//! Known data is not made again: names that the [`Receiver`] has are shared, and
//! changes that it would ignore are skipped. A ping from a known member about known
//! members costs no allocation.

use std::sync::Arc;

use super::convert::{bucket_number, refusal, status};
use super::{DecodeError, Decoded, MESSAGE_BYTES_MAX, tags};
use crate::address::{Address, AddressError};
use crate::labels::Labels;
use crate::limits::{APP_BYTES_MAX, BUCKETS_MAX, LABELS_MAX};
use crate::member::{Member, Status};
use crate::message::{Body, Change, Cursor, Message, Source, SyncStep};

/// The knowledge of the member that receives a message.
pub(crate) trait Receiver {
    /// Its application, when it has this name.
    fn app(&self, text: &str) -> Option<Arc<str>>;

    /// An address that it knows.
    fn address(&self, text: &str) -> Option<Address>;

    /// Whether applying this change would do nothing.
    fn would_ignore<'a>(
        &'a self,
        address: &[u8],
        rank: (u64, Status),
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> bool;
}

/// Knows nothing.
pub(super) struct KnowsNothing;

impl Receiver for KnowsNothing {
    fn app(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    fn address(&self, _: &str) -> Option<Address> {
        None
    }

    fn would_ignore<'a>(
        &'a self,
        _: &[u8],
        _: (u64, Status),
        _: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        false
    }
}

/// A message as its receiver wants it.
pub(crate) struct Read {
    pub(crate) decoded: Decoded,
    /// Changes left out because the receiver knows them.
    pub(crate) known_changes: usize,
}

pub(crate) fn read(bytes: &[u8], receiver: &impl Receiver) -> Result<Read, DecodeError> {
    check_size(bytes)?;
    let (mut app, mut from, mut from_incarnation, mut seq) = ("", "", 0, 0);
    let mut body = None;
    let mut fields = Fields(bytes);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (tags::message::APP, Value::Bytes(text)) => app = utf8(text)?,
            (tags::message::FROM, Value::Bytes(text)) => from = utf8(text)?,
            (tags::message::FROM_INCARNATION, Value::Number(number)) => from_incarnation = number,
            (tags::message::SEQ, Value::Number(number)) => seq = number,
            (tags::message::PING..=tags::message::REFUSED, Value::Bytes(content)) => {
                body = Some((field, content));
            }
            _ => {}
        }
    }
    if app.is_empty() || app.len() > APP_BYTES_MAX {
        return Err(DecodeError::App { bytes: app.len() });
    }
    let (kind, content) = body.ok_or(DecodeError::Body)?;
    // The whole lists of joins and full syncs are counted and compared.
    let skips_known = matches!(kind, tags::message::PING..=tags::message::PING_REQ_ACK);
    let mut reader = Reader { receiver, skips_known, known_changes: 0, dropped_changes: 0 };
    let body = reader.body(kind, content)?;
    let from = reader.address("from", from)?;
    let app = receiver.app(app).unwrap_or_else(|| app.into());
    let message = Message { app, from, from_incarnation, seq, body };
    let Reader { known_changes, dropped_changes, .. } = reader;
    Ok(Read { decoded: Decoded { message, dropped_changes }, known_changes })
}

fn check_size(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes: bytes.len() });
    }
    Ok(())
}

/// Reads a body and counts the changes that it left out.
struct Reader<'a, R> {
    receiver: &'a R,
    /// Whether changes that the receiver knows are left out.
    skips_known: bool,
    known_changes: usize,
    dropped_changes: usize,
}

/// The parts that bodies are made of. Each body has some of them, under numbers of its
/// own.
#[derive(Default)]
struct Parts<'a> {
    target: &'a str,
    /// The checksum of the sender, or the nonce of a join.
    fixed: u64,
    changes: Vec<Change>,
    /// The fields that are plain numbers, by field number.
    numbers: [u64; NUMBERS],
    differing: Vec<u16>,
    digests: Vec<u64>,
    cursor: Option<Cursor>,
}

/// No plain number has a field number as high as this.
const NUMBERS: usize = 5;

impl Parts<'_> {
    const fn number(&self, field: u32) -> u64 {
        self.numbers[field as usize]
    }
}

/// The field numbers of the parts of a body.
struct Layout {
    target: u32,
    fixed: u32,
    changes: u32,
    differing: u32,
    digests: u32,
    cursor: u32,
}

impl Layout {
    /// A body without parts: no field has the number 0.
    const EMPTY: Self =
        Self { target: 0, fixed: 0, changes: 0, differing: 0, digests: 0, cursor: 0 };

    /// The layout of the body with this field number in a message.
    const fn of(body: u32) -> Self {
        use super::tags::{join, join_ack, message, ping, ping_req, ping_req_ack, sync, sync_ack};

        match body {
            message::PING | message::ACK => {
                Self { fixed: ping::CHECKSUM, changes: ping::CHANGES, ..Self::EMPTY }
            }
            message::PING_REQ => Self {
                target: ping_req::TARGET,
                fixed: ping_req::CHECKSUM,
                changes: ping_req::CHANGES,
                ..Self::EMPTY
            },
            message::PING_REQ_ACK => {
                Self { target: ping_req_ack::TARGET, changes: ping_req_ack::CHANGES, ..Self::EMPTY }
            }
            message::JOIN => Self { cursor: join::CURSOR, fixed: join::NONCE, ..Self::EMPTY },
            message::JOIN_ACK => Self {
                fixed: join_ack::CHECKSUM,
                changes: join_ack::CHANGES,
                cursor: join_ack::NEXT,
                ..Self::EMPTY
            },
            message::SYNC => Self {
                digests: sync::DIGESTS,
                differing: sync::DIFFERING,
                cursor: sync::CURSOR,
                changes: sync::CHANGES,
                ..Self::EMPTY
            },
            message::SYNC_ACK => Self {
                fixed: sync_ack::CHECKSUM,
                differing: sync_ack::DIFFERING,
                changes: sync_ack::CHANGES,
                cursor: sync_ack::NEXT,
                ..Self::EMPTY
            },
            _ => Self::EMPTY,
        }
    }
}

impl<R: Receiver> Reader<'_, R> {
    fn body(&mut self, kind: u32, content: &[u8]) -> Result<Body, DecodeError> {
        use super::tags::message;

        let parts = self.parts(&Layout::of(kind), content)?;
        let number = |field| parts.number(field);
        Ok(match kind {
            message::PING => Body::Ping { checksum: parts.fixed, changes: parts.changes },
            message::ACK => Body::Ack { checksum: parts.fixed, changes: parts.changes },
            message::PING_REQ => Body::PingReq {
                target: self.address("target", parts.target)?,
                checksum: parts.fixed,
                changes: parts.changes,
            },
            message::PING_REQ_ACK => Body::PingReqAck {
                target: self.address("target", parts.target)?,
                reached: number(tags::ping_req_ack::REACHED) != 0,
                pending: number(tags::ping_req_ack::PENDING) != 0,
                changes: parts.changes,
            },
            message::JOIN => Body::Join { cursor: parts.cursor, nonce: parts.fixed },
            message::JOIN_ACK => {
                Body::JoinAck { checksum: parts.fixed, changes: parts.changes, next: parts.cursor }
            }
            message::SYNC if !parts.digests.is_empty() => {
                Body::Sync(SyncStep::Compare { digests: parts.digests })
            }
            message::SYNC => Body::Sync(SyncStep::Exchange {
                buckets: bucket_number("buckets", number(tags::sync::BUCKETS))?,
                differing: parts.differing,
                cursor: parts.cursor,
                changes: parts.changes,
            }),
            message::SYNC_ACK => Body::SyncAck {
                checksum: parts.fixed,
                differing: parts.differing,
                changes: parts.changes,
                next: parts.cursor,
            },
            _ => Body::Refused { reason: refusal(number(tags::refused::REASON) as i32) },
        })
    }

    fn parts<'b>(&mut self, layout: &Layout, content: &'b [u8]) -> Result<Parts<'b>, DecodeError> {
        let mut parts = Parts::default();
        let mut fields = Fields(content);
        while let Some((field, value)) = fields.next()? {
            match value {
                Value::Fixed(value) if field == layout.fixed => parts.fixed = value,
                Value::Fixed(value) if field == layout.digests => parts.digests.push(value),
                Value::Number(value) if field == layout.differing => {
                    parts.differing.push(bucket_number("differing", value)?);
                }
                Value::Number(value) => {
                    if let Some(number) = parts.numbers.get_mut(field as usize) {
                        *number = value;
                    }
                }
                Value::Bytes(bytes) if field == layout.target => parts.target = utf8(bytes)?,
                Value::Bytes(bytes) if field == layout.changes => {
                    if let Some(change) = self.change(bytes)? {
                        parts.changes.push(change);
                    }
                }
                Value::Bytes(bytes) if field == layout.differing => {
                    packed_buckets(bytes, &mut parts.differing)?;
                }
                Value::Bytes(bytes) if field == layout.digests => {
                    packed_digests(bytes, &mut parts.digests)?;
                }
                Value::Bytes(bytes) if field == layout.cursor => {
                    parts.cursor = Some(self.cursor(bytes)?);
                }
                _ => {}
            }
            let lists = [("differing", parts.differing.len()), ("digests", parts.digests.len())];
            if let Some((field, _)) = lists.into_iter().find(|(_, len)| *len > BUCKETS_MAX) {
                return Err(DecodeError::Buckets { field });
            }
        }
        Ok(parts)
    }

    /// `None`, and counted, when the receiver knows the change, or when it
    /// cannot be read: a status of a later version, an address that is none,
    /// labels beyond every limit.
    fn change(&mut self, bytes: &[u8]) -> Result<Option<Change>, DecodeError> {
        let encoded = EncodedChange::read(bytes)?;
        if self.skips_known && encoded.is_known_to(self.receiver) {
            self.known_changes += 1;
            return Ok(None);
        }
        let (address, source) = (utf8(encoded.address)?, utf8(encoded.source)?);
        let change = self.change_of(&encoded, address, source);
        self.dropped_changes += usize::from(change.is_none());
        Ok(change)
    }

    fn change_of(
        &self,
        encoded: &EncodedChange<'_>,
        address: &str,
        source: &str,
    ) -> Option<Change> {
        let source = match source {
            "" => None,
            text => {
                let address = self.name(text).ok()?;
                Some(Source { address, incarnation: encoded.source_incarnation })
            }
        };
        let status = encoded.status()?;
        let labels = Labels::new(encoded.labels()).ok()?;
        let member = Member::new(self.name(address).ok()?, status, encoded.incarnation, labels);
        Some(Change { member, source })
    }

    fn cursor(&self, bytes: &[u8]) -> Result<Cursor, DecodeError> {
        let (mut buckets, mut bucket, mut after) = (0, 0, "");
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (tags::cursor::BUCKETS, Value::Number(number)) => buckets = number,
                (tags::cursor::BUCKET, Value::Number(number)) => bucket = number,
                (tags::cursor::AFTER, Value::Bytes(text)) => after = utf8(text)?,
                _ => {}
            }
        }
        let after = match after {
            "" => None,
            text => Some(self.address("cursor.after", text)?),
        };
        let buckets = bucket_number("cursor.buckets", buckets)?;
        Ok(Cursor { buckets, bucket: bucket_number("cursor.bucket", bucket)?, after })
    }

    fn name(&self, text: &str) -> Result<Address, AddressError> {
        // To look a short one up takes longer than to copy it.
        let known = if Address::is_long(text) { self.receiver.address(text) } else { None };
        known.map_or_else(|| Address::new(text), Ok)
    }

    fn address(&self, field: &'static str, text: &str) -> Result<Address, DecodeError> {
        self.name(text).map_err(|error| DecodeError::Address { field, error })
    }
}

/// A change in its encoded form. Its names are not checked to be UTF-8 yet: one that
/// equals a known address needs no check.
#[derive(Default)]
struct EncodedChange<'a> {
    bytes: &'a [u8],
    address: &'a [u8],
    code: u64,
    incarnation: u64,
    source: &'a [u8],
    source_incarnation: u64,
    labels: usize,
}

impl<'a> EncodedChange<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        use super::tags::change;

        let mut encoded = Self { bytes, ..Self::default() };
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (change::ADDRESS, Value::Bytes(text)) => encoded.address = text,
                (change::STATUS, Value::Number(number)) => encoded.code = number,
                (change::INCARNATION, Value::Number(number)) => encoded.incarnation = number,
                (change::SOURCE, Value::Bytes(text)) => encoded.source = text,
                (change::SOURCE_INCARNATION, Value::Number(number)) => {
                    encoded.source_incarnation = number;
                }
                // One more than are allowed shows that there are too many.
                (change::LABELS, Value::Bytes(pair)) if encoded.labels <= LABELS_MAX => {
                    label(pair)?;
                    encoded.labels += 1;
                }
                _ => {}
            }
        }
        Ok(encoded)
    }

    /// `None` for a status of a later version.
    fn status(&self) -> Option<Status> {
        status(i32::try_from(self.code).ok()?)
    }

    /// The labels that were counted, in the order in which they lie there.
    fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut fields = Fields(self.bytes);
        let labels = std::iter::from_fn(move || {
            loop {
                if let (tags::change::LABELS, Value::Bytes(pair)) = fields.next().ok()?? {
                    return label(pair).ok();
                }
            }
        });
        labels.take(self.labels)
    }

    /// Whether the receiver would ignore this change.
    fn is_known_to(&self, receiver: &impl Receiver) -> bool {
        let Some(status) = self.status() else { return false };
        receiver.would_ignore(self.address, (self.incarnation, status), self.labels())
            && (self.source.is_empty() || Address::is_plain(self.source))
    }
}

fn label(bytes: &[u8]) -> Result<(&str, &str), DecodeError> {
    let (mut key, mut value) = ("", "");
    let mut fields = Fields(bytes);
    while let Some((field, part)) = fields.next()? {
        match (field, part) {
            (tags::label::KEY, Value::Bytes(text)) => key = utf8(text)?,
            (tags::label::VALUE, Value::Bytes(text)) => value = utf8(text)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn packed_buckets(bytes: &[u8], into: &mut Vec<u16>) -> Result<(), DecodeError> {
    let mut rest = Fields(bytes);
    while !rest.0.is_empty() {
        if into.len() > BUCKETS_MAX {
            break;
        }
        into.push(bucket_number("differing", rest.varint()?)?);
    }
    Ok(())
}

fn packed_digests(bytes: &[u8], into: &mut Vec<u64>) -> Result<(), DecodeError> {
    let (digests, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(DecodeError::Truncated);
    }
    into.extend(digests.iter().take(BUCKETS_MAX + 1).map(|digest| u64::from_le_bytes(*digest)));
    Ok(())
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(bytes).map_err(|_| DecodeError::Text)
}

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
    /// A 32-bit value; no field has one.
    Other,
}

/// The fields of a protobuf message, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_| DecodeError::Field)?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
                self.0 = rest;
                Value::Fixed(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
                let (bytes, rest) =
                    self.0.split_at_checked(length).ok_or(DecodeError::Truncated)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => {
                self.0 = self.0.get(4..).ok_or(DecodeError::Truncated)?;
                Value::Other
            }
            _ => return Err(DecodeError::Field),
        };
        Ok(Some((field, value)))
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        // Tags, lengths and most numbers take one byte.
        if let [byte @ ..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        let mut value = 0;
        for (i, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(value);
            }
        }
        Err(DecodeError::Truncated)
    }
}
