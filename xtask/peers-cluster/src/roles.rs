//! What another process of the bench does.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use ringpop::discovery::StaticList;
use ringpop::hand_off::Map;
use ringpop::swim::{Config, Event as SwimEvent, Status};
use ringpop::tonic::service::Routes as Services;
use ringpop::{Builder, Event, Ringpop};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};

use crate::call::{Server, routes, shared_clock_ns};

type Input = BufReader<tokio::io::Stdin>;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// A member that tells what it sees.
    Member,
    /// A member alone that serves calls.
    Owner,
    /// A member that keeps values of its keys, and hands them over in planned moves.
    Keeper,
    /// The same without the hand-off.
    Cache,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Owner => "owner",
            Self::Keeper => "keeper",
            Self::Cache => "cache",
        }
    }
}

/// Runs until standard input ends.
pub(crate) async fn run(role: Role, listen: &str, hosts: &str) -> Result<()> {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    if matches!(role, Role::Keeper | Role::Cache) {
        return keep(role, listen, hosts, input).await;
    }
    tokio::select! {
        // The parent is gone.
        _ = input.next_line() => Ok(()),
        result = live(role, listen, hosts) => result,
    }
}

fn builder(listen: &str, hosts: &str) -> Result<Builder> {
    let mut builder =
        Ringpop::builder("bench").listen(listen.parse()?).config(Config::lan()).routes(routes());
    if !hosts.is_empty() {
        builder = builder.discovery(Arc::new(StaticList::parse(hosts)?));
    }
    Ok(builder)
}

async fn live(role: Role, listen: &str, hosts: &str) -> Result<()> {
    let member = builder(listen, hosts)?.bind().await?;
    let mut events = member.events();
    member.serve(Services::new(Server::Echo))?;
    let join = member.clone();
    let joining = tokio::spawn(async move { join.bootstrap().await });
    match role {
        Role::Member => {
            while let Some(event) = events.next().await {
                tell(&member, event)?;
            }
            joining.await??;
        }
        Role::Owner | Role::Keeper | Role::Cache => {
            joining.await??;
            say(&format!("listening {}", member.whoami()))?;
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(30);
/// How long a member serves after it has left.
const LAME_DUCK: Duration = Duration::from_secs(1);

/// A member that keeps values. Lines of its input set its weight or ask what it
/// was given. It tells when its ring has changed, and stops in order at the end of the input.
async fn keep(role: Role, listen: &str, hosts: &str, mut input: Lines<Input>) -> Result<()> {
    let values = Arc::new(Map::new(100_000, 256 * 1024 * 1024));
    let mut builder = builder(listen, hosts)?.lame_duck(LAME_DUCK);
    if role == Role::Keeper {
        builder = builder.hand_off(Arc::clone(&values));
    }
    let member = builder.bind().await?;
    let mut events = member.events();
    member.serve(Services::new(Server::Cache { values, address: member.whoami().into() }))?;
    let watched = member.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if matches!(event, Event::RingChanged(_)) {
                let (at, ring) = (shared_clock_ns(), watched.view().ring.len());
                say(&format!("switched {at} {ring} {:016x}", watched.ring_checksum()))?;
            }
        }
        anyhow::Ok(())
    });
    member.bootstrap().await?;
    say(&format!("listening {}", member.whoami()))?;
    while let Some(line) = input.next_line().await? {
        match line.strip_prefix("weight ") {
            Some(weight) => member.set_weight(weight.parse()?).await?,
            None => tell_taken(&member).await?,
        }
    }
    member.shutdown(STOP).await;
    tell_taken(&member).await
}

/// How much state was handed over to this member.
async fn tell_taken(member: &Ringpop) -> Result<()> {
    let taken = member.counters().await.get("moves.bytes_taken").unwrap_or_default();
    say(&format!("taken {taken}"))
}

/// `changed ADDRESS STATUS` for what happens to a member, then `sees ALIVE RING CHECKSUM` for what
/// is known now.
fn tell(member: &Ringpop, event: Event) -> Result<()> {
    match event {
        Event::Membership(SwimEvent::MemberChanged { after: Some(after), .. }) => {
            say(&format!("changed {} {}", after.address, after.status))?;
        }
        Event::RingChanged(_) | Event::StateChanged(_) => {}
        _ => return Ok(()),
    }
    let view = member.view();
    let alive = view.members.iter().filter(|member| member.status == Status::Alive).count();
    let (ring, checksum) = (view.ring.len(), view.membership_checksum);
    say(&format!("sees {alive} {ring} {checksum:016x}"))
}

fn say(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

/// How long a process idles before its memory is read.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
