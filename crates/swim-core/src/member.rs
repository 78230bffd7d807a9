//! Members, their statuses, and which of two changes about a member wins.

use std::cmp::Ordering;
use std::fmt;

use crate::address::Address;
use crate::labels::{IDENTITY_LABEL, Labels};

/// What the cluster believes about a member. The order is Ringpop's
/// precedence: at equal incarnation the greater status wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Answers probes.
    Alive,
    /// Did not answer a probe; has until a deadline to refute.
    Suspect,
    /// Did not refute in time, or evicted itself.
    Faulty,
    /// Left of its own accord.
    Leave,
    /// About to be removed. Tombstones are gossiped so that all members remove it.
    Tombstone,
}

impl Status {
    /// All statuses in order of precedence.
    pub const ALL: [Self; 5] =
        [Self::Alive, Self::Suspect, Self::Faulty, Self::Leave, Self::Tombstone];

    /// Whether a member with this status is probed and belongs on the ring:
    /// alive or suspect.
    #[must_use]
    pub const fn is_reachable(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }

    /// The lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Faulty => "faulty",
            Self::Leave => "leave",
            Self::Tombstone => "tombstone",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A member, as one change describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The address at which it is reached.
    pub address: Address,
    /// The belief of the cluster about it.
    pub status: Status,
    /// Version of the member. Only the member itself raises it.
    pub incarnation: u64,
    /// Its own description of itself.
    pub labels: Labels,
}

impl Member {
    /// A member from its parts.
    #[must_use]
    pub const fn new(address: Address, status: Status, incarnation: u64, labels: Labels) -> Self {
        Self { address, status, incarnation, labels }
    }

    /// The stable name that places the member on the ring: the identity label,
    /// or the address when there is none.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.labels.get(IDENTITY_LABEL).unwrap_or(self.address.as_str())
    }

    /// Whether the member is probed and belongs on the ring.
    #[must_use]
    pub const fn is_reachable(&self) -> bool {
        self.status.is_reachable()
    }

    /// The part that decides between two changes about a member before the labels
    /// do.
    pub(crate) const fn rank(&self) -> (u64, Status) {
        (self.incarnation, self.status)
    }

    /// Whether this version replaces the `known` one of the same member.
    ///
    /// The rule of `shouldProcessGossip` in ringpop-go: a tombstone of an
    /// unknown member is ignored, a higher incarnation always wins, at equal
    /// incarnation the higher status does, and at equal status the greater
    /// labels: all members settle on the same ones. The rule is a strict total
    /// order on changes, hence the order in which they arrive does not matter.
    #[must_use]
    pub fn overrides(&self, known: Option<&Self>) -> bool {
        self.overrides_by(Labels::cmp, known)
    }

    /// [`overrides`](Self::overrides) with another order of labels.
    pub(crate) fn overrides_by(
        &self,
        compare_labels: impl FnOnce(&Labels, &Labels) -> Ordering,
        known: Option<&Self>,
    ) -> bool {
        known.map_or(self.status != Status::Tombstone, |known| {
            self.rank().cmp(&known.rank()).then_with(|| compare_labels(&self.labels, &known.labels))
                == Ordering::Greater
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Status::*;
    use super::*;

    fn member(status: Status, incarnation: u64) -> Member {
        Member::new(Address::new("a:1").unwrap(), status, incarnation, Labels::default())
    }

    #[test]
    fn an_unknown_member_is_taken_unless_it_is_a_tombstone() {
        for status in [Alive, Suspect, Faulty, Leave] {
            assert!(member(status, 1).overrides(None), "{status}");
        }
        assert!(!member(Tombstone, 1).overrides(None));
    }

    /// The table of ringpop-go: known status down, gossiped status across, at
    /// equal incarnation.
    #[test]
    fn at_equal_incarnation_the_higher_status_wins() {
        let table = [
            (Alive, [false, true, true, true, true]),
            (Suspect, [false, false, true, true, true]),
            (Faulty, [false, false, false, true, true]),
            (Leave, [false, false, false, false, true]),
            (Tombstone, [false, false, false, false, false]),
        ];
        for (known, row) in table {
            for (status, expected) in Status::ALL.into_iter().zip(row) {
                let accepted = member(status, 5).overrides(Some(&member(known, 5)));
                assert_eq!(accepted, expected, "known {known}, gossip {status}");
            }
        }
    }

    #[test]
    fn incarnation_goes_before_status() {
        for known in Status::ALL {
            for status in Status::ALL {
                assert!(member(status, 6).overrides(Some(&member(known, 5))));
                assert!(!member(status, 4).overrides(Some(&member(known, 5))));
            }
        }
    }

    #[test]
    fn at_equal_status_the_greater_labels_win() {
        let small = Labels::new([("a", "1")]).unwrap();
        let great = Labels::new([("a", "2")]).unwrap();
        let with = |labels: &Labels| Member { labels: labels.clone(), ..member(Alive, 5) };
        assert!(with(&great).overrides(Some(&with(&small))));
        assert!(!with(&small).overrides(Some(&with(&great))));
        assert!(!with(&small).overrides(Some(&with(&small))));
        assert!(with(&small).overrides(Some(&member(Alive, 5))));
    }

    #[test]
    fn identity_is_the_label_or_the_address() {
        let mut one = member(Alive, 1);
        assert_eq!(one.identity(), "a:1");
        one.labels = Labels::new([(IDENTITY_LABEL, "worker-3")]).unwrap();
        assert_eq!(one.identity(), "worker-3");
    }
}
