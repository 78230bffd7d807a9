//! How keys are placed on members: what a member asks for.

use std::fmt;
use std::str::FromStr;

use swim_core::Labels;

use crate::limits::{PLACEMENT_LABEL, POINTS_PER_WEIGHT_UNIT, POINTS_PER_WEIGHT_UNIT_MAX};

/// The algorithm that says which member owns a key.
///
/// Each member asks for one ([`Builder::placement`](crate::Builder::placement)). Members that ask
/// for different ones still agree: all use the one that most members on the ring ask for, and of
/// several with as many votes the first in the order of this type.
/// [`MemberRing::placement`](crate::MemberRing::placement) is the one in use.
///
/// As text it is `rendezvous`, `ring:100`, `local-rendezvous:100` or `ringpop`. The number is
/// points for each unit of weight, 1 to [`POINTS_PER_WEIGHT_UNIT_MAX`]; without one it is
/// [`POINTS_PER_WEIGHT_UNIT`].
///
/// ```
/// use ringpop::PlacementChoice;
///
/// let placement: PlacementChoice = "ring:200".parse()?;
/// assert_eq!(placement, PlacementChoice::Ring { points: 200 });
/// assert_eq!(PlacementChoice::default().to_string(), "rendezvous");
/// # Ok::<(), ringpop::PlacementError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PlacementChoice {
    /// Shares are exactly those of the weights, for any number of members, and no key moves
    /// needlessly. A lookup asks each member, at about 0.8 ns: take another one from some hundred
    /// members on.
    #[default]
    Rendezvous,
    /// The classic ring. A lookup takes 15 to 30 ns for any number of members, and each member owns
    /// ranges of the circle; shares deviate by `1 / sqrt(points)`, which is 10 % for 100 points.
    Ring {
        /// Points for each unit of weight.
        points: u32,
    },
    /// The best of the points near a key on such a ring: shares deviate by a quarter as much, and a
    /// lookup takes a few times as long. There are no ranges.
    LocalRendezvous {
        /// Points for each unit of weight.
        points: u32,
    },
    /// The ring of ringpop-go and ringpop-node: FarmHash, 100 points for each unit of weight on a
    /// circle of 32 bits. For callers that compute owners as those do.
    Ringpop,
}

/// `replicaPoints` of Ringpop.
const RINGPOP_POINTS: u32 = 100;

impl PlacementChoice {
    /// Points for each unit of weight, where there are points.
    #[must_use]
    pub const fn points(&self) -> Option<u32> {
        match self {
            Self::Rendezvous => None,
            Self::Ring { points } | Self::LocalRendezvous { points } => Some(*points),
            Self::Ringpop => Some(RINGPOP_POINTS),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rendezvous => "rendezvous",
            Self::Ring { .. } => "ring",
            Self::LocalRendezvous { .. } => "local-rendezvous",
            Self::Ringpop => "ringpop",
        }
    }

