//! Members as the administration service shows them.

use std::collections::BTreeMap;
use std::time::Duration;

use swim_core::wire::pb;
use swim_core::{Address, Instant, Labels, Member, Node, Status as MemberStatus};

use crate::generated as proto;
use crate::limits::{WEIGHT_LABEL, WEIGHT_MAX, ZONE_LABEL};
use crate::off_ring::OffRing;
use crate::slow_start::Step;
use crate::status_changes::{StatusChanges, named};
use crate::view::View;

/// The suspicions of members, by address.
pub(super) type Suspicions = BTreeMap<Address, proto::Suspicion>;

/// All members of a view, sorted by address.
pub(super) fn members(view: &View) -> Vec<proto::MemberStatus> {
    let shares = view.ring.shares();
    let mut on_ring = shares.iter().peekable();
    // Both are sorted by address.
    let entry = |member: &Member| {
        let share = on_ring.next_if(|share| share.node.id() == member.address.as_str());
        proto::MemberStatus {
            address: member.address.to_string(),
            identity: member.identity().to_owned(),
            status: status(member.status).into(),
            incarnation: member.incarnation,
            labels: labels(&member.labels),
            points: share.map_or(0, |share| share.points),
            share: share.map_or(0.0, |share| share.fraction),
            damped: view.damped.binary_search(&member.address).is_ok(),
            identity_owner: view
                .shared_identities
                .iter()
                .find(|shared| shared.others.binary_search(&member.address).is_ok())
                .map(|shared| shared.owner.to_string())
                .unwrap_or_default(),
            weight: weight(&member.labels),
            off_ring: view.off_ring(member.address.as_str()).map(off_ring),
            warming: warming(member),
            ..proto::MemberStatus::default()
        }
    };
    view.members.iter().map(entry).collect()
}

/// Why a member is off the ring.
pub(super) fn off_ring(off: &OffRing) -> proto::OffRing {
    let reason = off.as_str().to_owned();
    match off {
        OffRing::Evicted { by, until_unix_ms } => {
            proto::OffRing { reason, by: by.to_string(), until_unix_ms: *until_unix_ms }
        }
        _ => proto::OffRing { reason, ..proto::OffRing::default() },
    }
}

/// The step of the slow start of a member, as text.
fn warming(member: &Member) -> String {
    let step = Step::of(&member.labels).filter(|_| member.is_reachable());
    step.map(|step| step.to_string()).unwrap_or_default()
}

/// The members that own keys.
pub(super) fn ring(view: &View) -> proto::GetRingResponse {
    let owners = members(view).into_iter().filter(|member| member.share > 0.0);
    let member = |member: proto::MemberStatus| proto::RingShare {
        zone: zone(&member.labels),
        address: member.address,
        identity: member.identity,
        weight: member.weight,
        points: member.points,
        share: member.share,
    };
    proto::GetRingResponse {
        ring_checksum: view.ring_checksum,
        members: owners.map(member).collect(),
        placement: view.ring.placement().to_string(),
    }
}

/// Adds what this member remembers of each change. `age` is how long it has run.
pub(super) fn explain(
    members: &mut [proto::MemberStatus],
    changes: &StatusChanges,
    suspicions: &mut Suspicions,
    age: Duration,
) {
    for member in members {
        let Ok(address) = Address::new(&member.address) else { continue };
        member.since_ms = millis(age);
        if let Some(change) = changes.get(&address) {
            let (cause, from) = named(&change.cause);
            member.since_ms = millis(change.at.elapsed());
            member.source = change.source.map(|source| source.to_string()).unwrap_or_default();
            member.cause = cause.to_owned();
            member.from = from.map(ToString::to_string).unwrap_or_default();
        }
        member.suspicion = suspicions.remove(&address);
    }
}

/// The addresses of the members that are suspect.
pub(super) fn suspects(view: &View) -> Vec<Address> {
    let is_suspect = |member: &&Member| member.status == MemberStatus::Suspect;
    view.members.iter().filter(is_suspect).map(|member| member.address.clone()).collect()
}

/// What the machine knows of suspicions.
pub(super) fn suspicions(node: &Node, now: Instant, suspects: Vec<Address>) -> Suspicions {
    let known = |address: Address| {
        let suspicion = node.suspicion(&address)?;
        let remaining = suspicion.deadline.map_or(Duration::ZERO, |deadline| deadline - now);
        let told = proto::Suspicion {
            accusers: suspicion.accusers.iter().map(ToString::to_string).collect(),
            since_ms: millis(now - suspicion.since),
            remaining_ms: millis(remaining),
        };
        Some((address, told))
    };
    suspects.into_iter().filter_map(known).collect()
}

fn zone(labels: &[pb::Label]) -> String {
    let zone = labels.iter().find(|label| label.key == ZONE_LABEL);
    zone.map(|label| label.value.clone()).unwrap_or_default()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// As large a number as travels.
pub(super) fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn labels(labels: &Labels) -> Vec<pb::Label> {
    let label = |(key, value): (&str, &str)| pb::Label { key: key.into(), value: value.into() };
    labels.iter().map(label).collect()
}

/// As the ring reads it, before the ring caps it.
fn weight(labels: &Labels) -> u32 {
    let told = labels.get(WEIGHT_LABEL).and_then(|weight| weight.parse().ok());
    told.map_or(1, |weight: u32| weight.min(WEIGHT_MAX))
}

pub(super) const fn status(status: MemberStatus) -> pb::Status {
    match status {
        MemberStatus::Alive => pb::Status::Alive,
        MemberStatus::Suspect => pb::Status::Suspect,
        MemberStatus::Faulty => pb::Status::Faulty,
        MemberStatus::Leave => pb::Status::Leave,
        MemberStatus::Tombstone => pb::Status::Tombstone,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::view::{OnRing, Publisher, Views};

    #[test]
    fn a_damped_member_is_alive_and_owns_nothing() {
        let address = |i: u32| Address::new(&format!("10.0.0.{i}:7100")).expect("it is one");
        let member = |i| Member::new(address(i), MemberStatus::Alive, 1, Labels::default());
        let views = Views::new(address(1)).expect("nobody is within all bounds");
        let views = Arc::new(views);
        let changes = [1, 2].map(|i| (address(i), Some(member(i)))).to_vec();
        Publisher::new(Arc::clone(&views))
            .publish(changes, [address(2)].into(), 1, OnRing::Reachable)
            .expect("two members fit on a ring");
        let view = views.load();
        let told: Vec<_> = members(&view)
            .iter()
            .map(|member| (member.status(), member.share, member.damped))
            .collect();
        assert_eq!(told, [(pb::Status::Alive, 1.0, false), (pb::Status::Alive, 0.0, true)]);
        let owners: Vec<_> = ring(&view).members.into_iter().map(|member| member.address).collect();
        assert_eq!(owners, [address(1).as_str()]);
    }
}
