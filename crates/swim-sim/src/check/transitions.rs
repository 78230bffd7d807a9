//! Every change of status is one that the protocol has.
//!
//! Source: the override table of ringpop-go (`shouldProcessGossip`) and SWIM, section 4.2;
//! `docs/protocol.md`, *Which change wins*. Stated here once more in full: a change of the rule
//! in the machine is noticed.

use swim_core::{Cause, Member, Status};

use super::{Check, Transition, Verdict, require};

#[derive(Debug)]
pub(super) struct Transitions;

impl Check for Transitions {
    fn name(&self) -> &'static str {
        "transitions are legal"
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let Transition { before, after, cause, .. } = *transition;
        let legal = match (before, after) {
            (None, None) => false,
            (None, Some(after)) => after.status != Status::Tombstone,
            (Some(before), None) => before.status == Status::Tombstone && *cause == Cause::Timeout,
            (Some(before), Some(after)) => wins(after, before) && suits(before, after, cause),
        };
        require(legal, transition.subject(), || {
            format!("{} became {} by {cause:?}", say(before), say(after))
        })
    }
}

/// Whether a change wins over another.
fn wins(new: &Member, old: &Member) -> bool {
    if new.incarnation != old.incarnation {
        return new.incarnation > old.incarnation;
    }
    match (old.status, new.status) {
        (a, b) if a == b => new.labels > old.labels,
        (Status::Alive, _) => true,
        (Status::Suspect, b) => b != Status::Alive,
        (Status::Faulty, b) => matches!(b, Status::Leave | Status::Tombstone),
        (Status::Leave, b) => b == Status::Tombstone,
        (Status::Tombstone, _) => false,
    }
}

/// Whether a cause leads from one status to the other.
fn suits(before: &Member, after: &Member, cause: &Cause) -> bool {
    let same_incarnation = before.incarnation == after.incarnation;
    match cause {
        Cause::Probe => after.status == Status::Suspect && same_incarnation,
        Cause::Timeout => {
            let due = matches!(
                (before.status, after.status),
                (Status::Suspect, Status::Faulty)
                    | (Status::Faulty | Status::Leave, Status::Tombstone)
            );
            due && same_incarnation
        }
        _ => true,
    }
}

fn say(member: Option<&Member>) -> String {
    member.map_or_else(|| "unknown".into(), |m| format!("{}@{}", m.status, m.incarnation))
}
