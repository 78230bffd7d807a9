//! `ringpop stats`: what a member counts.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::admin::Admin;
use crate::args::StatsArgs;
use crate::failure::Failure;
use crate::output::{Output, columns, printable};

pub(super) async fn run(args: StatsArgs) -> Result<(), Failure> {
    let status = Admin::of(&args.target)?.status().await?;
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let counters: BTreeMap<_, _> = status
        .counters
        .into_iter()
        .filter(|counter| counter.name.starts_with(prefix))
        .filter(|counter| args.all || counter.value > 0)
        .map(|counter| (counter.name, counter.value))
        .collect();
    let stats = Stats { address: status.address, uptime_ms: status.uptime_ms, counters };
    Output::new(args.target.json).emit(&stats);
    Ok(())
}

#[derive(Debug, Serialize)]
struct Stats {
    address: String,
    uptime_ms: u64,
    counters: BTreeMap<String, u64>,
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
