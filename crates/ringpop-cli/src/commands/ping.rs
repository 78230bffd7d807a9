//! `ringpop ping`: how fast each member answers from here.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use ringpop::admin_client::{LookupRequest, MemberStatus, Status};
use serde::Serialize;
use tokio::time::Instant;

use crate::admin::{Admin, Client};
use crate::args::PingArgs;
use crate::cluster::status_name;
use crate::failure::Failure;
use crate::limits::{CRAWL_ANSWER_TIMEOUT, CRAWL_CONCURRENCY};
use crate::output::{Output, columns, printable};
use crate::watch;

pub(super) async fn run(args: PingArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let last = watch::answer(&args.watch, Output::new(args.target.json), || async {
        Ok(Pings { members: all(&admin, args.count).await? })
    })
    .await?;
    let pings = last.map(|last| last.members).unwrap_or_default();
    let is_missing = |ping: &&Ping| ping.status == "alive" && ping.reason.is_some();
    let missing: Vec<_> = pings.iter().filter(is_missing).collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Failed(format!(
            "{} members that are taken for alive do not answer from here, such as {}: see the \
             reasons above",
            missing.len(),
            printable(&first.address)
        ))),
    }
}

async fn all(admin: &Admin, count: u32) -> Result<Vec<Ping>, Failure> {
    let status = admin.status().await?;
    let there = status.members.into_iter().filter(|member| member.status() != Status::Tombstone);
    let ping = |member: MemberStatus| async move {
        let status = status_name(member.status);
        Ok(Ping::new(&admin.beside(&member.address)?, member.address, status, count).await)
    };
    let pings = stream::iter(there.map(ping)).buffered(CRAWL_CONCURRENCY);
    pings.collect::<Vec<_>>().await.into_iter().collect()
}

#[derive(Debug, Serialize)]
struct Ping {
    address: String,
    /// As the member that was asked first sees it.
    status: &'static str,
    answers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_us: Option<u64>,
    /// Why the first question without an answer has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Ping {
    async fn new(admin: &Admin, address: String, status: &'static str, count: u32) -> Self {
        let mut times = Vec::new();
        let mut reason = None;
        // The first answer has to wait for the connection and does not count.
        for n in 0..=count {
            let call = |mut client: Client, request| async move { client.lookup(request).await };
            let asked = Instant::now();
            match admin.answer(CRAWL_ANSWER_TIMEOUT, LookupRequest::default(), call).await {
                Ok(_) if n == 0 => {}
                Ok(_) => times.push(asked.elapsed()),
                Err(unanswered) => {
                    reason = Some(unanswered.reason());
                    break;
                }
            }
        }
        times.sort_unstable();
        let micros = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            address,
            status,
            answers: times.len(),
            min_us: times.first().map(micros),
            median_us: times.get(times.len() / 2).map(micros),
            max_us: times.last().map(micros),
            reason,
        }
    }
}

#[derive(Debug, Serialize)]
struct Pings {
    members: Vec<Ping>,
}

impl fmt::Display for Pings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["ADDRESS", "STATUS", "ANSWERS", "MIN", "MEDIAN", "MAX", ""];
        let mut rows = vec![head.map(str::to_owned)];
        let time = |us: Option<u64>| {
            us.map_or_else(|| "-".to_owned(), |us| format!("{:.2} ms", us as f64 / 1000.0))
        };
        rows.extend(self.members.iter().map(|ping| {
            [
                printable(&ping.address),
                ping.status.to_owned(),
                ping.answers.to_string(),
                time(ping.min_us),
                time(ping.median_us),
                time(ping.max_us),
                ping.reason.as_deref().map(printable).unwrap_or_default(),
            ]
        }));
        f.write_str(columns(&rows).trim_end())
    }
}
