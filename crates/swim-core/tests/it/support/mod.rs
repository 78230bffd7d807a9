//! What the tests share: a cluster to act on, and short ways to write messages and times.

mod cluster;
mod script;

use std::time::Duration;

use swim_core::{Address, Body, Config, Event, Labels, Member, Message, Status, SyncStep};

pub use cluster::Cluster;

/// The settings of most tests.
pub fn lan() -> Config {
    Config::lan()
}

pub fn address(i: usize) -> Address {
    Address::new(&format!("10.0.0.{i}:7946")).unwrap()
}

/// A message as another process would send it.
pub fn message(from: &Address, incarnation: u64, seq: u64, body: Body) -> Message {
    Message { app: "app".into(), from: from.clone(), from_incarnation: incarnation, seq, body }
}

/// A change about a member without source or labels.
pub fn change(i: usize, status: Status, incarnation: u64) -> swim_core::Change {
    swim_core::Change {
        member: Member::new(address(i), status, incarnation, Labels::default()),
        source: None,
    }
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Heals from one member and gives whom it contacted, and with how many
/// failures.
pub fn heal(cluster: &mut Cluster, i: usize, hosts: Vec<Address>) -> (Vec<Address>, usize) {
    let ended = |c: &Cluster| c.events(i).filter(|e| matches!(e, Event::HealEnded { .. })).count();
    let before = ended(cluster);
    cluster.command(i, |node, now| node.heal(now, hosts)).unwrap();
    cluster.until("healing ends", secs(60), |c| ended(c) > before);
    let last = cluster.events(i).filter_map(|event| match event {
        Event::HealEnded { contacted, failures } => Some((contacted.clone(), *failures)),
        _ => None,
    });
    last.last().unwrap()
}

/// The kind of a message, for people.
pub const fn kind(body: &Body) -> &'static str {
    match body {
        Body::Ping { .. } => "ping",
        Body::Ack { .. } => "ack",
        Body::PingReq { .. } => "ping-req",
        Body::PingReqAck { .. } => "ping-req-ack",
        Body::Join { .. } => "join",
        Body::JoinAck { .. } => "join-ack",
        Body::Sync(SyncStep::Compare { .. }) => "compare",
        Body::Sync(SyncStep::Exchange { .. }) => "exchange",
        Body::SyncAck { .. } => "sync-ack",
        Body::Refused { .. } => "refused",
    }
}
