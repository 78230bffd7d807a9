//! `ringpop evict` and `drain`: a member that lives owns no keys for a time.

use std::fmt;
use std::time::Duration;

use ringpop::admin_client::{DrainRequest, EvictRequest, UndoEvictRequest, UndrainRequest};
use serde::Serialize;

use crate::admin::{Admin, Client};
use crate::args::{DrainArgs, EvictArgs};
use crate::failure::Failure;
use crate::limits::CLUSTER_TIMEOUT;
use crate::output::{Output, printable};

pub(super) async fn evict(args: EvictArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let address = args.member.to_string();
    let time = (!args.undo).then_some(args.time);
    if let Some(time) = time {
        let call = |mut client: Client, request| async move { client.evict(request).await };
        let time_ms = time.as_millis().try_into().unwrap_or(u64::MAX);
        let request = EvictRequest { address: address.clone(), time_ms };
        admin.ask(CLUSTER_TIMEOUT, request, call).await?;
    } else {
        let call = |mut client: Client, request| async move { client.undo_evict(request).await };
        let request = UndoEvictRequest { address: address.clone() };
        admin.ask(CLUSTER_TIMEOUT, request, call).await?;
    }
    let evicted_ms = time.map(|time| time.as_millis().try_into().unwrap_or(u64::MAX));
    Output::new(args.target.json).emit(&Evicted { address, evicted_ms });
    Ok(())
}

#[derive(Debug, Serialize)]
struct Evicted {
    address: String,
    /// For how long; `null` when an eviction ended.
    evicted_ms: Option<u64>,
}

impl fmt::Display for Evicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = printable(&self.address);
        match self.evicted_ms {
            Some(ms) => {
                let time = humantime::format_duration(Duration::from_millis(ms));
                write!(f, "{address} owns no keys for {time}; `--undo` ends that")
            }
            None => write!(f, "{address} owns keys again"),
        }
    }
}

pub(super) async fn drain(args: DrainArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    let changed = if args.undo {
        let call = |mut client: Client, request| async move { client.undrain(request).await };
        admin.ask(CLUSTER_TIMEOUT, UndrainRequest {}, call).await?.changed
    } else {
        let call = |mut client: Client, request| async move { client.drain(request).await };
        admin.ask(CLUSTER_TIMEOUT, DrainRequest {}, call).await?.changed
    };
    let address = args.target.address.to_string();
    Output::new(args.target.json).emit(&Drained { address, drained: !args.undo, changed });
    Ok(())
}

#[derive(Debug, Serialize)]
struct Drained {
    address: String,
    drained: bool,
    /// Whether it was not so before.
    changed: bool,
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, drained, changed } = self;
        let how = if *drained { "is drained and serves on" } else { "owns keys again" };
        let already = if *changed { "" } else { ", as before" };
        write!(f, "{address} {how}{already}")
    }
}
