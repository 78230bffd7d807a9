//! When each member got the status that this one sees, and by whom: operators ask for it, the
//! protocol does not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swim_core::{Address, Cause, Member};
use tokio::time::Instant;

/// The change that gave a member its status.
#[derive(Debug, Clone)]
pub(crate) struct StatusChange {
    pub(crate) at: Instant,
    /// The member that made it, when that is known.
    pub(crate) source: Option<Address>,
    pub(crate) cause: Cause,
}

/// The last change of status of each member in the list.
#[derive(Debug, Default)]
pub(crate) struct StatusChanges(Mutex<HashMap<Address, StatusChange>>);

impl StatusChanges {
    fn lock(&self) -> MutexGuard<'_, HashMap<Address, StatusChange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a change. One that leaves the status as it was, such as a change of labels,
    /// does not count.
    pub(crate) fn note(
        &self,
        before: Option<&Member>,
        after: Option<&Member>,
        source: Option<&Address>,
        cause: &Cause,
    ) {
        let Some(member) = after else {
            if let Some(gone) = before {
                self.lock().remove(&gone.address);
            }
            return;
        };
        if before.is_none_or(|before| before.status != member.status) {
            let change =
                StatusChange { at: Instant::now(), source: source.cloned(), cause: cause.clone() };
            self.lock().insert(member.address.clone(), change);
        }
    }

    pub(crate) fn get(&self, address: &Address) -> Option<StatusChange> {
        self.lock().get(address).cloned()
    }
}

/// The name of a cause, and the member that passed the change on, where one did.
pub(crate) const fn named(cause: &Cause) -> (&'static str, Option<&Address>) {
    match cause {
        Cause::Command => ("command", None),
        Cause::Gossip { from } => ("gossip", Some(from)),
        Cause::Join { from } => ("join", Some(from)),
        Cause::Sync { from } => ("sync", Some(from)),
        Cause::Heal { from } => ("heal", Some(from)),
        Cause::Probe => ("probe", None),
        Cause::Timeout => ("timeout", None),
        Cause::Contact => ("contact", None),
        _ => ("other", None),
    }
}

#[cfg(test)]
mod tests {
    use swim_core::{Labels, Status};

    use super::*;

    fn member(status: Status, incarnation: u64) -> Member {
        let address = Address::new("10.0.0.1:7100").unwrap();
        Member::new(address, status, incarnation, Labels::default())
    }

    #[test]
    fn only_a_change_of_status_counts_and_a_forgotten_member_takes_no_room() {
        let changes = StatusChanges::default();
        let (alive, later) = (member(Status::Alive, 1), member(Status::Alive, 2));
        let from = Address::new("10.0.0.2:7100").unwrap();
        let gossip = Cause::Gossip { from: from.clone() };
        changes.note(None, Some(&alive), Some(&alive.address), &gossip);
        changes.note(Some(&alive), Some(&later), None, &Cause::Probe);
        let known = changes.get(&alive.address).unwrap();
        assert_eq!((known.source.as_ref(), &known.cause), (Some(&alive.address), &gossip));
        assert_eq!(named(&known.cause), ("gossip", Some(&from)));
        let suspect = member(Status::Suspect, 2);
        changes.note(Some(&later), Some(&suspect), None, &Cause::Probe);
        assert_eq!(changes.get(&alive.address).unwrap().cause, Cause::Probe);
        changes.note(Some(&suspect), None, None, &Cause::Timeout);
        assert!(changes.lock().is_empty());
    }
}
