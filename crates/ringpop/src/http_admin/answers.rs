//! Answers as JSON. Every field is always there; `null` stands for none. Checksums are text of 16
//! hexadecimal digits: a number in JavaScript has 53 bits.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use swim_core::wire::{self, pb};

use crate::generated as proto;
use crate::generated::setting::Value;
use crate::limits::ZONE_LABEL;

mod events;
mod hot_keys;

pub(super) use self::events::Event;
pub(super) use self::hot_keys::HotKeys;

/// A value as the body of an answer.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

fn checksum(sum: u64) -> String {
    format!("{sum:016x}")
}

/// `None` for the empty text, which stands for it in protobuf.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn labels(labels: Vec<pb::Label>) -> BTreeMap<String, String> {
    labels.into_iter().map(|label| (label.key, label.value)).collect()
}

/// `None` for a status that has no name here, as `unknown` members have before a change.
fn status_name(status: i32) -> Option<&'static str> {
    wire::status(status).map(swim_core::Status::as_str)
}

#[derive(Debug, Serialize)]
pub(super) struct Status {
    app: String,
    address: String,
    state: String,
    isolation: String,
    instance: String,
    uptime_ms: u64,
    membership_checksum: String,
    ring_checksum: String,
    placement: String,
    gossip_stopped: bool,
    problems: Vec<String>,
}

