//! Nobody comes back without newer evidence, and no evidence is ignored.
//!
//! What a process stores is compared with the highest evidence that was
//! *delivered* to it, not with what it stored before: memberlist drops a
//! `dead` of a higher incarnation about a member that is dead already without
//! recording it, and a stale `alive` then brings the member back.

use fxhash::FxHashMap;
use swim_core::{Address, Body, Change, Event, Member, Node, State, Status, SyncStep};

use super::{Check, Transition, Verdict, require};
use crate::machine::HostId;
use crate::swim::Packet;
use crate::watch::Input;

/// A change, as it is weighed.
type Weight = (u64, Status);

#[derive(Debug, Default)]
struct Evidence {
    /// Highest incarnation at which each member was said to be gone.
    gone: FxHashMap<Address, u64>,
    /// Changes of the message that is being handled.
    present: Vec<(Address, Weight)>,
}

#[derive(Debug)]
pub(super) struct Resurrection {
    processes: Vec<Evidence>,
}

impl Resurrection {
    pub(super) fn new(hosts: usize) -> Self {
        Self { processes: (0..hosts).map(|_| Evidence::default()).collect() }
    }
}

/// Whether the changes of a message are taken for certain when it is not
/// rejected. Those that answer a join or a healing may be put aside, and so may
/// those in a late answer of a member that is gone by now: it may be of another
/// partition, whose list must not be merged before all have refuted.
fn is_taken(message: &Packet, node: &Node) -> bool {
    match &message.body {
        Body::Ping { .. } | Body::PingReq { .. } | Body::Sync(SyncStep::Exchange { .. }) => {
            !matches!(node.state(), State::Idle | State::Joining)
        }
        Body::PingReqAck { .. } | Body::SyncAck { .. } => {
            node.member(&message.from).is_some_and(Member::is_reachable)
        }
        _ => false,
    }
}

/// Whether a change will count: a tombstone of an unknown member says
/// nothing, and about itself a member knows better.
fn counts(member: &Member, is_request: bool, node: &Node) -> bool {
    let known = node.member(&member.address);
    // What puts a member on the ring may be held until the member was asked itself, and
    // so may what takes it off in a request.
    let on_ring = known.is_some_and(Member::is_reachable);
    let held = if on_ring { !member.is_reachable() && is_request } else { member.is_reachable() };
    if node.config().verify_claims() && held {
        return false;
    }
    let known = known.is_some();
    member.address != node.local().address && (known || member.status != Status::Tombstone)
}

impl Check for Resurrection {
    fn name(&self) -> &'static str {
        "nobody comes back without newer evidence"
    }

    fn started(&mut self, host: HostId, _: &Node) {
        self.processes[host as usize] = Evidence::default();
    }

    fn input(&mut self, host: HostId, input: &Input<'_, Packet>, node: &Node) -> Verdict {
        let present = &mut self.processes[host as usize].present;
        present.clear();
        if let Input::Packet(message) = input
            && is_taken(message, node)
        {
            let is_request = !message.is_reply();
            let counted = message.body.changes().iter();
            let counted = counted.filter(|one| counts(&one.member, is_request, node));
            let weigh = |Change { member, .. }: &Change| {
                (member.address.clone(), (member.incarnation, member.status))
            };
            present.extend(counted.map(weigh));
        }
        Ok(())
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let Some(after) = transition.after else { return Ok(()) };
        let was_gone = transition.before.is_none_or(|before| !before.is_reachable());
        if !was_gone || !after.is_reachable() {
            return Ok(());
        }
        let gone = &self.processes[transition.observer as usize].gone;
        let Some(evidence) = gone.get(&after.address) else { return Ok(()) };
        require(after.incarnation > *evidence, &after.address, || {
            format!("it came back at {}, but was gone at {evidence}", after.incarnation)
        })
    }

    fn event(&mut self, host: HostId, event: &Event, _: &Node) -> Verdict {
        // One change that is refused puts the whole message in doubt.
        if matches!(event, Event::Rejected { .. }) {
            self.processes[host as usize].present.clear();
        }
        Ok(())
    }

    fn settled(&mut self, host: HostId, node: &Node) -> Verdict {
        let Evidence { gone, present } = &mut self.processes[host as usize];
        for (address, weight) in present.drain(..) {
            let (incarnation, status) = weight;
            if !status.is_reachable() {
                let highest = gone.entry(address.clone()).or_default();
                *highest = (*highest).max(incarnation);
            }
            // Somebody who is forgotten stays so unless the evidence is newer
            // than the memory of it, which is not seen from here.
            let Some(known) = node.member(&address) else { continue };
            require((known.incarnation, known.status) >= weight, &address, || {
                format!(
                    "it was told {status}@{incarnation} and keeps {}@{}",
                    known.status, known.incarnation
                )
            })?;
        }
        Ok(())
    }
}
