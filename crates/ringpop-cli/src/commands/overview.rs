//! The views of all members side by side: whether they agree, and about whom they do not.

use std::collections::BTreeMap;
use std::fmt;

use ringpop::admin_client::MemberStatus;
use serde::Serialize;

use crate::cluster::{Cluster, Unreached, ViewRow, status_name, unreached_lines, view_rows};
use crate::output::{columns, printable};

/// The views of all members.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    /// Whether all that answered have one view.
    is_agreed: bool,
    /// Those that answered.
    asked: usize,
    views: Vec<ViewRow>,
    /// Members that views show differently.
    differences: Vec<Difference>,
    unreached: Vec<Unreached>,
}

/// A member, and how many members see it in which status.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Difference {
    address: String,
    seen: BTreeMap<String, usize>,
}

impl Overview {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self {
            is_agreed: cluster.views.len() == 1,
            asked: cluster.members.len(),
            views: cluster.view_rows(),
            differences: differences(cluster),
            unreached: cluster.unreached.clone(),
        }
    }
}

fn differences(cluster: &Cluster) -> Vec<Difference> {
    // By address, how many see it with which status and incarnation.
    let mut seen = BTreeMap::<&str, BTreeMap<(i32, u64), usize>>::new();
    for view in cluster.views.values() {
        for MemberStatus { address, status, incarnation, .. } in &view.members {
            let by = seen.entry(address).or_default().entry((*status, *incarnation)).or_default();
            *by += view.of.len();
        }
    }
    let asked = cluster.members.len();
    let mut differences = Vec::new();
    for (address, versions) in seen {
        let knowing: usize = versions.values().sum();
        if versions.len() == 1 && knowing == asked {
            continue;
        }
        let is_one_status =
            versions.keys().all(|(status, _)| versions.keys().all(|it| it.0 == *status));
        let name = |(status, incarnation): (i32, u64)| match is_one_status {
            true => format!("{} with incarnation {incarnation}", status_name(status)),
            false => status_name(status).to_owned(),
        };
        let mut seen = BTreeMap::<String, usize>::new();
        for (version, by) in versions {
            *seen.entry(name(version)).or_default() += by;
        }
        if knowing < asked {
            seen.insert("unknown".to_owned(), asked - knowing);
        }
        differences.push(Difference { address: address.to_owned(), seen });
    }
    differences
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.asked;
        if self.is_agreed {
            let noun = if asked == 1 { "member has" } else { "members have" };
            write!(f, "{asked} {noun} one view")?;
        } else {
            let views = self.views.len();
            write!(f, "the {asked} members that answered have {views} views\n\n")?;
            f.write_str(&view_rows(&self.views))?;
        }
        if !self.differences.is_empty() {
            let seen = |it: &Difference| {
                let by = |(status, by): (&String, &usize)| format!("{status} by {by}");
                it.seen.iter().map(by).collect::<Vec<_>>().join(", ")
            };
            let rows: Vec<_> =
                self.differences.iter().map(|it| [printable(&it.address), seen(it)]).collect();
            write!(f, "\n\nseen differently:\n{}", columns(&rows).trim_end())?;
        }
        f.write_str(&unreached_lines(&self.unreached))
    }
}
