//! Clients on the ring: what a call costs, how old their ring is, and life without a watch.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ringpop::discovery::StaticList;
use ringpop::swim::Config;
use ringpop::tonic::service::Routes as Services;
use ringpop::{RingClient, Ringpop};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;

use crate::call::{Ask, Client, Server, routes};
use crate::cut::Cut;
use crate::measure::{PATIENCE, median, micros, millis, until};
use crate::process::{Remote, on_one_core, runtime, runtime_of};
use crate::report::{Bar, Report, Row};
use crate::roles::Role;
use crate::spread::quantile;

/// Owners that are started anew: where a process has its memory makes some per cent of a call.
const SETS: usize = 5;
const ROUNDS: usize = 8;
const CALLS: usize = 400;
const CHANGES: usize = 20;
/// How long all watches are cut, by default and with `--full`.
const CUT: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];
/// Time between two calls while watches are cut.
const CALL_INTERVAL: Duration = Duration::from_millis(5);

pub(crate) fn run(report: &mut Report, full: bool) -> Result<()> {
    let (mut ours, mut direct) = (Vec::new(), Vec::new());
    for _ in 0..SETS {
        let (ring, known) = on_one_core(|| runtime()?.block_on(latency()))?;
        ours.push(ring);
        direct.push(known);
    }
    let mut ratios: Vec<f64> =
        ours.iter().zip(&direct).map(|(ours, direct)| ours / direct).collect();
    let row = Row::new("call of a client on the ring p50", "us", median(&mut ours));
    let row = row.peer("direct call", median(&mut direct)).bar(Bar::AtMost(1.08));
    let spread = (quantile(&mut ratios, 0.25), quantile(&mut ratios, 0.75));
    report.add(&row.note(format!("quartiles {:.3} to {:.3}", spread.0, spread.1)));
    let runtime = runtime_of(2)?;
    let rows = runtime.block_on(runtime.handle().spawn(watching(CUT[usize::from(full)])))??;
    rows.iter().for_each(|row| report.add(row));
    Ok(())
}

/// The median of a call by the ring and of a direct one, in microseconds, to one owner.
async fn latency() -> Result<(f64, f64)> {
    let (lines, said) = channel();
    let _owner = Remote::start(Role::Owner, "127.0.0.1:0", "", 0, lines)?;
    let line = said.recv_timeout(PATIENCE).context("the owner does not listen")?;
    let address = line.text.strip_prefix("listening ").context("it says where it listens")?;
    let endpoint: Endpoint = format!("http://{address}").parse()?;
    let mut direct = Client::new(endpoint.tcp_nodelay(true).connect().await?);
    let ring = client(&[address])?;
    timeout(PATIENCE, ring.ready()).await?;
    let mut ours = Client::new(ring.channel());
    let (mut by_ring, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        by_ring.push(turn(&mut ours).await?);
        by_hand.push(turn(&mut direct).await?);
    }
    Ok((median(&mut by_ring), median(&mut by_hand)))
}

/// The median of some calls in microseconds.
async fn turn<C>(client: &mut Client<C>) -> Result<f64>
where
    C: tonic::client::GrpcService<tonic::body::Body>,
    C::Error: std::fmt::Display,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError>,
{
    let mut times = Vec::with_capacity(CALLS);
    for i in 0..CALLS {
        let ask = Ask::new(&format!("driver-{i}"));
        let began = Instant::now();
        client.get(ask).await?;
        times.push(micros(began.elapsed()));
    }
    Ok(median(&mut times))
}

fn client(seeds: &[&str]) -> Result<RingClient> {
    let seeds = Arc::new(StaticList::from_addresses(seeds.iter().copied())?);
    Ok(RingClient::builder("bench", seeds).routes(routes()).build()?)
}

/// Three members, and a switch that cuts the watches at all of them.
async fn members() -> Result<(Vec<Ringpop>, watch::Sender<bool>)> {
    let (switch, cut) = watch::channel(false);
    let mut members: Vec<Ringpop> = Vec::new();
    for _ in 0..3 {
        let mut builder = Ringpop::builder("bench").config(Config::lan()).routes(routes());
        if let Some(first) = members.first() {
            builder = builder.discovery(Arc::new(StaticList::from_addresses([first.whoami()])?));
        }
        let member = builder.bind().await?;
        member.serve_with(Services::new(Server::Echo), Cut(cut.clone()))?;
        member.bootstrap().await?;
        members.push(member);
    }
    let one_ring = || members.iter().all(|member| member.view().ring.len() == 3);
    until("three members on each ring", one_ring).await?;
    Ok((members, switch))
}

async fn watching(cut_for: Duration) -> Result<Vec<Row>> {
    let (members, switch) = members().await?;
    let ring = client(&[members[0].whoami()])?;
    timeout(PATIENCE, ring.ready()).await?;
    until("the client has the ring", || ring.ring().len() == 3).await?;

    let mut ages = Vec::with_capacity(CHANGES);
    for i in 0..CHANGES {
        let began = Instant::now();
        members[1].set_weight(2 + i as u32 % 2).await?;
        let wanted = members[1].ring_checksum();
        until("the client sees the change", || ring.ring().checksum() == wanted).await?;
        ages.push(millis(began));
    }
    let age = Row::new("age of the ring of a client, at most", "ms", quantile(&mut ages, 1.0));
    let age = age.bar(Bar::ValueAtMost(1_000.0));
    let age =
        age.note(format!("p50 {:.1} ms, from the change at another member", median(&mut ages)));

    let mut calls = Client::new(ring.channel());
    let refused_before = ring.stats().failures;
    switch.send_replace(true);
    let (began, mut made, mut failed) = (Instant::now(), 0_u64, 0_u64);
    while began.elapsed() < cut_for {
        made += 1;
        failed += u64::from(calls.get(Ask::new(&format!("driver-{made}"))).await.is_err());
        sleep(CALL_INTERVAL).await;
    }
    let refused = ring.stats().failures - refused_before;
    ensure!(refused > 0, "the watches were not cut");
    let seconds = cut_for.as_secs();
    let case = format!("failed calls, all watches cut for {seconds} s");
    let lost = Row::new(case, "", failed as f64).bar(Bar::ValueAtMost(0.0));
    let lost = lost.note(format!("of {made} calls; {refused} watches were refused"));

    members[2].set_weight(7).await?;
    let wanted = members[2].ring_checksum();
    let began = Instant::now();
    switch.send_replace(false);
    until("the client watches again", || ring.ring().checksum() == wanted).await?;
    let back = Row::new("watching again after the cut", "ms", millis(began));
    Ok(vec![age, lost, back])
}
