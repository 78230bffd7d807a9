//! Members in one process, a hundred of them or as many as there are descriptors for.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use ringpop::discovery::{Discovery, StaticList};
use ringpop::swim::Config;
use ringpop::tonic::service::Routes as Services;
use ringpop::{Builder, Ringpop};

use crate::measure::{millis, until};
use crate::process::{descriptors_max, listeners};

pub(crate) const MEMBERS_MAX: usize = 100;
/// Descriptors of a process beside those of its members.
const OTHER_DESCRIPTORS: usize = 100;
/// Descriptors of a member beside its gossip connections.
const MEMBER_DESCRIPTORS: usize = 3;

/// Members that discovery lists.
const SEEDS: usize = 5;

/// How many members this process has descriptors for; at most [`MEMBERS_MAX`].
pub(crate) fn members_max() -> Result<usize> {
    let limit = descriptors_max()?;
    let fits = |members: &usize| descriptors(*members) <= limit;
    (2..=MEMBERS_MAX).rev().find(fits).context("too few descriptors")
}

/// How many descriptors members in one process need: each has a connection to each other one, both
/// ends of which are here. A quarter more is for those that are opened while others close: a
/// process without a free one takes its neighbours for dead.
const fn descriptors(members: usize) -> usize {
    members * (2 * (members - 1) * 5 / 4 + MEMBER_DESCRIPTORS) + OTHER_DESCRIPTORS
}

/// When members join.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joins {
    /// All at once: a hundred on two cores are busy with their connections for some seconds.
    Together,
    /// Each when the one before has joined.
    InTurn,
}

/// Starts members, and waits until all have one view: gives the milliseconds from the last start.
pub(crate) async fn start(
    size: usize,
    joins: Joins,
    settings: impl Fn(usize, Builder) -> Builder,
) -> Result<(Vec<Ringpop>, f64)> {
    let (listeners, addresses) = listeners(size)?;
    let seeds = addresses.iter().take(SEEDS).map(String::as_str);
    let seeds: Arc<dyn Discovery> = Arc::new(StaticList::from_addresses(seeds)?);
    let mut members = Vec::new();
    let mut joining = Vec::new();
    for (i, listener) in listeners.into_iter().enumerate() {
        let builder = Ringpop::builder("bench").config(Config::lan()).listener(listener);
        let builder = settings(i, builder.discovery(Arc::clone(&seeds)));
        let member = builder.bind().await?;
        member.serve(Services::default())?;
        members.push(member);
    }
    for member in members.iter().cloned() {
        let join = tokio::spawn(async move { member.bootstrap().await });
        match joins {
            Joins::Together => joining.push(join),
            Joins::InTurn => drop(join.await??),
        }
    }
    let last_start = Instant::now();
    until("one checksum at all members", || {
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
    Ok((members, agreed))
}
