//! Where a member stands with the ring. Commands that change it report it afterwards: a member may
//! be off the ring for several reasons, and a command ends one of them at most.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use ringpop::admin_client::{MemberStatus, OffRing, Status};
use ringpop::limits::DRAINING_LABEL;
use serde::Serialize;

use crate::admin::Admin;
use crate::failure::Failure;
use crate::limits::SHOWN_UNIX_MS_MAX;
use crate::output::printable;

/// How much a member owns, and what speaks against it.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    /// Fraction of the keys that it owns, 0 to 1.
    share: f64,
    /// Why it is off the ring, or would be if another member could take its keys.
    off_ring: Vec<Reason>,
    /// Whether another member owns keys.
    #[serde(skip)]
    others_own: bool,
}

/// Why a member is off the ring.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
enum Reason {
    Left,
    Faulty,
    Tombstone,
    Evicted {
        by: String,
        until_unix_ms: u64,
    },
    Draining,
    Unhealthy,
    Damped,
    /// Another member has the same identity and owns its keys.
    IdentityShared {
        owner: String,
    },
    WeightZero,
    /// The member that was asked gives none, or one that is unknown here. A member whose keys are
    /// handed over to it first has none.
    Unknown,
}

impl Standing {
    /// That of the member that is asked.
    pub(super) async fn of_asked(admin: &Admin) -> Result<Self, Failure> {
        Self::find(admin, None).await
    }

    /// That of any member, as the one that is asked sees it.
    pub(super) async fn of(admin: &Admin, address: &str) -> Result<Self, Failure> {
        Self::find(admin, Some(address)).await
    }

    async fn find(admin: &Admin, address: Option<&str>) -> Result<Self, Failure> {
        let unknown = |reason: &dyn fmt::Display| {
            Failure::Failed(format!(
                "{} took the command, but does not tell what came of it ({reason}): see `ringpop status`",
                admin.address()
            ))
        };
        let status = admin.status().await.map_err(|failure| unknown(&failure))?;
        let address = address.unwrap_or(&status.address);
        let standing = Self::new(&status.members, address);
        standing.ok_or_else(|| unknown(&format!("it knows no member {}", printable(address))))
    }

    fn new(members: &[MemberStatus], address: &str) -> Option<Self> {
        let member = members.iter().find(|member| member.address == address)?;
        let owns = |other: &MemberStatus| other.address != address && other.share > 0.0;
        let mut off_ring = reasons(member);
        if off_ring.is_empty() && member.share <= 0.0 {
            off_ring.push(Reason::Unknown);
        }
        Some(Self { share: member.share, off_ring, others_own: members.iter().any(owns) })
    }

    /// Whether it owns keys, and nothing speaks against it.
    pub(super) fn is_on_ring(&self) -> bool {
        self.owns_keys() && self.off_ring.is_empty()
    }

    pub(super) fn owns_keys(&self) -> bool {
        self.share > 0.0
    }

    /// The keys that a member keeps which should be off the ring, to follow its name.
    pub(super) fn kept(&self) -> String {
        let percent = self.share * 100.0;
        let why = if self.others_own { "" } else { ", since no other member is on the ring" };
        format!("it keeps {percent:.1} % of the keys{why}")
    }

    /// The standing of a member that a command should have put back.
    pub(super) fn remaining(&self) -> String {
        match self.owns_keys() {
            true if self.off_ring.is_empty() => "it owns keys".to_owned(),
            true => format!("{}, although {}", self.kept(), told(&self.off_ring)),
            false => format!("it is still off the ring: {}", told(&self.off_ring)),
        }
    }

    /// What keeps it off the ring beside an eviction.
    pub(super) fn beside_eviction(&self) -> Option<String> {
        self.beside(|reason| matches!(reason, Reason::Evicted { .. }))
    }

    /// What keeps it off the ring beside a drain.
    pub(super) fn beside_drain(&self) -> Option<String> {
        self.beside(|reason| *reason == Reason::Draining)
    }

    fn beside(&self, is_it: impl Fn(&Reason) -> bool) -> Option<String> {
        let others: Vec<_> = self.off_ring.iter().filter(|reason| !is_it(reason)).collect();
        (!others.is_empty()).then(|| told(others))
    }
}

fn told<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> String {
    let reasons: Vec<_> = reasons.into_iter().map(ToString::to_string).collect();
    reasons.join(", and ")
}

