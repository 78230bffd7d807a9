//! Messages to bytes, without the generated types in between.
//!
//! A datagram transport encodes a message for every probe: this path neither copies
//! names nor allocates more than the bytes. It writes the same as the generated
//! types, field by field; the tests compare the two.

use super::{pb, tags};
use crate::message::{Body, Change, Cursor, Message, SyncStep, number_len, text_len, varint_len};

/// Counts or writes bytes: one description of a message serves for its length and
/// its content.
trait Sink {
    fn varint(&mut self, value: u64);
    fn bytes(&mut self, bytes: &[u8]);
}

/// Counts bytes.
struct Length(usize);

impl Sink for Length {
    fn varint(&mut self, value: u64) {
        self.0 += varint_len(value);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

impl Sink for Vec<u8> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const DELIMITED: u64 = 2;

pub(super) fn message_len(message: &Message) -> usize {
    let mut length = Length(0);
    write_message(&mut length, message);
    length.0
}

pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message_len(message));
    write_message(&mut bytes, message);
    bytes
}

pub(super) fn append(message: &Message, bytes: &mut Vec<u8>) {
    write_message(bytes, message);
}

fn write_message(sink: &mut impl Sink, message: &Message) {
    text(sink, tags::message::APP, &message.app);
    text(sink, tags::message::FROM, message.from.as_str());
    number(sink, tags::message::FROM_INCARNATION, message.from_incarnation);
    number(sink, tags::message::SEQ, message.seq);
    let field = match message.body {
        Body::Ping { .. } => tags::message::PING,
        Body::Ack { .. } => tags::message::ACK,
        Body::PingReq { .. } => tags::message::PING_REQ,
        Body::PingReqAck { .. } => tags::message::PING_REQ_ACK,
        Body::Join { .. } => tags::message::JOIN,
        Body::JoinAck { .. } => tags::message::JOIN_ACK,
        Body::Sync(_) => tags::message::SYNC,
        Body::SyncAck { .. } => tags::message::SYNC_ACK,
        Body::Refused { .. } => tags::message::REFUSED,
    };
    nested(sink, field, |sink| write_body(sink, &message.body));
}

fn write_body(sink: &mut dyn Sink, body: &Body) {
    use super::tags::{join, join_ack, ping, ping_req, ping_req_ack, refused, sync, sync_ack};

    match body {
        Body::Ping { checksum, changes } | Body::Ack { checksum, changes } => {
            fixed(sink, ping::CHECKSUM, *checksum);
            write_changes(sink, ping::CHANGES, changes);
        }
        Body::PingReq { target, checksum, changes } => {
            text(sink, ping_req::TARGET, target.as_str());
            fixed(sink, ping_req::CHECKSUM, *checksum);
            write_changes(sink, ping_req::CHANGES, changes);
        }
        Body::PingReqAck { target, reached, pending, changes } => {
            text(sink, ping_req_ack::TARGET, target.as_str());
            number(sink, ping_req_ack::REACHED, u64::from(*reached));
            write_changes(sink, ping_req_ack::CHANGES, changes);
            number(sink, ping_req_ack::PENDING, u64::from(*pending));
        }
        Body::Join { cursor, nonce } => {
            write_cursor(sink, join::CURSOR, cursor.as_ref());
            fixed(sink, join::NONCE, *nonce);
        }
        Body::JoinAck { checksum, changes, next } => {
            fixed(sink, join_ack::CHECKSUM, *checksum);
            write_changes(sink, join_ack::CHANGES, changes);
            write_cursor(sink, join_ack::NEXT, next.as_ref());
        }
        Body::Sync(SyncStep::Compare { digests }) => {
            number(sink, sync::BUCKETS, digests.len() as u64);
            if !digests.is_empty() {
                tag(sink, sync::DIGESTS, DELIMITED);
                sink.varint(8 * digests.len() as u64);
                digests.iter().for_each(|digest| sink.bytes(&digest.to_le_bytes()));
            }
        }
        Body::Sync(SyncStep::Exchange { buckets, differing, cursor, changes }) => {
            number(sink, sync::BUCKETS, u64::from(*buckets));
            packed(sink, sync::DIFFERING, differing);
            write_cursor(sink, sync::CURSOR, cursor.as_ref());
            write_changes(sink, sync::CHANGES, changes);
        }
        Body::SyncAck { checksum, differing, changes, next } => {
            fixed(sink, sync_ack::CHECKSUM, *checksum);
            packed(sink, sync_ack::DIFFERING, differing);
            write_changes(sink, sync_ack::CHANGES, changes);
            write_cursor(sink, sync_ack::NEXT, next.as_ref());
        }
        Body::Refused { reason } => {
            number(sink, refused::REASON, pb::Refusal::from(*reason) as u64);
        }
    }
}

