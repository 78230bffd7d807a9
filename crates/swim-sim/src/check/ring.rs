//! The ring that an application keeps by events is the ring of the reachable
//! members.
//!
//! Source: `docs/architecture.md`, *Order of publishing*: keys are served by
//! the members that are alive or suspect, by nobody else.

use std::collections::BTreeMap;

use hashring::{Edit, Node as RingNode, Ring};
use swim_core::{Address, Member, Node};

use super::{Check, Sample, Transition, Verdict, require};
use crate::machine::HostId;
use crate::time::Nanos;

/// Points of a member of weight 1: few, because the members on the ring are compared, not their
/// shares.
const POINTS: u32 = 3;

/// The ring at each process, and edits that are still to be applied.
#[derive(Debug)]
pub(super) struct Rings {
    rings: Vec<(Ring, BTreeMap<Address, Option<RingNode>>)>,
}

impl Rings {
    pub(super) fn new(hosts: usize) -> Self {
        Self { rings: (0..hosts).map(|_| (ring_of([]), BTreeMap::new())).collect() }
    }
}

impl Check for Rings {
    fn name(&self) -> &'static str {
        "the ring has the reachable members"
    }

    fn started(&mut self, host: HostId, node: &Node) {
        self.rings[host as usize] = (ring_of(node.members()), BTreeMap::new());
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let (_, edits) = &mut self.rings[transition.observer as usize];
        let place = transition.after.filter(|after| after.is_reachable()).map(place_of);
        edits.insert(transition.subject().clone(), place);
        Ok(())
    }

    fn sampled(&mut self, _: Nanos, samples: &[Sample<'_>]) -> Verdict {
        for Sample { host, node, .. } in samples.iter().filter(|sample| sample.changed) {
            let (ring, edits) = &mut self.rings[*host as usize];
            let edits = std::mem::take(edits).into_iter().filter_map(|(address, place)| {
                let on_ring = ring.node(address.as_str()).is_some();
                match place {
                    Some(place) if on_ring => Some(Edit::replace(place)),
                    Some(place) => Some(Edit::add(place)),
                    None => on_ring.then(|| Edit::remove(address.as_str())),
                }
            });
            let edits: Vec<Edit> = edits.collect();
            if !edits.is_empty() {
                *ring = ring.apply(edits).expect("a few thousand points fit a ring");
            }
            let expected = ring_of(node.members());
            require(ring.checksum() == expected.checksum(), &node.local().address, || {
                format!(
                    "host {host} has {} nodes on its ring, {} are reachable",
                    ring.nodes().len(),
                    expected.nodes().len()
                )
            })?;
        }
        Ok(())
    }
}

fn ring_of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Ring {
    let reachable = members.into_iter().filter(|member| member.is_reachable());
    let ring = Ring::builder().points_per_weight_unit(POINTS).nodes(reachable.map(place_of));
    ring.build().expect("a few thousand points fit a ring")
}

/// Placed by address: damaged labels may give two members one identity.
fn place_of(member: &Member) -> RingNode {
    let weight = member.labels.get("weight").and_then(|weight| weight.parse().ok()).unwrap_or(1);
    RingNode::new(member.address.as_str()).with_weight(u32::min(weight, 3))
}
