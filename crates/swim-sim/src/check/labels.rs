//! The labels of one incarnation are the same everywhere.
//!
//! Source: an incarnation is the version of everything that a member says about
//! itself; serf tags and Consul metadata follow the same rule.

use std::collections::BTreeMap;

use fxhash::FxHashMap;
use swim_core::{Address, Labels, Status};

use super::{Check, Transition, Verdict, require};

/// Incarnations of one member that are remembered: those that were seen last.
const VERSIONS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct LabelsOfIncarnation {
    labels: FxHashMap<Address, BTreeMap<u64, Labels>>,
}

impl Check for LabelsOfIncarnation {
    fn name(&self) -> &'static str {
        "labels belong to their incarnation"
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        // A tombstone says only who is to be forgotten.
        let Some(after) = transition.after.filter(|after| after.status != Status::Tombstone) else {
            return Ok(());
        };
        let versions = self.labels.entry(after.address.clone()).or_default();
        if versions.len() > VERSIONS_MAX {
            versions.pop_first();
        }
        let known = versions.entry(after.incarnation).or_insert_with(|| after.labels.clone());
        require(*known == after.labels, &after.address, || {
            format!("at {} it has {:?} and {known:?}", after.incarnation, after.labels)
        })
    }
}
