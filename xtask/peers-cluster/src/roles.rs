//! What another process of the bench does.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use ringpop::discovery::StaticList;
use ringpop::swim::{Config, Event as SwimEvent, Status};
use ringpop::tonic::service::Routes as Services;
use ringpop::{Event, Ringpop};
use tokio::io::AsyncReadExt as _;

use crate::call::{EchoServer, routes};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// A member that tells what it sees.
    Member,
    /// A member alone that serves calls.
    Owner,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Owner => "owner",
        }
    }
}

/// Runs until standard input ends.
pub(crate) async fn run(role: Role, listen: &str, hosts: &str) -> Result<()> {
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    let parent_is_gone = stdin.read(&mut byte);
    tokio::select! {
        _ = parent_is_gone => Ok(()),
        result = live(role, listen, hosts) => result,
    }
}

async fn live(role: Role, listen: &str, hosts: &str) -> Result<()> {
    let mut builder =
        Ringpop::builder("bench").listen(listen.parse()?).config(Config::lan()).routes(routes());
    if !hosts.is_empty() {
        builder = builder.discovery(Arc::new(StaticList::parse(hosts)?));
    }
    let member = builder.bind().await?;
    let mut events = member.events();
    member.serve(Services::new(EchoServer))?;
    let join = member.clone();
    let joining = tokio::spawn(async move { join.bootstrap().await });
    match role {
        Role::Owner => {
            joining.await??;
            say(&format!("listening {}", member.whoami()))?;
            std::future::pending::<()>().await;
        }
        Role::Member => {
            while let Some(event) = events.next().await {
                tell(&member, event)?;
            }
            joining.await??;
        }
    }
    Ok(())
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
