//! Incarnations never fall.
//!
//! Source: SWIM, section 4.2: an incarnation is raised by its member alone and orders the changes
//! about it. To accept a lower one is to accept the past.

use swim_core::{Event, Node};

use super::{Check, Transition, Verdict, require};
use crate::machine::HostId;

#[derive(Debug)]
pub(super) struct Incarnation {
    /// Own incarnation of the process on each host.
    own: Vec<u64>,
}

impl Incarnation {
    pub(super) fn new(hosts: usize) -> Self {
        Self { own: vec![0; hosts] }
    }
}

impl Check for Incarnation {
    fn name(&self) -> &'static str {
        "incarnations never fall"
    }

    fn started(&mut self, host: HostId, node: &Node) {
        self.own[host as usize] = node.local().incarnation;
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let (Some(before), Some(after)) = (transition.before, transition.after) else {
            return Ok(());
        };
        require(after.incarnation >= before.incarnation, &after.address, || {
            format!("{} became {}", before.incarnation, after.incarnation)
        })
    }

    fn event(&mut self, _: HostId, event: &Event, _: &Node) -> Verdict {
        let Event::Refuted { member, incarnation, .. } = event else { return Ok(()) };
        require(*incarnation > member.incarnation, &member.address, || {
            format!("{incarnation} does not contradict {}", member.incarnation)
        })
    }

    fn settled(&mut self, host: HostId, node: &Node) -> Verdict {
        let known = &mut self.own[host as usize];
        let own = node.local().incarnation;
        let former = std::mem::replace(known, own);
        require(own >= former, &node.local().address, || {
            format!("its own fell from {former} to {own}")
        })
    }
}
