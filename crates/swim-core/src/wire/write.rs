//! Messages to bytes, without the generated types in between.
//!
//! A datagram transport encodes a message for every probe, so that this path
//! neither copies names nor allocates more than the bytes. What it writes is
//! what the generated types write, field by field; the tests compare the two.

use super::pb;
use crate::message::{Body, Change, Cursor, Message, SyncStep, number_len, text_len, varint_len};

/// Bytes that are counted or written, so that one description of a message
/// serves for its length and its content.
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
    text(sink, 1, &message.app);
    text(sink, 2, message.from.as_str());
    number(sink, 3, message.from_incarnation);
    number(sink, 4, message.seq);
    let field = match message.body {
        Body::Ping { .. } => 5,
        Body::Ack { .. } => 6,
        Body::PingReq { .. } => 7,
        Body::PingReqAck { .. } => 8,
        Body::Join { .. } => 9,
        Body::JoinAck { .. } => 10,
        Body::Sync(_) => 11,
        Body::SyncAck { .. } => 12,
        Body::Refused { .. } => 13,
    };
    nested(sink, field, |sink| write_body(sink, &message.body));
}

fn write_body(sink: &mut dyn Sink, body: &Body) {
    match body {
        Body::Ping { checksum, changes } | Body::Ack { checksum, changes } => {
            fixed(sink, 1, *checksum);
            write_changes(sink, 2, changes);
        }
        Body::PingReq { target, checksum, changes } => {
            text(sink, 1, target.as_str());
            fixed(sink, 2, *checksum);
            write_changes(sink, 3, changes);
        }
        Body::PingReqAck { target, reached, pending, changes } => {
            text(sink, 1, target.as_str());
            number(sink, 2, u64::from(*reached));
            write_changes(sink, 3, changes);
            number(sink, 4, u64::from(*pending));
        }
        Body::Join { cursor, nonce } => {
            write_cursor(sink, 1, cursor.as_ref());
            fixed(sink, 2, *nonce);
        }
        Body::JoinAck { checksum, changes, next } => {
            fixed(sink, 1, *checksum);
            write_changes(sink, 2, changes);
            write_cursor(sink, 3, next.as_ref());
        }
        Body::Sync(SyncStep::Compare { digests }) => {
            number(sink, 1, digests.len() as u64);
            if !digests.is_empty() {
                sink.varint(2 << 3 | DELIMITED);
                sink.varint(8 * digests.len() as u64);
                digests.iter().for_each(|digest| sink.bytes(&digest.to_le_bytes()));
            }
        }
        Body::Sync(SyncStep::Exchange { buckets, differing, cursor, changes }) => {
            number(sink, 1, u64::from(*buckets));
            packed(sink, 3, differing);
            write_cursor(sink, 4, cursor.as_ref());
            write_changes(sink, 5, changes);
        }
        Body::SyncAck { checksum, differing, changes, next } => {
            fixed(sink, 1, *checksum);
            packed(sink, 2, differing);
            write_changes(sink, 3, changes);
            write_cursor(sink, 4, next.as_ref());
        }
        Body::Refused { reason } => {
            number(sink, 1, pb::Refusal::from(*reason) as u64);
        }
    }
}

fn write_changes(sink: &mut dyn Sink, field: u64, changes: &[Change]) {
    for change in changes {
        sink.varint(field << 3 | DELIMITED);
        sink.varint(change.content_len() as u64);
        let member = &change.member;
        text(sink, 1, member.address.as_str());
        number(sink, 2, u64::from(member.status.code()));
        number(sink, 3, member.incarnation);
        if let Some(source) = &change.source {
            text(sink, 4, source.address.as_str());
            number(sink, 5, source.incarnation);
        }
        for (key, value) in member.labels.iter() {
            sink.varint(6 << 3 | DELIMITED);
            sink.varint((text_len(key) + text_len(value)) as u64);
            text(sink, 1, key);
            text(sink, 2, value);
        }
    }
}

fn write_cursor(sink: &mut dyn Sink, field: u64, cursor: Option<&Cursor>) {
    let Some(Cursor { buckets, bucket, after }) = cursor else { return };
    let (buckets, bucket) = (u64::from(*buckets), u64::from(*bucket));
    let after = after.as_ref().map_or("", |after| after.as_str());
    sink.varint(field << 3 | DELIMITED);
    sink.varint((number_len(buckets) + number_len(bucket) + text_len(after)) as u64);
    number(sink, 1, buckets);
    number(sink, 2, bucket);
    text(sink, 3, after);
}

fn nested(sink: &mut impl Sink, field: u64, write: impl Fn(&mut dyn Sink)) {
    let mut length = Length(0);
    write(&mut length);
    sink.varint(field << 3 | DELIMITED);
    sink.varint(length.0 as u64);
    write(sink);
}

fn text(sink: &mut (impl Sink + ?Sized), field: u64, text: &str) {
    if !text.is_empty() {
        sink.varint(field << 3 | DELIMITED);
        sink.varint(text.len() as u64);
        sink.bytes(text.as_bytes());
    }
}

fn number(sink: &mut (impl Sink + ?Sized), field: u64, value: u64) {
    if value != 0 {
        sink.varint(field << 3 | VARINT);
        sink.varint(value);
    }
}

fn fixed(sink: &mut (impl Sink + ?Sized), field: u64, value: u64) {
    if value != 0 {
        sink.varint(field << 3 | FIXED64);
        sink.bytes(&value.to_le_bytes());
    }
}

fn packed(sink: &mut (impl Sink + ?Sized), field: u64, values: &[u16]) {
    if !values.is_empty() {
        let length: usize = values.iter().map(|value| varint_len(u64::from(*value))).sum();
        sink.varint(field << 3 | DELIMITED);
        sink.varint(length as u64);
        values.iter().for_each(|value| sink.varint(u64::from(*value)));
    }
}
