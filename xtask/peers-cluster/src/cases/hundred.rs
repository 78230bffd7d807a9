//! A hundred members in one process, or as many as there are descriptors for: how soon they agree,
//! and what they cost then.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::many::{Joins, MEMBERS_MAX, members_max, start};
use crate::process::{cpu_seconds, runtime_of};
use crate::recorded;
use crate::report::{Bar, Report, Row};

/// Before the processor time is taken: what the start set going comes to rest.
const REST: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let runtime = runtime_of(2)?;
    let members = members_max()?;
    let rows = runtime.block_on(runtime.handle().spawn(measure(members)))??;
    rows.iter().for_each(|row| report.add(row));
    Ok(())
}

async fn measure(size: usize) -> Result<Vec<Row>> {
    let (_members, agreed) = start(size, Joins::Together, |_, builder| builder).await?;
    let case = format!("{size} members in one process: one checksum");
    let agreed = Row::new(case, "ms", agreed).bar(Bar::ValueAtMost(3_000.0));
    let agreed = agreed.note(match size {
        MEMBERS_MAX => "from the last start".to_owned(),
        _ => "from the last start; more need more descriptors than this system gives".to_owned(),
    });

    tokio::time::sleep(REST).await;
    let (began, before) = (Instant::now(), cpu_seconds());
    tokio::time::sleep(IDLE).await;
    let percent = 100.0 * (cpu_seconds() - before) / began.elapsed().as_secs_f64();
    let idle = Row::new("idle processor time of each of them", "%", percent / size as f64);
    let idle = idle.bar(Bar::ValueAtMost(0.5));
    Ok(vec![
        agreed,
        idle.clone().peer(recorded::GO, recorded::GO_IDLE_PERCENT),
        Row::new("idle processor time, beside memberlist", "%", percent / size as f64)
            .peer(recorded::MEMBERLIST, recorded::MEMBERLIST_IDLE_PERCENT),
    ])
}
