//! A roll of ten processes with caches under load: hit rate with the hand-off of state and without.

use std::time::Duration;

use anyhow::Result;

use crate::keepers::Keepers;
use crate::load::{KEYS, Load, Outcome, fill};
use crate::measure::millis;
use crate::process::runtime_of;
use crate::report::{Bar, Report, Row};
use crate::roles::Role;

const MEMBERS: usize = 10;
/// Calls before the roll.
const REST: Duration = Duration::from_secs(10);

struct Roll {
    /// Hits per cent of the calls before the roll, and during it.
    hits: (f64, f64),
    calls: usize,
    failed: Vec<String>,
    bytes: u64,
    took_s: f64,
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let with = runtime_of(2)?.block_on(roll(Role::Keeper))?;
    let without = runtime_of(2)?.block_on(roll(Role::Cache))?;
    let fall = |roll: &Roll| roll.hits.0 - roll.hits.1;
    let row = Row::new(format!("roll of {MEMBERS}: fall of the hit rate"), "points", fall(&with));
    let note = format!(
        "{:.2} % before, {:.2} % in the roll, which took {:.0} s ({:.0} s without a hook)",
        with.hits.0, with.hits.1, with.took_s, without.took_s
    );
    let row = row.peer("without a hook", fall(&without)).bar(Bar::ValueAtMost(2.0));
    report.add(&row.note(note));
    let row = Row::new("calls that failed in the roll", "", with.failed.len() as f64);
    let first = with.failed.first().map(|error| format!("; first: {error}")).unwrap_or_default();
    let note = format!("of {}{first}", with.calls);
    let row = row.peer("without a hook", without.failed.len() as f64);
    report.add(&row.bar(Bar::ValueAtMost(0.0)).note(note));
    let row =
        Row::new("state handed over in the roll", "MiB", with.bytes as f64 / f64::from(1 << 20));
    report.add(&row.note(format!("{KEYS} keys with 1 KiB each are 10 MiB")));
    Ok(())
}

async fn roll(role: Role) -> Result<Roll> {
    let mut all = Keepers::start(role, MEMBERS).await?;
    fill(&all.serving).await?;
    let load = Load::start(all.serving.clone());
    tokio::time::sleep(REST).await;
    let (before, began) = (load.take(), std::time::Instant::now());
    let bytes_before = all.taken_bytes().await?;
    for i in 0..MEMBERS {
        all.restart(i).await?;
    }
    let took_s = millis(began) / 1e3;
    let during = load.take();
    let hits = |calls: &[Outcome]| {
        let hits = calls.iter().filter(|call| call.answer.as_ref().is_ok_and(|it| it.hit)).count();
        100.0 * hits as f64 / calls.len() as f64
    };
    let failed = during.iter().filter_map(|call| call.answer.as_ref().err());
    Ok(Roll {
        hits: (hits(&before), hits(&during)),
        calls: during.len(),
        failed: failed.map(|status| status.message().to_owned()).collect(),
        bytes: all.taken_bytes().await? - bytes_before,
        took_s,
    })
}
