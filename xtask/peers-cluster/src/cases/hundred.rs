//! A hundred members in one process: how soon they agree, and what they cost then.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::swim::Config;
use ringpop::tonic::service::Routes as Services;

use crate::measure::{millis, until};
use crate::process::{cpu_seconds, runtime_of};
use crate::recorded;
use crate::report::{Bar, Report, Row};

const MEMBERS: usize = 100;
/// Before the processor time is taken: what the start set going comes to rest.
const REST: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let runtime = runtime_of(2)?;
    let rows = runtime.block_on(runtime.handle().spawn(measure()))??;
    rows.iter().for_each(|row| report.add(row));
    Ok(())
}

async fn measure() -> Result<Vec<Row>> {
    let listeners: Vec<TcpListener> = (0..MEMBERS)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    let seeds: Vec<String> = listeners
        .iter()
        .take(5)
        .map(|listener| Ok(listener.local_addr()?.to_string()))
        .collect::<Result<_>>()?;
    let seeds = Arc::new(StaticList::from_addresses(seeds.iter().map(String::as_str))?);
    let mut members = Vec::new();
    let mut joining = Vec::new();
    for listener in listeners {
        let builder = Ringpop::builder("bench").config(Config::lan()).listener(listener);
        let member = builder.discovery(Arc::clone(&seeds) as _).bind().await?;
        member.serve(Services::default())?;
        let join = member.clone();
        joining.push(tokio::spawn(async move { join.bootstrap().await }));
        members.push(member);
    }
    let last_start = Instant::now();
    until("one checksum at a hundred members", || {
        let checksum = members[0].membership_checksum();
        members.iter().all(|member| {
            member.view().ring.len() == MEMBERS && member.membership_checksum() == checksum
        })
    })
    .await?;
    let agreed = millis(last_start);
    for join in joining {
        join.await??;
    }
    let case = format!("{MEMBERS} members in one process: one checksum");
    let agreed = Row::new(case, "ms", agreed).bar(Bar::ValueAtMost(3_000.0));
    let agreed = agreed.note("from the last start");

    tokio::time::sleep(REST).await;
    let (began, before) = (Instant::now(), cpu_seconds());
    tokio::time::sleep(IDLE).await;
    let percent = 100.0 * (cpu_seconds() - before) / began.elapsed().as_secs_f64();
    let idle = Row::new("idle processor time of each of them", "%", percent / MEMBERS as f64);
    let idle = idle.bar(Bar::ValueAtMost(0.5));
    Ok(vec![
        agreed,
        idle.clone().peer(recorded::GO, recorded::GO_IDLE_PERCENT),
        Row::new("idle processor time, beside memberlist", "%", percent / MEMBERS as f64)
            .peer(recorded::MEMBERLIST, recorded::MEMBERLIST_IDLE_PERCENT),
    ])
}
