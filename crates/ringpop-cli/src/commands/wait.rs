//! `ringpop wait`: scripts go on when a cluster is as they need it.

use std::fmt;

use ringpop::admin_client::{GetStatusResponse, Status};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use crate::admin::Admin;
use crate::args::WaitArgs;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::limits::WAIT_PERIOD;
use crate::output::{Output, checksum};
use crate::progress::Progress;

pub(super) async fn run(args: WaitArgs) -> Result<(), Failure> {
    if !args.ready && !args.converged && args.members.is_none() {
        return Err(Failure::Usage(
            "say what to wait for: --ready, --converged or --members N".to_owned(),
        ));
    }
    let admin = Admin::of(&args.target)?;
    let started = Instant::now();
    // A time that the clock cannot hold never comes.
    let end = started.checked_add(args.timeout);
    let mut progress = Progress::new();
    let mut missing = None;
    loop {
        let asked = check(&admin, &args);
        // The first question is asked to its end, so that there is a reason to tell.
        let answer = match (end, &missing) {
            (Some(end), Some(missing)) => {
                timeout_at(end, asked).await.unwrap_or_else(|_| Err(String::clone(missing)))
            }
            _ => asked.await,
        };
        let reason = match answer {
            Ok(status) => {
                let waited_ms = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
                let membership_checksum = checksum(status.membership_checksum);
                let members = alive(&status);
                let waited = Waited { members, membership_checksum, waited_ms };
                drop(progress);
                Output::new(args.target.json).emit(&waited);
                return Ok(());
            }
            Err(reason) => reason,
        };
        if end.is_some_and(|end| Instant::now() >= end) {
            let timeout = humantime::format_duration(args.timeout);
            return Err(Failure::TimeOver(format!("not within {timeout}: {reason}")));
        }
        progress.tell(|| format!("waiting: {reason}"));
        missing = Some(reason);
        sleep(WAIT_PERIOD).await;
    }
}

/// `Err` says why the wait goes on.
async fn check(admin: &Admin, args: &WaitArgs) -> Result<GetStatusResponse, String> {
    let status = admin.status().await.map_err(|failure| failure.to_string())?;
    if args.ready && status.state != "ready" {
        return Err(format!("{} is {}", status.address, status.state));
    }
    if let Some(wanted) = args.members {
        let alive = alive(&status);
        if alive != wanted as usize {
            return Err(format!("{} sees {alive} members alive, not {wanted}", status.address));
        }
    }
    if !args.converged {
        return Ok(status);
    }
    let cluster = Cluster::crawl_from(admin.clone(), status).await;
    let cluster = cluster.map_err(|failure| failure.to_string())?;
    let asked = cluster.members.len();
    if cluster.check_one_view().is_err() || cluster.check_one_ring().is_err() {
        return Err(format!(
            "the {asked} members that answered have {} views",
            cluster.views.len()
        ));
    }
    let is_silent = |address: &String| cluster.unreached.iter().any(|it| it.address == *address);
    for member in &cluster.first.members {
        match member.status() {
            Status::Suspect => return Err(format!("{} is suspect", member.address)),
            Status::Alive if is_silent(&member.address) => {
                return Err(format!("{} does not answer and is taken for alive", member.address));
            }
            _ => {}
        }
    }
    Ok(cluster.first)
}

fn alive(status: &GetStatusResponse) -> usize {
    status.members.iter().filter(|member| member.status() == Status::Alive).count()
}

#[derive(Debug, Serialize)]
struct Waited {
    /// Members that are alive.
    members: usize,
    membership_checksum: String,
    waited_ms: u64,
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "so it is after {} ms, with {} members alive", self.waited_ms, self.members)
    }
}
