//! `ringpop stats`: what a member counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ringpop::admin_client::GetStatusResponse;
use serde::Serialize;

use crate::admin::Admin;
use crate::args::StatsArgs;
use crate::failure::Failure;
use crate::nearest::nearest;
use crate::output::{Output, columns, printable};
use crate::watch;

pub(super) async fn run(args: StatsArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    watch::answer(&args.watch, Output::new(args.target.json), || async {
        let status = admin.status().await?;
        check_prefix(&status, &args)?;
        Ok(Stats::new(status, &args))
    })
    .await
    .map(drop)
}

/// A name that no counter has was mistyped: an empty answer would say that nothing was counted.
fn check_prefix(status: &GetStatusResponse, args: &StatsArgs) -> Result<(), Failure> {
    let Some(prefix) = args.prefix.as_deref() else { return Ok(()) };
    let names = || status.counters.iter().map(|counter| counter.name.as_str());
    if names().any(|name| name.starts_with(prefix)) {
        return Ok(());
    }
    // The part up to the first point, which is a prefix as people type it.
    let groups: BTreeSet<_> = names().filter_map(|name| name.split_inclusive('.').next()).collect();
    let advice = match nearest(&prefix.to_lowercase(), names().chain(groups.iter().copied())) {
        Some(nearest) => format!("did you mean {:?}?", printable(nearest)),
        None => {
            let groups: Vec<_> = groups.iter().map(|group| printable(group)).collect();
            format!("their names begin with {}", groups.join(", "))
        }
    };
    let address = &args.target.address;
    Err(Failure::Usage(format!("no counter of {address} begins with {prefix:?}: {advice}")))
}

#[derive(Debug, Serialize)]
struct Stats {
    address: String,
    uptime_ms: u64,
    counters: BTreeMap<String, u64>,
}

impl Stats {
    fn new(status: GetStatusResponse, args: &StatsArgs) -> Self {
        let prefix = args.prefix.as_deref().unwrap_or_default();
        let counters = status.counters.into_iter();
        let counters = counters
            .filter(|counter| counter.name.starts_with(prefix))
            .filter(|counter| args.all || counter.value > 0)
            .map(|counter| (counter.name, counter.value))
            .collect();
        Self { address: status.address, uptime_ms: status.uptime_ms, counters }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counters.is_empty() {
            return f.write_str("nothing of it was counted yet; --all shows what is zero");
        }
        let row = |(name, value): (&String, &u64)| [printable(name), value.to_string()];
        let rows: Vec<_> = self.counters.iter().map(row).collect();
        f.write_str(columns(&rows).trim_end())
    }
}
