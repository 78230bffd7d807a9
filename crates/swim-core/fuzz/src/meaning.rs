//! What the numbers of an operation stand for.

use std::time::Duration;

use swim_core::limits::INCARNATION_AHEAD_MAX;
use swim_core::{
    Address, Body, Change, Coalescing, Config, Cursor, Damping, IDENTITY_LABEL, Labels, Member,
    Node, Refusal, Source, Status, SyncStep, VOTES_LABEL,
};

use super::ops::{Buckets, ForgedChange, ForgedChanges, Position, Span, Speech, Version};

/// Addresses that exist; the first ones are those of the members.
const ADDRESSES: u8 = 8;

/// Wall clock at the start, in milliseconds since the Unix epoch.
pub(super) const UNIX_MS: u64 = 1_700_000_000_000;

/// More than a wall clock can be off: 255 hours.
const OFF_MAX_MS: u64 = 11 * 24 * 3_600_000;

pub(super) fn config(which: u8) -> Config {
    let small = Config::local().to_builder().message_bytes_max(512);
    match which % 4 {
        0 => Ok(Config::lan()),
        1 => Ok(Config::ringpop()),
        // As little of everything as can be.
        2 => small
            .ping_req_helpers(0)
            .inconclusive_probes_max(0)
            .probes_max(1)
            .piggyback_factor(1)
            .join_size(1)
            .join_parallelism(1)
            .sync_jobs_max(1)
            .leave_pings_max(0)
            .heal_failures_max(1)
            .members_max(2)
            .build(),
        // What only some want.
        _ => small
            .late_acks(true)
            .second_path(true)
            .faulty_accusers_min(2)
            .suspect_confirmations(1)
            .members_max(5)
            .damping(Some(Damping { penalty: 5000, quorum: 2, ..Damping::DEFAULT }))
            .coalescing(Some(Coalescing::DEFAULT))
            .build(),
    }
    .expect("all values are within their bounds")
}

pub(super) fn address(i: u8) -> Address {
    let text = format!("10.0.0.{}:7946", i % ADDRESSES);
    text.parse().expect("this is an address")
}

/// The addresses whose bit is set.
pub(super) fn addresses(bits: u8) -> Vec<Address> {
    (0..ADDRESSES).filter(|i| bits & (1 << i) != 0).map(address).collect()
}

pub(super) fn length(span: Span) -> Duration {
    match span {
        Span::Milliseconds(n) => Duration::from_millis(n.into()),
        Span::Twentieths(n) => Duration::from_millis(50 * u64::from(n)),
        Span::Seconds(n) => Duration::from_secs(n.into()),
        Span::Hours(n) => Duration::from_secs(3600 * u64::from(n)),
    }
}

pub(super) fn incarnation(node: &Node, about: &Address, version: Version) -> u64 {
    // Bounds break at their neighbours: from 4 below to 3 above.
    let near = |value: u64, delta: i8| value.saturating_add_signed(i64::from(delta >> 5));
    match version {
        Version::Known(delta) => {
            let known = node.member(about).map_or(UNIX_MS, |member| member.incarnation);
            near(known, delta)
        }
        Version::Bound(delta) => near(UNIX_MS + INCARNATION_AHEAD_MAX - OFF_MAX_MS, delta),
        Version::Any(incarnation) => incarnation,
    }
}

pub(super) fn labels(which: u8) -> Labels {
    let long = "x".repeat(200);
    match which % 8 {
        3 => Labels::new([(VOTES_LABEL, "10.0.0.1:7946 10.0.0.2:7946 10.0.0.7:7946 ")]),
        4 => Labels::new([("a", "1")]),
        // Just within the limits of the configuration.
        5 => Labels::new([("a", &long[..128])]),
        // Beyond the limits of the configuration.
        6 => Labels::new([("a", &*long)]),
        7 => Labels::new([(IDENTITY_LABEL, "another")]),
        _ => Ok(Labels::default()),
    }
    .expect("within the limits that always hold")
}

pub(super) fn speech(node: &Node, speech: &Speech) -> Body {
    let checksum = node.checksum();
    match speech {
        Speech::Ping { off, changes } => {
            // Mostly the right checksum, so that a sync is no matter of course.
            let checksum = checksum.wrapping_add(u64::from(off / 64));
            Body::Ping { checksum, changes: forged_changes(node, changes) }
        }
        Speech::Ack { changes } => Body::Ack { checksum, changes: forged_changes(node, changes) },
        Speech::PingReq { target, changes } => {
            let changes = forged_changes(node, changes);
            Body::PingReq { target: address(*target), checksum, changes }
        }
        &Speech::PingReqAck { target, reached, pending, ref changes } => {
            let changes = forged_changes(node, changes);
            Body::PingReqAck { target: address(target), reached, pending, changes }
        }
        Speech::Join { cursor } => Body::Join { cursor: cursor.map(position), nonce: 0 },
        Speech::JoinAck { changes, next } => {
            let changes = forged_changes(node, changes);
            Body::JoinAck { checksum, changes, next: next.map(position) }
        }
        Speech::Compare { buckets: which } => {
            Body::Sync(SyncStep::Compare { digests: vec![0; buckets(*which).into()] })
        }
        Speech::Exchange { buckets: which, differing, cursor, changes } => {
            Body::Sync(SyncStep::Exchange {
                buckets: buckets(*which),
                differing: numbers(differing),
                cursor: cursor.map(position),
                changes: forged_changes(node, changes),
            })
        }
        Speech::SyncAck { differing, changes, next } => {
            let (differing, changes) = (numbers(differing), forged_changes(node, changes));
            Body::SyncAck { checksum, differing, changes, next: next.map(position) }
        }
        Speech::Refused { reason } => Body::Refused { reason: refusal(*reason) },
    }
}

fn forged_changes(node: &Node, forged: &ForgedChanges) -> Vec<Change> {
    let change = |forged: &ForgedChange| {
        let about = address(forged.about);
        let status = Status::ALL[usize::from(forged.status) % Status::ALL.len()];
        let incarnation = incarnation(node, &about, forged.incarnation);
        let source = forged.source.map(|i| Source { address: address(i), incarnation: UNIX_MS });
        Change { member: Member::new(about, status, incarnation, labels(forged.labels)), source }
    };
    forged.iter().flatten().map(change).collect()
}

/// Numbers of buckets, right and wrong ones.
fn buckets(which: u8) -> u16 {
    [1, 2, 4, 128, 0, 3, 129, 256][usize::from(which) % 8]
}

fn numbers(buckets: &Buckets) -> Vec<u16> {
    buckets.iter().flatten().map(|bucket| u16::from(*bucket)).collect()
}

fn position(position: Position) -> Cursor {
    Cursor {
        buckets: buckets(position.buckets),
        bucket: position.bucket.into(),
        after: position.after.map(address),
    }
}

fn refusal(which: u8) -> Refusal {
    let all = [
        Refusal::AppMismatch,
        Refusal::NotReady,
        Refusal::SelfAddress,
        Refusal::Busy,
        Refusal::Invalid,
    ];
    all[usize::from(which) % all.len()]
}
