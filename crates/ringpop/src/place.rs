//! The place of a member on the ring.
//!
//! A member is placed by its identity. In a version-aware roll ([`crate::rolls`]) it takes over the
//! place of a member that leaves, and with it exactly the keys of that one: a label says which
//! place that is, and whose it was. While the former holder is on the ring the place is still its
//! own, so that both changes may come in any order.

use std::fmt;

use swim_core::limits::UNIX_MS_MAX;
use swim_core::{Address, IDENTITY_LABEL, Labels, Member};

use crate::limits::{PLACE_LABEL, STANDBY_LABEL};

/// A place that a member took over, as its label says it: `10.0.0.1:7100 1790000000123 worker-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakenPlace {
    /// The member that held it before; the member itself when nobody did.
    pub(crate) from: Address,
    /// In milliseconds of the Unix epoch, and later than that of the former holder: two members may
    /// hand a place to and fro, and the later of both waits.
    pub(crate) stamp: u64,
    /// The name by which the holder is placed.
    pub(crate) name: String,
}

/// What a member says of its place on the ring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum OwnPlace {
    /// The place of its identity.
    #[default]
    Identity,
    /// None yet: it takes over that of the next member that leaves.
    StandsBy,
    Taken(TakenPlace),
}

impl OwnPlace {
    /// The label that says it.
    pub(crate) fn label(&self) -> Option<(String, String)> {
        match self {
            Self::Identity => None,
            Self::StandsBy => Some((STANDBY_LABEL.to_owned(), "1".to_owned())),
            Self::Taken(place) => Some((PLACE_LABEL.to_owned(), place.to_string())),
        }
    }
}

impl fmt::Display for TakenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.stamp, self.name)
    }
}

/// Address of the former holder, stamp, and name of the place; `None` also for what cannot be read.
fn taken(labels: &Labels) -> Option<(&str, u64, &str)> {
    let (from, rest) = labels.get(PLACE_LABEL)?.split_once(' ')?;
    let (stamp, name) = rest.split_once(' ')?;
    let stamp = stamp.parse().ok().filter(|stamp| *stamp <= UNIX_MS_MAX)?;
    (!from.is_empty() && !name.is_empty()).then_some((from, stamp, name))
}

/// The name by which a member is placed, when it is not its address.
pub(crate) fn given_place(member: &Member) -> Option<&str> {
    let taken = taken(&member.labels).map(|(.., name)| name);
    taken.or_else(|| member.labels.get(IDENTITY_LABEL))
}

/// The name by which a member is placed.
pub(crate) fn place_name(member: &Member) -> &str {
    given_place(member).unwrap_or(member.address.as_str())
}

/// The other member whose place a member takes over.
pub(crate) fn former_holder(member: &Member) -> Option<&str> {
    let (from, ..) = taken(&member.labels)?;
    (from != member.address.as_str()).then_some(from)
}

/// When a member took its place over; 0 for one that is placed by its identity.
pub(crate) fn place_stamp(member: &Member) -> u64 {
    taken(&member.labels).map_or(0, |(_, stamp, _)| stamp)
}

#[cfg(test)]
mod tests {
    use swim_core::Status;

    use super::*;

    fn member(labels: &[(&str, &str)]) -> Member {
        let address = Address::new("10.0.0.1:7100").unwrap();
        Member::new(address, Status::Alive, 1, Labels::new(labels.iter().copied()).unwrap())
    }

    #[test]
    fn a_taken_place_comes_before_the_identity_and_that_before_the_address() {
        assert_eq!(place_name(&member(&[])), "10.0.0.1:7100");
        let named = [(IDENTITY_LABEL, "worker-1")];
        assert_eq!(place_name(&member(&named)), "worker-1");
        let from = Address::new("10.0.0.9:7100").unwrap();
        let taken = TakenPlace { from, stamp: 7, name: "worker 9".to_owned() }.to_string();
        let member_now = member(&[(IDENTITY_LABEL, "worker-1"), (PLACE_LABEL, &taken)]);
        assert_eq!(place_name(&member_now), "worker 9");
        assert_eq!(former_holder(&member_now), Some("10.0.0.9:7100"));
        assert_eq!((place_stamp(&member_now), place_stamp(&member(&named))), (7, 0));
    }

    #[test]
    fn a_label_that_cannot_be_read_is_none_and_a_free_place_has_no_former_holder() {
        for text in [
            "",
            " ",
            "worker-9",
            "10.0.0.9:7100 5 ",
            " 5 worker-9",
            "10.0.0.9:7100 worker-9",
            "10.0.0.9:7100 -5 worker-9",
            "10.0.0.9:7100 18446744073709551615 worker-9",
        ] {
            let member = member(&[(PLACE_LABEL, text)]);
            assert_eq!(place_name(&member), "10.0.0.1:7100", "{text:?}");
            assert_eq!(former_holder(&member), None, "{text:?}");
        }
        let own = member(&[(PLACE_LABEL, "10.0.0.1:7100 5 worker-9")]);
        assert_eq!((place_name(&own), former_holder(&own)), ("worker-9", None));
    }
}