    /// So many points that every single member fits on a ring, and at least one.
    pub(crate) fn check(self) -> Result<(), PlacementError> {
        match self.points() {
            Some(points) if !(1..=POINTS_PER_WEIGHT_UNIT_MAX).contains(&points) => {
                Err(PlacementError::Points { name: self.name(), value: points.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// What a member asks for by its labels, `None` when this version cannot read it. No label
    /// stands for rendezvous in every version.
    pub(crate) fn of(labels: &Labels) -> Option<Self> {
        labels.get(PLACEMENT_LABEL).map_or(Some(Self::Rendezvous), |text| text.parse().ok())
    }
}

impl fmt::Display for PlacementChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Rendezvous | Self::Ringpop => Ok(()),
            Self::Ring { points } | Self::LocalRendezvous { points } => write!(f, ":{points}"),
        }
    }
}

impl FromStr for PlacementChoice {
    type Err = PlacementError;

    fn from_str(text: &str) -> Result<Self, PlacementError> {
        let (name, points) = match text.split_once(':') {
            Some((name, points)) => (name, Some(points)),
            None => (text, None),
        };
        let with_points = |choice: fn(u32) -> Self| {
            let Some(text) = points else { return Ok(choice(POINTS_PER_WEIGHT_UNIT)) };
            // A number of digits only: the parser of the standard library takes a sign as well.
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let points = text.parse().ok().filter(|_| digits);
            let refused =
                || PlacementError::Points { name: choice(0).name(), value: text.to_owned() };
            let choice = choice(points.ok_or_else(refused)?);
            choice.check().map(|()| choice)
        };
        match (name, points) {
            ("rendezvous", None) => Ok(Self::Rendezvous),
            ("ringpop", None) => Ok(Self::Ringpop),
            ("ring", _) => with_points(|points| Self::Ring { points }),
            ("local-rendezvous", _) => with_points(|points| Self::LocalRendezvous { points }),
            _ => Err(PlacementError::Unknown { text: text.to_owned() }),
        }
    }
}

/// Why a placement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// There is no such placement.
    #[error(
        "placement {text:?} does not exist; take `rendezvous`, `ring:100`, `local-rendezvous:100` or \
         `ringpop`"
    )]
    Unknown {
        /// The text.
        text: String,
    },
    /// The number of points is none, or out of its range.
    #[error(
        "placement {name} has {value} points for each unit of weight, it must be a number from 1 to \
         {POINTS_PER_WEIGHT_UNIT_MAX}"
    )]
    Points {
        /// The placement.
        name: &'static str,
        /// The text in the place of the number.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_value_are_one_thing() {
        for (text, choice) in [
            ("rendezvous", PlacementChoice::Rendezvous),
            ("ring:1", PlacementChoice::Ring { points: 1 }),
            ("ring:8192", PlacementChoice::Ring { points: 8192 }),
            ("local-rendezvous:200", PlacementChoice::LocalRendezvous { points: 200 }),
            ("ringpop", PlacementChoice::Ringpop),
        ] {
            assert_eq!(text.parse::<PlacementChoice>(), Ok(choice));
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("ring".parse::<PlacementChoice>(), Ok(PlacementChoice::Ring { points: 100 }));
        let local = PlacementChoice::LocalRendezvous { points: 100 };
        assert_eq!("local-rendezvous".parse::<PlacementChoice>(), Ok(local));
    }

    #[test]
    fn refusals_name_the_value_and_the_bound() {
        let error = |text: &str| text.parse::<PlacementChoice>().unwrap_err().to_string();
        for text in [
            "",
            "jump",
            "Ring:100",
            "rendezvous:7",
            "ringpop:7",
            " ring:1",
            "rendezvous ",
            "rings:1",
        ] {
            assert!(error(text).contains(&format!("{text:?}")), "{}", error(text));
        }
        for points in ["0", "8193", "-1", "+5", "", "1.5", "4294967296", "100:1"] {
            let error = error(&format!("ring:{points}"));
            assert!(
                error.contains(&format!("{points} points")) && error.contains("8192"),
                "{error}"
            );
        }
    }

    /// Members of a later version may ask for what this one does not know.
    #[test]
    fn no_label_is_rendezvous_and_an_unreadable_one_is_no_vote() {
        let of = |labels: &[(&str, &str)]| {
            PlacementChoice::of(&Labels::new(labels.iter().copied()).unwrap())
        };
        assert_eq!(of(&[("zone", "a")]), Some(PlacementChoice::Rendezvous));
        assert_eq!(of(&[(PLACEMENT_LABEL, "ring:7")]), Some(PlacementChoice::Ring { points: 7 }));
        assert_eq!(of(&[(PLACEMENT_LABEL, "ring:0")]), None);
        assert_eq!(of(&[(PLACEMENT_LABEL, "maglev:65537")]), None);
    }
}