impl From<proto::GetStatusResponse> for Status {
    fn from(told: proto::GetStatusResponse) -> Self {
        Self {
            app: told.app,
            address: told.address,
            state: told.state,
            isolation: told.isolation,
            instance: checksum(told.instance),
            uptime_ms: told.uptime_ms,
            membership_checksum: checksum(told.membership_checksum),
            ring_checksum: checksum(told.ring_checksum),
            placement: told.placement,
            gossip_stopped: told.gossip_stopped,
            problems: told.problems,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Stats {
    uptime_ms: u64,
    counters: BTreeMap<String, u64>,
}

impl Stats {
    /// Those whose names begin with `prefix`.
    pub(super) fn of(told: proto::GetStatusResponse, prefix: &str) -> Self {
        let counters = told.counters.into_iter().filter(|counter| counter.name.starts_with(prefix));
        let counters = counters.map(|counter| (counter.name, counter.value)).collect();
        Self { uptime_ms: told.uptime_ms, counters }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Members {
    membership_checksum: String,
    members: Vec<Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    address: String,
    identity: String,
    status: &'static str,
    incarnation: u64,
    weight: u32,
    zone: Option<String>,
    labels: BTreeMap<String, String>,
    points: u32,
    share: f64,
    /// Why it owns no keys.
    off_ring: Option<String>,
    /// The step of its slow start, such as 2/5.
    warming: Option<String>,
    damped: bool,
    identity_owner: Option<String>,
    since_ms: u64,
    source: Option<String>,
    cause: Option<String>,
    from: Option<String>,
    suspicion: Option<Suspicion>,
}

#[derive(Debug, Serialize)]
struct Suspicion {
    accusers: Vec<String>,
    since_ms: u64,
    remaining_ms: u64,
}

impl From<proto::GetMembersResponse> for Members {
    fn from(told: proto::GetMembersResponse) -> Self {
        Self {
            membership_checksum: checksum(told.membership_checksum),
            members: told.members.into_iter().map(Member::from).collect(),
        }
    }
}

impl From<proto::MemberStatus> for Member {
    fn from(told: proto::MemberStatus) -> Self {
        let off_ring = off_ring(&told);
        let labels = labels(told.labels);
        Self {
            status: status_name(told.status).unwrap_or("unknown"),
            address: told.address,
            identity: told.identity,
            incarnation: told.incarnation,
            weight: told.weight,
            zone: labels.get(ZONE_LABEL).cloned(),
            labels,
            points: told.points,
            share: told.share,
            off_ring,
            warming: some(told.warming),
            damped: told.damped,
            identity_owner: some(told.identity_owner),
            since_ms: told.since_ms,
            source: some(told.source),
            cause: some(told.cause),
            from: some(told.from),
            suspicion: told.suspicion.map(|suspicion| Suspicion {
                accusers: suspicion.accusers,
                since_ms: suspicion.since_ms,
                remaining_ms: suspicion.remaining_ms,
            }),
        }
    }
}

/// Why a member that is reachable is kept off the ring.
pub(super) fn withdrawn(off: &proto::OffRing) -> String {
    match off.reason.as_str() {
        "evicted" => format!("an operator evicted it by way of {}", off.by),
        "draining" => "it is drained".to_owned(),
        "unhealthy" => "its health check fails".to_owned(),
        reason => reason.to_owned(),
    }
}

/// Why a member owns no keys; `None` for one that does.
fn off_ring(member: &proto::MemberStatus) -> Option<String> {
    if member.share > 0.0 {
        return None;
    }
    if let Some(off) = &member.off_ring {
        return Some(withdrawn(off));
    }
    Some(match member.status() {
        pb::Status::Faulty => "it is faulty".to_owned(),
        pb::Status::Leave => "it has left".to_owned(),
        pb::Status::Tombstone => "it is about to be forgotten".to_owned(),
        _ if member.damped => "it fails and comes back too often".to_owned(),
        _ if !member.identity_owner.is_empty() => {
            format!("{} has the same identity", member.identity_owner)
        }
        _ if member.weight == 0 => "its weight is 0".to_owned(),
        _ => "it has not been reached yet".to_owned(),
    })
}

#[derive(Debug, Serialize)]
pub(super) struct Ring {
    ring_checksum: String,
    placement: String,
    members: Vec<RingShare>,
    zones: Vec<Zone>,
}

#[derive(Debug, Serialize)]
struct RingShare {
    address: String,
    identity: String,
    zone: Option<String>,
    weight: u32,
    points: u32,
    share: f64,
}

#[derive(Debug, Serialize)]
struct Zone {
    zone: Option<String>,
    members: usize,
    share: f64,
}

impl From<proto::GetRingResponse> for Ring {
    fn from(told: proto::GetRingResponse) -> Self {
        let mut zones = BTreeMap::<_, (usize, f64)>::new();
        for member in &told.members {
            let (members, share) = zones.entry(member.zone.clone()).or_default();
            *members += 1;
            *share += member.share;
        }
        let zone = |(zone, (members, share))| Zone { zone: some(zone), members, share };
        let member = |member: proto::RingShare| RingShare {
            address: member.address,
            identity: member.identity,
            zone: some(member.zone),
            weight: member.weight,
            points: member.points,
            share: member.share,
        };
        Self {
            ring_checksum: checksum(told.ring_checksum),
            placement: told.placement,
            members: told.members.into_iter().map(member).collect(),
            zones: zones.into_iter().map(zone).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Lookup {
    key: String,
    ring_checksum: String,
    owners: Vec<String>,
}

impl Lookup {
    pub(super) fn of(key: String, told: proto::LookupResponse) -> Self {
        Self { key, ring_checksum: checksum(told.ring_checksum), owners: told.owners }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Checksums {
    /// Whether all that answered have one view.
    agree: bool,
    age_ms: u64,
    groups: Vec<ChecksumGroup>,
    unreached: Vec<Unreached>,
}

#[derive(Debug, Serialize)]
struct ChecksumGroup {
    membership_checksum: String,
    ring_checksum: String,
    members: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Unreached {
    address: String,
    reason: String,
}

impl From<proto::CompareChecksumsResponse> for Checksums {
    fn from(told: proto::CompareChecksumsResponse) -> Self {
        let group = |group: proto::ChecksumGroup| ChecksumGroup {
            membership_checksum: checksum(group.membership_checksum),
            ring_checksum: checksum(group.ring_checksum),
            members: group.addresses,
        };
        let unreached =
            |member: proto::Unreached| Unreached { address: member.address, reason: member.reason };
        Self {
            agree: told.groups.len() == 1,
            age_ms: told.age_ms,
            groups: told.groups.into_iter().map(group).collect(),
            unreached: told.unreached.into_iter().map(unreached).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Destinations {
    destinations: Vec<Destination>,
    latency: Vec<LatencyBucket>,
}

#[derive(Debug, Serialize)]
struct Destination {
    address: String,
    state: String,
    circuit_open: bool,
    cause: Option<String>,
    connections: u32,
    in_flight: u32,
}

#[derive(Debug, Serialize)]
struct LatencyBucket {
    up_to_us: Option<u64>,
    count: u64,
}

impl From<proto::GetDestinationsResponse> for Destinations {
    fn from(told: proto::GetDestinationsResponse) -> Self {
        let destination = |told: proto::Destination| Destination {
            address: told.address,
            state: told.state,
            circuit_open: told.circuit_open,
            cause: some(told.cause),
            connections: told.connections,
            in_flight: told.in_flight,
        };
        let bucket = |bucket: proto::LatencyBucket| LatencyBucket {
            up_to_us: Some(bucket.up_to_us).filter(|bound| *bound > 0),
            count: bucket.count,
        };
        Self {
            destinations: told.destinations.into_iter().map(destination).collect(),
            latency: told.latency.into_iter().map(bucket).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Config {
    settings: Vec<Setting>,
}

/// One of the three values is there.
#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    flag: Option<bool>,
    number: Option<u64>,
    micros: Option<u64>,
}

impl From<proto::GetConfigResponse> for Config {
    fn from(told: proto::GetConfigResponse) -> Self {
        let setting = |proto::Setting { name, value }| {
            let (mut flag, mut number, mut micros) = (None, None, None);
            match value {
                Some(Value::Flag(value)) => flag = Some(value),
                Some(Value::Number(value)) => number = Some(value),
                Some(Value::Micros(value)) => micros = Some(value),
                None => {}
            }
            Setting { name, flag, number, micros }
        };
        Self { settings: told.settings.into_iter().map(setting).collect() }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct LogLevel {
    directives: String,
}

impl From<proto::GetLogLevelResponse> for LogLevel {
    fn from(told: proto::GetLogLevelResponse) -> Self {
        Self { directives: told.directives }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Access {
    commands: bool,
    reason: Option<String>,
    /// Whether the processes of the cluster can be started and stopped here.
    controller: bool,
}

impl Access {
    pub(super) fn of(told: proto::CheckAccessResponse, controller: bool) -> Self {
        Self { commands: told.allowed, reason: some(told.reason), controller }
    }

    pub(super) fn refused(reason: &str) -> Self {
        Self { commands: false, reason: Some(reason.to_owned()), controller: false }
    }

    /// Of a listener whose cluster has no member that answers.
    pub(super) fn to_controller() -> Self {
        Self { commands: false, reason: Some("no member answers".to_owned()), controller: true }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Propagation {
    samples: u32,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    predicted_p50_us: Option<u64>,
    predicted_p99_us: Option<u64>,
    sent: u64,
    received: u64,
    implausible: u64,
}

impl From<proto::GetPropagationResponse> for Propagation {
    fn from(told: proto::GetPropagationResponse) -> Self {
        let measured = |time| (told.samples > 0).then_some(time);
        let predicted = |time| Some(time).filter(|time| *time > 0);
        Self {
            samples: told.samples,
            p50_us: measured(told.p50_us),
            p99_us: measured(told.p99_us),
            predicted_p50_us: predicted(told.predicted_p50_us),
            predicted_p99_us: predicted(told.predicted_p99_us),
            sent: told.sent,
            received: told.received,
            implausible: told.implausible,
        }
    }
}
