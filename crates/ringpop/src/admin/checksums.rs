//! The checksums of all members, asked of each: whether they have one view.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use swim_core::{Address, Status as MemberStatus};
use tokio::time::Instant;

use super::comparing::{Answer, Compared};
use super::members::millis;
use crate::generated as proto;
use crate::inner::Inner;
use crate::limits::{CHECKSUMS_AT_ONCE_MAX, CHECKSUMS_INTERVAL, CHECKSUMS_LIMIT};

pub(crate) fn own(inner: &Inner) -> proto::GetChecksumsResponse {
    inner.views.with(|view| proto::GetChecksumsResponse {
        membership_checksum: view.membership_checksum,
        ring_checksum: view.ring_checksum,
    })
}

/// Compares the checksums of all members that may live. Asked again within
/// [`CHECKSUMS_INTERVAL`], it gives what it found.
pub(super) async fn compare(inner: &Inner) -> proto::CompareChecksumsResponse {
    let mut latest = inner.admin.comparing.latest.lock().await;
    let compared = match latest.take().filter(|it| it.at.elapsed() < CHECKSUMS_INTERVAL) {
        Some(compared) => compared,
        None => ask_all(inner).await,
    };
    let Compared { at, groups, unreached } = latest.insert(compared).clone();
    proto::CompareChecksumsResponse { groups, unreached, age_ms: millis(at.elapsed()) }
}

/// The other members, those that answer most likely first: nobody waits for a few that are gone.
fn others(inner: &Inner) -> Vec<Address> {
    let of = |statuses: &'static [MemberStatus]| {
        let view = inner.views.load();
        let wanted = |member: &&swim_core::Member| {
            statuses.contains(&member.status) && member.address != inner.address
        };
        view.members.iter().filter(wanted).map(|it| it.address.clone()).collect::<Vec<_>>()
    };
    let mut others = of(&[MemberStatus::Alive, MemberStatus::Suspect]);
    others.extend(of(&[MemberStatus::Faulty]));
    others
}

async fn ask_all(inner: &Inner) -> Compared {
    let deadline = Instant::now() + CHECKSUMS_LIMIT;
    let ask = |address: Address| async move {
        let answer = inner.admin.comparing.ask(&address, deadline).await;
        (address, answer)
    };
    let answers = stream::iter(others(inner)).map(ask).buffer_unordered(CHECKSUMS_AT_ONCE_MAX);
    let mut answers: Vec<(Address, Answer)> = answers.collect().await;
    answers.push((inner.address.clone(), Ok(own(inner))));
    let (groups, unreached) = grouped(answers);
    Compared { at: Instant::now(), groups, unreached }
}

fn grouped(
    mut answers: Vec<(Address, Answer)>,
) -> (Vec<proto::ChecksumGroup>, Vec<proto::Unreached>) {
    answers.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let mut groups = BTreeMap::<u64, proto::ChecksumGroup>::new();
    let mut unreached = Vec::new();
    for (address, answer) in answers {
        let address = address.to_string();
        match answer {
            Ok(told) => {
                let group = groups.entry(told.membership_checksum).or_insert_with(|| {
                    let proto::GetChecksumsResponse { membership_checksum, ring_checksum } = told;
                    let addresses = Vec::new();
                    proto::ChecksumGroup { membership_checksum, ring_checksum, addresses }
                });
                group.addresses.push(address);
            }
            Err(reason) => unreached.push(proto::Unreached { address, reason }),
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.addresses.len()));
    (groups, unreached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_group_comes_first_and_silence_is_told() {
        let answer = |port: u16, told: Result<u64, &str>| {
            let address = Address::new(&format!("10.0.0.1:{port}")).unwrap();
            let told = told.map_err(str::to_owned);
            let told = told.map(|membership_checksum| proto::GetChecksumsResponse {
                membership_checksum,
                ring_checksum: membership_checksum + 1,
            });
            (address, told)
        };
        let answers =
            vec![answer(3, Ok(9)), answer(1, Ok(7)), answer(4, Err("gone")), answer(2, Ok(9))];
        let (groups, unreached) = grouped(answers);
        let group = |sum, ports: &[u16]| proto::ChecksumGroup {
            membership_checksum: sum,
            ring_checksum: sum + 1,
            addresses: ports.iter().map(|port| format!("10.0.0.1:{port}")).collect(),
        };
        assert_eq!(groups, [group(9, &[2, 3]), group(7, &[1])]);
        assert_eq!(unreached.len(), 1);
        assert_eq!((&*unreached[0].address, &*unreached[0].reason), ("10.0.0.1:4", "gone"));
    }
}
