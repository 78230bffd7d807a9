//! No event is lost: a listener knows all that the machine knows.
//!
//! Source: the driving contract of `swim_core::Node`; applications build their
//! routing on these events.

use std::collections::BTreeMap;

use swim_core::{Address, Event, Member, Node};

use super::{Check, Sample, Transition, Verdict, require};
use crate::machine::HostId;
use crate::time::Nanos;

/// What a listener at each process knows.
#[derive(Debug)]
pub(super) struct Events {
    mirrors: Vec<BTreeMap<Address, Member>>,
}

impl Events {
    pub(super) fn new(hosts: usize) -> Self {
        Self { mirrors: vec![BTreeMap::new(); hosts] }
    }
}

impl Check for Events {
    fn name(&self) -> &'static str {
        "no event is lost"
    }

    fn started(&mut self, host: HostId, node: &Node) {
        let members = node.members().map(|member| (member.address.clone(), member.clone()));
        self.mirrors[host as usize] = members.collect();
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let mirror = &mut self.mirrors[transition.observer as usize];
        let subject = transition.subject();
        let known = match transition.after {
            Some(after) => mirror.insert(subject.clone(), after.clone()),
            None => mirror.remove(subject),
        };
        require(known.as_ref() == transition.before, subject, || {
            format!("it was {known:?} for a listener, the event says {:?}", transition.before)
        })
    }

    fn event(&mut self, host: HostId, event: &Event, node: &Node) -> Verdict {
        // A refutation is the one change of which no other event tells.
        if let Event::Refuted { incarnation, .. } = event
            && let Some(own) = self.mirrors[host as usize].get_mut(&node.local().address)
        {
            own.incarnation = *incarnation;
        }
        Ok(())
    }

    fn sampled(&mut self, _: Nanos, samples: &[Sample<'_>]) -> Verdict {
        for Sample { host, node, .. } in samples.iter().filter(|sample| sample.changed) {
            let mirror = &self.mirrors[*host as usize];
            for member in node.members() {
                let known = mirror.get(&member.address);
                require(known == Some(member), &member.address, || {
                    format!("host {host} has {member:?}, a listener {known:?}")
                })?;
            }
            require(mirror.len() == node.len(), &node.local().address, || {
                format!(
                    "a listener at host {host} knows {} members of {}",
                    mirror.len(),
                    node.len()
                )
            })?;
        }
        Ok(())
    }
}
