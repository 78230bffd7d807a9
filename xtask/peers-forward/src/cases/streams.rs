//! Streams through a forward: messages per second, memory, back-pressure, cancellation.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::stream;
use tokio::time::sleep;
use tonic::Request;

use super::Stage;
use crate::api::{Ask, BenchClient, HANG};
use crate::measure::{Subject, median, median_ratio};
use crate::report::{Bar, Report, Row};
use crate::roles::THERE;

/// One GiB in pieces of 64 KiB.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES: u64 = 16 * 1024;

const MIB: f64 = 1024.0 * 1024.0;

fn download_of(count: u64, bytes: usize) -> Ask {
    Ask { key: THERE.to_owned(), payload: vec![7; bytes].into(), count }
}

async fn read_all(client: &mut BenchClient, ask: Ask) -> Result<()> {
    let expected = ask.count;
    let mut tells = client.download(ask).await?;
    let mut read = 0;
    while tells.message().await?.is_some() {
        read += 1;
    }
    ensure!(read == expected, "{read} messages of {expected} arrived");
    Ok(())
}

/// Small messages of one stream per second.
pub(crate) async fn messages(stage: &Stage, report: &mut Report) -> Result<()> {
    const COUNT: u64 = 200_000;
    let (mut direct, mut node) = (stage.owner.client().await?, stage.node.client().await?);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..stage.rounds {
        for (client, rates) in [(&mut direct, &mut peer), (&mut node, &mut ours)] {
            let begin = Instant::now();
            read_all(client, download_of(COUNT, 64)).await?;
            rates.push(COUNT as f64 / begin.elapsed().as_secs_f64());
        }
    }
    let ratio = median_ratio(ours.clone(), peer.clone());
    let row = Row::new(stage.case("server stream, 64 B messages"), "1/s", median(ours))
        .peer("direct", median(peer))
        .ratio_by_round(ratio)
        .bar(Bar::AtLeast(0.5));
    report.add(&row);
    Ok(())
}

/// One GiB down and one up, and then a stream that nobody reads.
pub(crate) async fn memory(stage: &Stage, report: &mut Report) -> Result<()> {
    let (mut owner, mut node) = (stage.owner.client().await?, stage.node.client().await?);
    // Connections, buffers and pages of code count as idle.
    read_all(&mut node.clone(), download_of(16, PIECE_BYTES)).await?;
    let idle = node.figures().await?.memory_bytes;

    let mut reader = node.clone();
    let ask = download_of(PIECES, PIECE_BYTES);
    let down = tokio::spawn(async move { read_all(&mut reader, ask).await });
    let most = watch_memory(&mut node, down).await?;
    add_memory(stage, report, "1 GiB down", idle, most);

    let mut writer = node.clone();
    let piece = download_of(0, PIECE_BYTES);
    let up = tokio::spawn(async move {
        let pieces = stream::iter((0..PIECES).map(move |_| piece.clone()));
        let tell = writer.upload(pieces).await?;
        ensure!(tell.count == PIECES * PIECE_BYTES as u64, "{} bytes arrived", tell.count);
        Ok(())
    });
    let most = watch_memory(&mut node, up).await?;
    add_memory(stage, report, "1 GiB up", idle, most);

    let before = owner.figures().await?.produced;
    let mut tells = node.download(download_of(PIECES, PIECE_BYTES)).await?;
    tells.message().await?.context("the stream ended")?;
    let produced = settled(&mut owner).await? - before;
    let row = Row::new(stage.case("produced for a caller that does not read"), "MiB", {
        produced as f64 * PIECE_BYTES as f64 / MIB
    });
    // Two windows of 1 MiB and the buffers of two sockets; without back-pressure it would be the
    // whole GiB.
    report.add(&row.bar(Bar::ValueAtMost(32.0)));
    let most = node.figures().await?.memory_bytes;
    add_memory(stage, report, "an unread stream", idle, most);
    Ok(())
}

fn add_memory(stage: &Stage, report: &mut Report, name: &str, idle: u64, most: u64) {
    let above = most.saturating_sub(idle) as f64 / MIB;
    let row = Row::new(stage.case(&format!("memory above idle, {name}")), "MiB", above);
    report.add(&row.bar(Bar::ValueAtMost(8.0)).note(format!("idle {:.1} MiB", idle as f64 / MIB)));
}

/// The most memory that the node used while `work` ran.
async fn watch_memory(
    node: &mut BenchClient,
    work: tokio::task::JoinHandle<Result<()>>,
) -> Result<u64> {
    let mut most = 0;
    while !work.is_finished() {
        most = most.max(node.figures().await?.memory_bytes);
        sleep(Duration::from_millis(5)).await;
    }
    work.await??;
    Ok(most)
}

/// How many messages the owner has produced once it produces no more.
async fn settled(owner: &mut BenchClient) -> Result<u64> {
    let (mut last, mut still) = (owner.figures().await?.produced, 0);
    while still < 20 {
        sleep(Duration::from_millis(10)).await;
        let now = owner.figures().await?.produced;
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

/// How long the owner's handler outlives its caller's patience.
pub(crate) async fn cancel(stage: &Stage, report: &mut Report) -> Result<()> {
    let (mut owner, node) = (stage.owner.client().await?, stage.node.client().await?);
    let mut times = Vec::new();
    for _ in 0..stage.rounds {
        // An answer shows that the owner has seen the resets before it. Without any, the eleventh
        // in a row would be held back (RESETS_UNSEEN_MAX).
        Subject::new(&node, THERE, 64).call().await?;
        let before = owner.figures().await?;
        let mut caller = node.clone();
        let call = tokio::spawn(async move {
            let ask = Ask { key: THERE.to_owned(), ..Ask::default() };
            caller.unary(HANG, Request::new(ask)).await
        });
        while owner.figures().await?.hanging == before.hanging {}
        let begin = Instant::now();
        call.abort();
        while owner.figures().await?.cancelled == before.cancelled {
            ensure!(begin.elapsed() < Duration::from_secs(5), "the handler was not cancelled");
        }
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let most = times.iter().copied().fold(0.0, f64::max);
    let row = Row::new(stage.case("handler cancelled after its caller"), "ms", most);
    report.add(&row.bar(Bar::ValueAtMost(100.0)).note(format!("median {:.2}", median(times))));
    Ok(())
}
