//! A hundred members in one process, or as many as there are descriptors for: how soon they agree,
//! and what they cost then.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ringpop::Ringpop;
use ringpop::discovery::StaticList;
use ringpop::swim::Config;
use ringpop::tonic::service::Routes as Services;

use crate::measure::{millis, until};
use crate::process::{cpu_seconds, descriptors_max, runtime_of};
use crate::recorded;
use crate::report::{Bar, Report, Row};

const MEMBERS_MAX: usize = 100;
/// Descriptors of a process beside those of its members.
const OTHER_DESCRIPTORS: usize = 100;
/// Descriptors of a member beside its gossip connections.
const MEMBER_DESCRIPTORS: usize = 3;
/// Before the processor time is taken: what the start set going comes to rest.
const REST: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let runtime = runtime_of(2)?;
    let limit = descriptors_max()?;
    let fits = |members: &usize| descriptors(*members) <= limit;
    let members = (2..=MEMBERS_MAX).rev().find(fits).context("too few descriptors")?;
    let rows = runtime.block_on(runtime.handle().spawn(measure(members)))??;
    rows.iter().for_each(|row| report.add(row));
    Ok(())
}

/// How many descriptors members in one process need: each has a connection to each other one, both
/// ends of which are here.
const fn descriptors(members: usize) -> usize {
    members * (2 * (members - 1) + MEMBER_DESCRIPTORS) + OTHER_DESCRIPTORS
}

async fn measure(size: usize) -> Result<Vec<Row>> {
    let listeners: Vec<TcpListener> =
        (0..size).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
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
            member.view().ring.len() == size && member.membership_checksum() == checksum
        })
    })
    .await?;
    let agreed = millis(last_start);
    for join in joining {
        join.await??;
    }
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
