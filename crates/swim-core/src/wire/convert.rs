//! Between the machine's types and the generated ones.

use super::{DecodeError, Decoded, pb};
use crate::address::Address;
use crate::labels::Labels;
use crate::limits::{APP_BYTES_MAX, BUCKETS_MAX};
use crate::member::{Member, Status};
use crate::message::{Body, Change, Cursor, Message, Refusal, Source, SyncStep};
use pb::message::Body as Proto;

impl From<Message> for pb::Message {
    fn from(message: Message) -> Self {
        let Message { app, from, from_incarnation, seq, body } = message;
        Self {
            app: app.to_string(),
            from: from.to_string(),
            from_incarnation,
            seq,
            body: Some(body.into()),
        }
    }
}

impl From<Body> for Proto {
    fn from(body: Body) -> Self {
        match body {
            Body::Ping { checksum, changes } => {
                Self::Ping(pb::Ping { checksum, changes: list(changes) })
            }
            Body::Ack { checksum, changes } => {
                Self::Ack(pb::Ack { checksum, changes: list(changes) })
            }
            Body::PingReq { target, checksum, changes } => Self::PingReq(pb::PingReq {
                target: target.to_string(),
                checksum,
                changes: list(changes),
            }),
            Body::PingReqAck { target, reached, pending, changes } => {
                Self::PingReqAck(pb::PingReqAck {
                    target: target.to_string(),
                    reached,
                    pending,
                    changes: list(changes),
                })
            }
            Body::Join { cursor, nonce } => {
                Self::Join(pb::Join { cursor: cursor.map(Into::into), nonce })
            }
            Body::JoinAck { checksum, changes, next } => Self::JoinAck(pb::JoinAck {
                checksum,
                changes: list(changes),
                next: next.map(Into::into),
            }),
            Body::Sync(step) => Self::Sync(step.into()),
            Body::SyncAck { checksum, differing, changes, next } => Self::SyncAck(pb::SyncAck {
                checksum,
                differing: list(differing),
                changes: list(changes),
                next: next.map(Into::into),
            }),
            Body::Refused { reason } => {
                Self::Refused(pb::Refused { reason: pb::Refusal::from(reason).into() })
            }
        }
    }
}

impl From<SyncStep> for pb::Sync {
    fn from(step: SyncStep) -> Self {
        match step {
            SyncStep::Compare { digests } => Self {
                buckets: u32::try_from(digests.len()).unwrap_or(u32::MAX),
                digests,
                ..Self::default()
            },
            SyncStep::Exchange { buckets, differing, cursor, changes } => Self {
                buckets: buckets.into(),
                digests: Vec::new(),
                differing: list(differing),
                cursor: cursor.map(Into::into),
                changes: list(changes),
            },
        }
    }
}

impl From<Cursor> for pb::Cursor {
    fn from(cursor: Cursor) -> Self {
        Self {
            buckets: cursor.buckets.into(),
            bucket: cursor.bucket.into(),
            after: cursor.after.map(|after| after.to_string()).unwrap_or_default(),
        }
    }
}

impl From<Change> for pb::Change {
    fn from(change: Change) -> Self {
        let Member { address, status, incarnation, labels } = change.member;
        let (source, source_incarnation) = change
            .source
            .map(|source| (source.address.to_string(), source.incarnation))
            .unwrap_or_default();
        Self {
            address: address.to_string(),
            status: pb::Status::from(status).into(),
            incarnation,
            source,
            source_incarnation,
            labels: labels
                .iter()
                .map(|(key, value)| pb::Label { key: key.into(), value: value.into() })
                .collect(),
        }
    }
}

impl From<Status> for pb::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Alive => Self::Alive,
            Status::Suspect => Self::Suspect,
            Status::Faulty => Self::Faulty,
            Status::Leave => Self::Leave,
            Status::Tombstone => Self::Tombstone,
        }
    }
}

impl From<Refusal> for pb::Refusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::AppMismatch => Self::AppMismatch,
            Refusal::NotReady => Self::NotReady,
            Refusal::SelfAddress => Self::SelfAddress,
            Refusal::Busy => Self::Busy,
            Refusal::Invalid => Self::Invalid,
            Refusal::ClockAhead => Self::ClockAhead,
        }
    }
}

fn list<T, U: From<T>>(items: Vec<T>) -> Vec<U> {
    items.into_iter().map(U::from).collect()
}

impl TryFrom<pb::Message> for Decoded {
    type Error = DecodeError;

    fn try_from(message: pb::Message) -> Result<Self, DecodeError> {
        let pb::Message { app, from, from_incarnation, seq, body } = message;
        if app.is_empty() || app.len() > APP_BYTES_MAX {
            return Err(DecodeError::App { bytes: app.len() });
        }
        let mut reader = Reader::default();
        let body = reader.body(body.ok_or(DecodeError::Body)?)?;
        let from = address("from", &from)?;
        let message = Message { app: app.into(), from, from_incarnation, seq, body };
        Ok(Self { message, dropped_changes: reader.dropped_changes })
    }
}

/// Reads a body and counts the changes that it drops.
#[derive(Default)]
struct Reader {
    dropped_changes: usize,
}

