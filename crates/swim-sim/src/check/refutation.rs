//! Nobody refutes for another: no change carries an incarnation that its
//! subject never had.
//!
//! Source: SWIM, section 4.2: only a member itself can raise its incarnation.
//! (memberlist and Cassandra had bugs of this kind, where a peer "corrected"
//! an incarnation.)

use std::sync::Arc;

use swim_core::{Address, Change, Message, Node};

use super::{Check, Transition, Verdict, require};
use crate::machine::{HostId, Names};

#[derive(Debug)]
pub(super) struct Refutation {
    names: Arc<Names>,
    /// Highest incarnation that any process on each host ever had.
    issued: Vec<u64>,
}

impl Refutation {
    pub(super) fn new(names: Arc<Names>) -> Self {
        Self { issued: vec![0; names.len()], names }
    }

    fn check(&self, address: &Address, incarnation: u64) -> Verdict {
        let issued = self.names.host(address).map_or(0, |host| self.issued[host as usize]);
        require(incarnation <= issued, address, || {
            format!("incarnation {incarnation} is spread, but it never went beyond {issued}")
        })
    }
}

impl Check for Refutation {
    fn name(&self) -> &'static str {
        "nobody refutes for another"
    }

    fn started(&mut self, host: HostId, node: &Node) {
        let issued = &mut self.issued[host as usize];
        *issued = (*issued).max(node.local().incarnation);
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let Some(after) = transition.after else { return Ok(()) };
        if self.names.host(&after.address) == Some(transition.observer) {
            let issued = &mut self.issued[transition.observer as usize];
            *issued = (*issued).max(after.incarnation);
        }
        self.check(&after.address, after.incarnation)
    }

    fn sent(&mut self, from: HostId, message: &Message) -> Verdict {
        let issued = &mut self.issued[from as usize];
        *issued = (*issued).max(message.from_incarnation);
        for Change { member, .. } in message.body.changes() {
            self.check(&member.address, member.incarnation)?;
        }
        Ok(())
    }
}
