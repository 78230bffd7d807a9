//! Calls that are lost when their owner stops, and when it is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::{Request, Status};

use super::Stage;
use crate::api::{Ask, BenchClient, GET, PUT};
use crate::process::Remote;
use crate::report::{Bar, Report, Row};
use crate::roles::{FIRST, Role};

/// Calls that are answered before the owner ends, and again after it.
const CALLS: u64 = 2000;

/// Callers that call all the time.
struct Load {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Vec<Status>>>,
}

impl Load {
    fn begin(client: &BenchClient, method: &'static str, key: &str, callers: usize) -> Self {
        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let caller = |_| {
            let (mut client, ask) = (client.clone(), Ask { key: key.to_owned(), ..Ask::default() });
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut lost = Vec::new();
                while !is_over.load(Ordering::Acquire) {
                    match client.unary(method, Request::new(ask.clone())).await {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::AcqRel)),
                        Err(status) => lost.push(status),
                    }
                }
                lost
            })
        };
        let callers = (0..callers).map(caller).collect();
        Self { is_over, answered, callers }
    }

    async fn more(&self, calls: u64) -> Result<()> {
        let (begin, goal) = (Instant::now(), self.answered.load(Ordering::Acquire) + calls);
        while self.answered.load(Ordering::Acquire) < goal {
            ensure!(begin.elapsed() < Duration::from_secs(30), "calls are not answered any more");
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// The lost calls.
    async fn end(self) -> Result<Vec<Status>> {
        self.is_over.store(true, Ordering::Release);
        let mut lost = Vec::new();
        for caller in join_all(self.callers).await {
            lost.extend(caller?);
        }
        Ok(lost)
    }
}

/// Lets first owners end under load, one per round, and gives the losses of each round.
async fn losses(
    stage: &Stage,
    method: &'static str,
    callers: usize,
    mut end: impl FnMut(&mut Remote) -> Result<()>,
) -> Result<Vec<Vec<Status>>> {
    let node = stage.node.client().await?;
    let mut losses = Vec::new();
    for _ in 0..stage.rounds {
        let mut owner = Remote::start(Role::Node, stage.placement, None)?;
        let load = Load::begin(&node, method, &format!("{FIRST}{}", owner.address), callers);
        load.more(CALLS).await?;
        end(&mut owner)?;
        load.more(CALLS).await?;
        losses.push(load.end().await?);
    }
    Ok(losses)
}

/// A row with all that was lost, and why the first one was.
fn row(stage: &Stage, name: &str, losses: &[Vec<Status>]) -> Row {
    let lost: usize = losses.iter().map(Vec::len).sum();
    let note = match losses.iter().flatten().next() {
        Some(status) => format!("in {} rounds; first: {}", losses.len(), status.message()),
        None => format!("in {} rounds", losses.len()),
    };
    Row::new(stage.case(name), "calls", lost as f64).note(note)
}

/// The server of the owner stops in its own time, under 32 callers.
pub(crate) async fn stop(stage: &Stage, report: &mut Report) -> Result<()> {
    let losses = losses(stage, PUT, 32, |owner| {
        owner.stop();
        Ok(())
    })
    .await?;
    report.add(&row(stage, "stopped owner, calls lost", &losses).bar(Bar::ValueAtMost(0.0)));
    Ok(())
}

/// The owner is killed, under 64 callers.
pub(crate) async fn kill(stage: &Stage, report: &mut Report) -> Result<()> {
    const CALLERS: usize = 64;
    let idempotent = losses(stage, GET, CALLERS, Remote::kill).await?;
    let name = "killed owner, idempotent calls lost";
    report.add(&row(stage, name, &idempotent).bar(Bar::ValueAtMost(0.0)));
    let others = losses(stage, PUT, CALLERS, Remote::kill).await?;
    let most = others.iter().map(Vec::len).max().unwrap_or(0);
    let name = "killed owner, other calls lost";
    let row = Row::new(stage.case(name), "calls", most as f64);
    report.add(&row.bar(Bar::ValueAtMost(CALLERS as f64)).note("most of a round, 64 in flight"));
    Ok(())
}
