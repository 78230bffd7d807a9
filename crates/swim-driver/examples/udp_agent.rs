//! A membership agent over UDP. In three terminals, `--join` the first from the others:
//! `cargo run -p swim-driver --features aead --example udp_agent -- --listen 127.0.0.1:9001`.
//! Then kill one (`kill -9`) and watch the others, or stop one with ctrl-c, and it leaves.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use hex::FromHex;
use swim_driver::swim_core::{Address, Config, Event, Member, Node};
use swim_driver::udp::{KeyRing, Udp, config};
use swim_driver::{Driver, Start, queue};

/// A membership agent over UDP.
#[derive(Parser)]
struct Args {
    /// Address to listen on, IP:PORT; port 0 takes a free one.
    #[arg(long)]
    listen: SocketAddr,
    /// Address at which the others reach this agent, when it is another one.
    #[arg(long)]
    advertise: Option<SocketAddr>,
    /// Agents to join, separated by commas; without any it is the first.
    #[arg(long, value_delimiter = ',')]
    join: Vec<SocketAddr>,
    /// Key that all agents share, 64 hexadecimal digits. Arguments are public; prefer the variable.
    #[arg(long, env = "UDP_AGENT_KEY", hide_env_values = true, value_parser = parse_key)]
    key: Option<[u8; 32]>,
    /// Name of the application: agents of different names never mix.
    #[arg(long, default_value = "udp-agent")]
    app: String,
    /// Leave after this time, for example 10s.
    #[arg(long = "for", value_name = "TIME")]
    duration: Option<humantime::Duration>,
}

fn parse_key(text: &str) -> Result<[u8; 32], String> {
    <[u8; 32]>::from_hex(text).map_err(|error| format!("a key is 64 hexadecimal digits: {error}"))
}

fn report(_: &Node, event: &Event) {
    let Event::MemberChanged { before, after, cause, .. } = event else {
        return println!("{event:?}");
    };
    let Some(member) = after.as_ref().or(before.as_ref()) else { return };
    let status = |known: &Option<Member>| known.as_ref().map_or("unknown", |m| m.status.as_str());
    println!("member {} {} -> {} ({cause:?})", member.address, status(before), status(after));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Args { listen, advertise, join, key, app, duration } = Args::parse();
    let udp = Udp::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let local = advertise.unwrap_or(udp.local_addr());
    ensure!(!local.ip().is_unspecified(), "others cannot reach {local}: --advertise");
    if key.is_none() && !local.ip().is_loopback() {
        eprintln!("warning: without --key, anybody who reaches {local} can rewrite the membership");
    }
    let peers = join.iter().map(|peer| Ok(peer.to_string().parse()?));
    let peers = peers.collect::<Result<Vec<Address>>>()?;
    let start = Start::now()?;
    let node = Node::new(config(Config::lan())?, start.init(&*app, local.to_string().parse()?))?;
    let (handle, queue) = queue();
    let udp = udp.keys(key.map(KeyRing::new)).start(&handle, &app);
    let counters = udp.counters();
    let driver = Driver::new(queue, node, udp, report).started(&start).discovery(peers.clone());
    tokio::spawn(driver.run());
    println!("listening on {local}");
    tokio::select! {
        Err(error) = handle.join_discovered(&peers) => bail!("cannot join: {error}"),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for ctrl-c")?,
        () = tokio::time::sleep(duration.map(Into::into).unwrap_or_default()), if duration.is_some() => {}
    }
    let left = |_: &Node, event: &Event| matches!(event, Event::LeaveComplete { .. }).then_some(());
    handle.until(Node::leave, left).await.context("stopped too early")?;
    println!("left; {:?}", counters.stats());
    Ok(())
}