fn write_changes(sink: &mut dyn Sink, field: u32, changes: &[Change]) {
    for change in changes {
        tag(sink, field, DELIMITED);
        sink.varint(change.content_len() as u64);
        let member = &change.member;
        text(sink, tags::change::ADDRESS, member.address.as_str());
        number(sink, tags::change::STATUS, u64::from(member.status.code()));
        number(sink, tags::change::INCARNATION, member.incarnation);
        if let Some(source) = &change.source {
            text(sink, tags::change::SOURCE, source.address.as_str());
            number(sink, tags::change::SOURCE_INCARNATION, source.incarnation);
        }
        for (key, value) in member.labels.iter() {
            tag(sink, tags::change::LABELS, DELIMITED);
            sink.varint((text_len(key) + text_len(value)) as u64);
            text(sink, tags::label::KEY, key);
            text(sink, tags::label::VALUE, value);
        }
    }
}

fn write_cursor(sink: &mut dyn Sink, field: u32, cursor: Option<&Cursor>) {
    let Some(Cursor { buckets, bucket, after }) = cursor else { return };
    let (buckets, bucket) = (u64::from(*buckets), u64::from(*bucket));
    let after = after.as_ref().map_or("", |after| after.as_str());
    tag(sink, field, DELIMITED);
    sink.varint((number_len(buckets) + number_len(bucket) + text_len(after)) as u64);
    number(sink, tags::cursor::BUCKETS, buckets);
    number(sink, tags::cursor::BUCKET, bucket);
    text(sink, tags::cursor::AFTER, after);
}

/// The number of a field and the type of its value.
fn tag(sink: &mut (impl Sink + ?Sized), field: u32, wire_type: u64) {
    sink.varint(u64::from(field) << 3 | wire_type);
}

fn nested(sink: &mut impl Sink, field: u32, write: impl Fn(&mut dyn Sink)) {
    let mut length = Length(0);
    write(&mut length);
    tag(sink, field, DELIMITED);
    sink.varint(length.0 as u64);
    write(sink);
}

fn text(sink: &mut (impl Sink + ?Sized), field: u32, text: &str) {
    if !text.is_empty() {
        tag(sink, field, DELIMITED);
        sink.varint(text.len() as u64);
        sink.bytes(text.as_bytes());
    }
}

fn number(sink: &mut (impl Sink + ?Sized), field: u32, value: u64) {
    if value != 0 {
        tag(sink, field, VARINT);
        sink.varint(value);
    }
}

fn fixed(sink: &mut (impl Sink + ?Sized), field: u32, value: u64) {
    if value != 0 {
        tag(sink, field, FIXED64);
        sink.bytes(&value.to_le_bytes());
    }
}

fn packed(sink: &mut (impl Sink + ?Sized), field: u32, values: &[u16]) {
    if !values.is_empty() {
        let length: usize = values.iter().map(|value| varint_len(u64::from(*value))).sum();
        tag(sink, field, DELIMITED);
        sink.varint(length as u64);
        values.iter().for_each(|value| sink.varint(u64::from(*value)));
    }
}
