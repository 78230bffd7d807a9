//! `ringpop evict` and `drain`: a member that lives owns no keys for a time.

use std::fmt;
use std::time::Duration;

use ringpop::admin_client::{DrainRequest, EvictRequest, UndoEvictRequest, UndrainRequest};
use serde::Serialize;

use super::standing::Standing;
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
    let standing = Standing::of(&admin, &address).await?;
    Output::new(args.target.json).emit(&Evicted { address, evicted_ms, standing });
    Ok(())
}

#[derive(Debug, Serialize)]
struct Evicted {
    address: String,
    /// For how long; `null` when an eviction ended.
    evicted_ms: Option<u64>,
    #[serde(flatten)]
    standing: Standing,
}

impl fmt::Display for Evicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, standing) = (printable(&self.address), &self.standing);
        let Some(ms) = self.evicted_ms else {
            if standing.is_on_ring() {
                return write!(f, "{address} owns keys again");
            }
            return write!(f, "{address} is not evicted any more; {}", standing.remaining());
        };
        let time = humantime::format_duration(Duration::from_millis(ms));
        if standing.owns_keys() {
            return write!(f, "{address} is evicted for {time}, but {}", standing.kept());
        }
        match standing.beside_eviction() {
            None => write!(f, "{address} owns no keys for {time}; `--undo` ends that"),
            Some(why) => {
                write!(f, "{address} is evicted for {time}; it is off the ring anyway: {why}")
            }
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
    let standing = Standing::of_asked(&admin).await?;
    Output::new(args.target.json).emit(&Drained {
        address,
        drained: !args.undo,
        changed,
        standing,
    });
    Ok(())
}

#[derive(Debug, Serialize)]
struct Drained {
    address: String,
    /// Whether it is to be off the ring; `share` tells whether it is.
    drained: bool,
    /// Whether it was not so before.
    changed: bool,
    #[serde(flatten)]
    standing: Standing,
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, drained, changed, standing } = self;
        match (drained, changed) {
            (true, _) => {
                let already = if *changed { "" } else { ", as before" };
                if standing.owns_keys() {
                    return write!(f, "{address} is drained{already}, but {}", standing.kept());
                }
                write!(f, "{address} is drained and serves on{already}")?;
                match standing.beside_drain() {
                    Some(why) => write!(f, "; it is off the ring anyway: {why}"),
                    None => Ok(()),
                }
            }
            (false, true) if standing.is_on_ring() => write!(f, "{address} owns keys again"),
            (false, false) if standing.is_on_ring() => write!(f, "{address} owns keys, as before"),
            (false, true) => {
                write!(f, "{address} is not drained any more; {}", standing.remaining())
            }
            (false, false) => write!(f, "{address} was not drained; {}", standing.remaining()),
        }
    }
}