fn reasons(member: &MemberStatus) -> Vec<Reason> {
    let off = member.off_ring.as_ref().map(reason);
    // A member tells one reason; an eviction comes before a drain.
    let is_draining = member.labels.iter().any(|label| label.key == DRAINING_LABEL);
    let is_draining = is_draining && off != Some(Reason::Draining);
    let owner = Some(&member.identity_owner).filter(|owner| !owner.is_empty());
    let status = match member.status() {
        Status::Leave => Some(Reason::Left),
        Status::Faulty => Some(Reason::Faulty),
        Status::Tombstone => Some(Reason::Tombstone),
        _ => None,
    };
    let all = [
        status,
        off,
        is_draining.then_some(Reason::Draining),
        member.damped.then_some(Reason::Damped),
        owner.map(|owner| Reason::IdentityShared { owner: owner.clone() }),
        (member.weight == 0).then_some(Reason::WeightZero),
    ];
    all.into_iter().flatten().collect()
}

fn reason(off: &OffRing) -> Reason {
    match off.reason.as_str() {
        "evicted" => Reason::Evicted { by: off.by.clone(), until_unix_ms: off.until_unix_ms },
        "draining" => Reason::Draining,
        "unhealthy" => Reason::Unhealthy,
        _ => Reason::Unknown,
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("it has left (`ringpop join` brings it back)"),
            Self::Faulty => f.write_str("it is faulty"),
            Self::Tombstone => f.write_str("it is about to be forgotten"),
            Self::Evicted { by, until_unix_ms } => {
                let until = Duration::from_millis((*until_unix_ms).min(SHOWN_UNIX_MS_MAX));
                let until = humantime::format_rfc3339_seconds(UNIX_EPOCH + until);
                let by = printable(by);
                write!(f, "it is evicted by {by} until {until} (`ringpop evict --undo` ends that)")
            }
            Self::Draining => f.write_str("it is drained (`ringpop drain --undo` ends that)"),
            Self::Unhealthy => f.write_str("its health check fails"),
            Self::Damped => f.write_str("it fails and comes back too often"),
            Self::IdentityShared { owner } => {
                write!(f, "{} has the same identity", printable(owner))
            }
            Self::WeightZero => f.write_str("its weight is 0 (`ringpop weight` changes it)"),
            Self::Unknown => f.write_str("its keys are not there yet (see `ringpop status`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use ringpop::admin_client::Label;

    use super::*;

    fn member(address: &str, share: f64) -> MemberStatus {
        let mut member = MemberStatus {
            address: address.to_owned(),
            share,
            weight: 1,
            ..MemberStatus::default()
        };
        member.set_status(Status::Alive);
        member
    }

    fn remaining(member: MemberStatus, others: f64) -> String {
        let address = member.address.clone();
        let members = [member, self::member("b:1", others)];
        Standing::new(&members, &address).unwrap().remaining()
    }

    #[test]
    fn all_that_keeps_a_member_off_the_ring_is_told() {
        assert_eq!(remaining(member("a:1", 0.5), 0.5), "it owns keys");
        let mut off = member("a:1", 0.0);
        assert_eq!(
            remaining(off.clone(), 1.0),
            "it is still off the ring: its keys are not there yet (see `ringpop status`)"
        );
        off.weight = 0;
        off.labels = vec![Label { key: DRAINING_LABEL.to_owned(), value: "1".to_owned() }];
        off.off_ring = Some(OffRing {
            reason: "evicted".to_owned(),
            by: "b:1".to_owned(),
            until_unix_ms: u64::MAX,
        });
        assert_eq!(
            remaining(off.clone(), 1.0),
            "it is still off the ring: it is evicted by b:1 until 9999-12-31T23:59:59Z \
             (`ringpop evict --undo` ends that), and it is drained (`ringpop drain --undo` ends \
             that), and its weight is 0 (`ringpop weight` changes it)"
        );
        let json = serde_json::to_value(Standing::new(&[off], "a:1").unwrap()).unwrap();
        assert_eq!(json["off_ring"][0]["reason"], "evicted");
        assert_eq!(json["off_ring"][2]["reason"], "weight_zero");
    }

    #[test]
    fn a_member_that_nobody_can_replace_keeps_its_keys() {
        let mut last = member("a:1", 1.0);
        last.set_status(Status::Leave);
        assert_eq!(
            remaining(last, 0.0),
            "it keeps 100.0 % of the keys, since no other member is on the ring, although it has \
             left (`ringpop join` brings it back)"
        );
    }
}
