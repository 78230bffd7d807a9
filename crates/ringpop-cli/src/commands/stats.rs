//! `ringpop stats`: what a member counts.

use std::collections::BTreeMap;
use std::fmt;

use ringpop::admin_client::GetStatusResponse;
use serde::Serialize;

use crate::admin::Admin;
use crate::args::StatsArgs;
use crate::failure::Failure;
use crate::output::{Output, columns, printable};
use crate::watch;

pub(super) async fn run(args: StatsArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    watch::answer(&args.watch, Output::new(args.target.json), || async {
        Ok(Stats::new(admin.status().await?, &args))
    })
    .await
    .map(drop)
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
