//! The field numbers of the schema `proto/ringpop/v1/swim.proto`, by message.

pub(super) mod message {
    pub(crate) const APP: u32 = 1;
    pub(crate) const FROM: u32 = 2;
    pub(crate) const FROM_INCARNATION: u32 = 3;
    pub(crate) const SEQ: u32 = 4;
    pub(crate) const PING: u32 = 5;
    pub(crate) const ACK: u32 = 6;
    pub(crate) const PING_REQ: u32 = 7;
    pub(crate) const PING_REQ_ACK: u32 = 8;
    pub(crate) const JOIN: u32 = 9;
    pub(crate) const JOIN_ACK: u32 = 10;
    pub(crate) const SYNC: u32 = 11;
    pub(crate) const SYNC_ACK: u32 = 12;
    pub(crate) const REFUSED: u32 = 13;
}

/// The same numbers for an ack.
pub(super) mod ping {
    pub(crate) const CHECKSUM: u32 = 1;
    pub(crate) const CHANGES: u32 = 2;
}

pub(super) mod ping_req {
    pub(crate) const TARGET: u32 = 1;
    pub(crate) const CHECKSUM: u32 = 2;
    pub(crate) const CHANGES: u32 = 3;
}

pub(super) mod ping_req_ack {
    pub(crate) const TARGET: u32 = 1;
    pub(crate) const REACHED: u32 = 2;
    pub(crate) const CHANGES: u32 = 3;
    pub(crate) const PENDING: u32 = 4;
}

pub(super) mod join {
    pub(crate) const CURSOR: u32 = 1;
    pub(crate) const NONCE: u32 = 2;
}

pub(super) mod join_ack {
    pub(crate) const CHECKSUM: u32 = 1;
    pub(crate) const CHANGES: u32 = 2;
    pub(crate) const NEXT: u32 = 3;
}

pub(super) mod sync {
    pub(crate) const BUCKETS: u32 = 1;
    pub(crate) const DIGESTS: u32 = 2;
    pub(crate) const DIFFERING: u32 = 3;
    pub(crate) const CURSOR: u32 = 4;
    pub(crate) const CHANGES: u32 = 5;
}

pub(super) mod sync_ack {
    pub(crate) const CHECKSUM: u32 = 1;
    pub(crate) const DIFFERING: u32 = 2;
    pub(crate) const CHANGES: u32 = 3;
    pub(crate) const NEXT: u32 = 4;
}

pub(super) mod refused {
    pub(crate) const REASON: u32 = 1;
}

pub(super) mod cursor {
    pub(crate) const BUCKETS: u32 = 1;
    pub(crate) const BUCKET: u32 = 2;
    pub(crate) const AFTER: u32 = 3;
}

pub(super) mod change {
    pub(crate) const ADDRESS: u32 = 1;
    pub(crate) const STATUS: u32 = 2;
    pub(crate) const INCARNATION: u32 = 3;
    pub(crate) const SOURCE: u32 = 4;
    pub(crate) const SOURCE_INCARNATION: u32 = 5;
    pub(crate) const LABELS: u32 = 6;
}

pub(super) mod label {
    pub(crate) const KEY: u32 = 1;
    pub(crate) const VALUE: u32 = 2;
}
