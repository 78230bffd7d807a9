//! Equal checksums mean equal views.
//!
//! Source: ringpop-go compares checksums to decide whether members agree; a
//! checksum that misses something hides a difference for ever.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use swim_core::{Member, Node, Status};

use super::{Check, Sample, Verdict, require};
use crate::time::Nanos;

#[derive(Debug)]
pub(super) struct Checksums;

impl Check for Checksums {
    fn name(&self) -> &'static str {
        "equal checksums mean equal views"
    }

    fn sampled(&mut self, _: Nanos, samples: &[Sample<'_>]) -> Verdict {
        if samples.iter().all(|sample| !sample.changed) {
            return Ok(());
        }
        let (mut views, mut checksums) = (BTreeMap::new(), BTreeMap::new());
        for Sample { host, node, .. } in samples {
            let (checksum, view, own) = (node.checksum(), view_of(node), &node.local().address);
            let (other, same) = *views.entry(checksum).or_insert((*host, view));
            require(same == view, own, || {
                format!("hosts {host} and {other} have checksum {checksum:016x} for two views")
            })?;
            let (other, same) = *checksums.entry(view).or_insert((*host, checksum));
            require(same == checksum, own, || {
                format!("hosts {host} and {other} have one view and two checksums")
            })?;
        }
        Ok(())
    }
}

/// A hash over the whole view in its plain form.
fn view_of(node: &Node) -> u64 {
    let mut members: Vec<&Member> =
        node.members().filter(|member| member.status != Status::Tombstone).collect();
    members.sort_unstable_by(|a, b| a.address.cmp(&b.address));
    let mut hasher = DefaultHasher::new();
    for Member { address, status, incarnation, labels, .. } in members {
        (address, status, incarnation).hash(&mut hasher);
        labels.iter().for_each(|pair| pair.hash(&mut hasher));
        0xff_u8.hash(&mut hasher);
    }
    hasher.finish()
}
