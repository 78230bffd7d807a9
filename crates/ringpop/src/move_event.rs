//! What becomes of planned moves, as listeners are told.

use std::fmt;

use swim_core::{Address, Member, Status};

use crate::weight::{NextWeight, weight_of};

/// A step of a planned move, as this member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MoveEvent {
    /// The member that joins, leaves or changes its weight.
    pub mover: Address,
    /// The weight that it plans to have; 0 takes it off the ring.
    pub weight: u32,
    /// What happened.
    pub step: MoveStep,
}

/// What happened to a planned move.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveStep {
    /// The mover tells its plan. The ring is as it was.
    Announced,
    /// This member has done its part: it gave what it had of the keys that move, or is ready for
    /// what it gets. Told where there is a hook.
    HandedOff,
    /// This member could not hand over everything, or not in time. The ring changes all the same.
    HandOffFailed {
        /// Why.
        reason: String,
    },
    /// The ring has changed.
    Switched,
    /// The move is over, and the ring did not change by it.
    GivenUp {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for MoveStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announced => f.write_str("is announced"),
            Self::HandedOff => f.write_str("has handed over its state here"),
            Self::HandOffFailed { reason } => write!(f, "could not hand over its state: {reason}"),
            Self::Switched => f.write_str("has taken effect"),
            Self::GivenUp { reason } => write!(f, "was given up: {reason}"),
        }
    }
}

impl MoveEvent {
    /// What a change of a member means for its planned move. `is_switched` tells whether the agreed
    /// instant has come here.
    pub(crate) fn of(
        before: Option<&Member>,
        after: Option<&Member>,
        is_switched: bool,
    ) -> Option<Self> {
        let plan = |member| reachable(member).and_then(|member| NextWeight::of(&member.labels));
        let mover = after.or(before)?.address.clone();
        let (old, new) = (plan(before), plan(after));
        let weight = new.or(old)?.weight;
        let step = match (old, new) {
            (old, Some(new)) if old.is_none_or(|old| old.weight != new.weight) => {
                MoveStep::Announced
            }
            (Some(_), None) if is_switched => return None,
            (Some(old), None) => Self::end(old.weight, reachable(after), after),
            _ => return None,
        };
        Some(Self { mover, weight, step })
    }

    /// The end of a plan whose instant never came here.
    fn end(planned: u32, reachable: Option<&Member>, after: Option<&Member>) -> MoveStep {
        let has_left = after.is_some_and(|member| member.status == Status::Leave);
        let weight = reachable.map_or(0, |member| weight_of(&member.labels, false));
        match reachable {
            None if !has_left => {
                MoveStep::GivenUp { reason: "the member that planned it is gone".to_owned() }
            }
            _ if weight == planned => MoveStep::Switched,
            _ => MoveStep::GivenUp { reason: "the member that planned it took it back".to_owned() },
        }
    }
}

fn reachable(member: Option<&Member>) -> Option<&Member> {
    member.filter(|member| member.is_reachable())
}

#[cfg(test)]
mod tests {
    use swim_core::Labels;

    use super::*;
    use crate::limits::{NEXT_WEIGHT_LABEL, WEIGHT_LABEL};

    fn member(status: Status, weight: &str, next: Option<&str>) -> Member {
        let address = Address::new("10.0.0.1:7100").unwrap();
        let labels = [(WEIGHT_LABEL, weight)].into_iter();
        let labels = Labels::new(labels.chain(next.map(|next| (NEXT_WEIGHT_LABEL, next)))).unwrap();
        Member::new(address, status, 1, labels)
    }

    fn step(
        before: Option<&Member>,
        after: Option<&Member>,
        is_switched: bool,
    ) -> Option<MoveStep> {
        MoveEvent::of(before, after, is_switched).map(|event| event.step)
    }

    #[test]
    fn a_plan_is_announced_once_and_ends_once() {
        let alive = |weight, next| member(Status::Alive, weight, next);
        let (none, planned) = (alive("1", None), alive("1", Some("3")));
        let (agreed, settled) = (alive("1", Some("3@5")), alive("3", None));
        assert_eq!(step(Some(&none), Some(&planned), false), Some(MoveStep::Announced));
        assert_eq!(step(None, Some(&planned), false), Some(MoveStep::Announced), "it just joined");
        assert_eq!(step(Some(&planned), Some(&agreed), false), None);
        assert_eq!(step(Some(&agreed), Some(&settled), true), None, "told at the instant");
        assert_eq!(step(Some(&planned), Some(&settled), false), Some(MoveStep::Switched));
        assert_eq!(step(Some(&none), Some(&settled), false), None, "nobody planned it");
        let other = alive("1", Some("7"));
        assert_eq!(step(Some(&planned), Some(&other), false), Some(MoveStep::Announced));
        let taken_back = step(Some(&planned), Some(&none), false).unwrap().to_string();
        assert!(taken_back.contains("took it back"), "{taken_back}");
    }

    #[test]
    fn a_leave_is_the_end_of_its_plan_and_a_crash_gives_any_plan_up() {
        let planned = member(Status::Alive, "1", Some("0"));
        let left = member(Status::Leave, "1", Some("0"));
        assert_eq!(step(Some(&planned), Some(&left), true), None);
        assert_eq!(step(Some(&planned), Some(&left), false), Some(MoveStep::Switched));
        let suspect = member(Status::Suspect, "1", Some("0"));
        assert_eq!(step(Some(&planned), Some(&suspect), false), None);
        let dead = member(Status::Faulty, "1", Some("0"));
        for after in [Some(&dead), None] {
            let end = step(Some(&suspect), after, false).unwrap().to_string();
            assert!(end.contains("is gone"), "{end}");
        }
        let grows = member(Status::Alive, "1", Some("3"));
        let left = member(Status::Leave, "1", Some("3"));
        assert!(matches!(step(Some(&grows), Some(&left), false), Some(MoveStep::GivenUp { .. })));
    }
}