impl Reader {
    fn body(&mut self, body: Proto) -> Result<Body, DecodeError> {
        Ok(match body {
            Proto::Ping(pb::Ping { checksum, changes }) => {
                Body::Ping { checksum, changes: self.changes(changes) }
            }
            Proto::Ack(pb::Ack { checksum, changes }) => {
                Body::Ack { checksum, changes: self.changes(changes) }
            }
            Proto::PingReq(pb::PingReq { target, checksum, changes }) => Body::PingReq {
                target: address("target", &target)?,
                checksum,
                changes: self.changes(changes),
            },
            Proto::PingReqAck(pb::PingReqAck { target, reached, pending, changes }) => {
                Body::PingReqAck {
                    target: address("target", &target)?,
                    reached,
                    pending,
                    changes: self.changes(changes),
                }
            }
            Proto::Join(pb::Join { cursor: at, nonce }) => {
                Body::Join { cursor: cursor(at)?, nonce }
            }
            Proto::JoinAck(pb::JoinAck { checksum, changes, next }) => {
                Body::JoinAck { checksum, changes: self.changes(changes), next: cursor(next)? }
            }
            Proto::Sync(step) => Body::Sync(self.step(step)?),
            Proto::SyncAck(pb::SyncAck { checksum, differing, changes, next }) => Body::SyncAck {
                checksum,
                differing: buckets("differing", differing)?,
                changes: self.changes(changes),
                next: cursor(next)?,
            },
            Proto::Refused(pb::Refused { reason }) => Body::Refused { reason: refusal(reason) },
        })
    }

    fn step(&mut self, step: pb::Sync) -> Result<SyncStep, DecodeError> {
        let pb::Sync { buckets: count, digests, differing, cursor: at, changes } = step;
        if digests.len() > BUCKETS_MAX {
            return Err(DecodeError::Buckets { field: "digests" });
        }
        if !digests.is_empty() {
            return Ok(SyncStep::Compare { digests });
        }
        Ok(SyncStep::Exchange {
            buckets: bucket("buckets", count)?,
            differing: buckets("differing", differing)?,
            cursor: cursor(at)?,
            changes: self.changes(changes),
        })
    }

    fn changes(&mut self, changes: Vec<pb::Change>) -> Vec<Change> {
        let total = changes.len();
        let read: Vec<Change> = changes.into_iter().filter_map(change).collect();
        self.dropped_changes += total - read.len();
        read
    }
}

/// `None` when the change cannot be read: a status of a later version, an
/// address that is none, labels beyond every limit.
fn change(change: pb::Change) -> Option<Change> {
    let pb::Change { address, status, incarnation, source, source_incarnation, labels } = change;
    let status = self::status(status)?;
    let labels = Labels::new(labels.into_iter().map(|label| (label.key, label.value))).ok()?;
    let source = if source.is_empty() {
        None
    } else {
        Some(Source { address: Address::new(&source).ok()?, incarnation: source_incarnation })
    };
    let member = Member::new(Address::new(&address).ok()?, status, incarnation, labels);
    Some(Change { member, source })
}

/// The status that a number stands for in messages; `None` for one of a later version.
#[must_use]
pub fn status(code: i32) -> Option<Status> {
    match pb::Status::try_from(code).ok()? {
        pb::Status::Unspecified => None,
        pb::Status::Alive => Some(Status::Alive),
        pb::Status::Suspect => Some(Status::Suspect),
        pb::Status::Faulty => Some(Status::Faulty),
        pb::Status::Leave => Some(Status::Leave),
        pb::Status::Tombstone => Some(Status::Tombstone),
    }
}

pub(super) fn refusal(reason: i32) -> Refusal {
    match pb::Refusal::try_from(reason) {
        Ok(pb::Refusal::AppMismatch) => Refusal::AppMismatch,
        Ok(pb::Refusal::NotReady) => Refusal::NotReady,
        Ok(pb::Refusal::SelfAddress) => Refusal::SelfAddress,
        Ok(pb::Refusal::Busy) => Refusal::Busy,
        Ok(pb::Refusal::ClockAhead) => Refusal::ClockAhead,
        // A reason of a later version is a refusal all the same.
        Ok(pb::Refusal::Invalid | pb::Refusal::Unspecified) | Err(_) => Refusal::Invalid,
    }
}

fn address(field: &'static str, text: &str) -> Result<Address, DecodeError> {
    Address::new(text).map_err(|error| DecodeError::Address { field, error })
}

fn cursor(cursor: Option<pb::Cursor>) -> Result<Option<Cursor>, DecodeError> {
    let Some(pb::Cursor { buckets, bucket: at, after }) = cursor else {
        return Ok(None);
    };
    let after = if after.is_empty() { None } else { Some(address("cursor.after", &after)?) };
    Ok(Some(Cursor {
        buckets: bucket("cursor.buckets", buckets)?,
        bucket: bucket("cursor.bucket", at)?,
        after,
    }))
}

pub(super) fn bucket_number(field: &'static str, number: u64) -> Result<u16, DecodeError> {
    match u16::try_from(number) {
        Ok(number) if usize::from(number) <= BUCKETS_MAX => Ok(number),
        _ => Err(DecodeError::Buckets { field }),
    }
}

fn bucket(field: &'static str, number: u32) -> Result<u16, DecodeError> {
    bucket_number(field, number.into())
}

fn buckets(field: &'static str, numbers: Vec<u32>) -> Result<Vec<u16>, DecodeError> {
    if numbers.len() > BUCKETS_MAX {
        return Err(DecodeError::Buckets { field });
    }
    numbers.into_iter().map(|number| bucket(field, number)).collect()
}
