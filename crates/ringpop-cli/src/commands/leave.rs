//! `ringpop leave` and `ringpop join`: a member goes off the ring and comes back.

use std::fmt;

use ringpop::admin_client::{LeaveRequest, RejoinRequest};
use serde::Serialize;

use super::standing::Standing;
use crate::admin::{Admin, Client};
use crate::args::Target;
use crate::failure::Failure;
use crate::limits::CLUSTER_TIMEOUT;
use crate::output::Output;

pub(super) async fn leave(target: Target) -> Result<(), Failure> {
    let admin = Admin::of(&target)?;
    let call = |mut client: Client, request| async move { client.leave(request).await };
    let answer = admin.ask(CLUSTER_TIMEOUT, LeaveRequest {}, call).await?;
    let address = target.address.to_string();
    let standing = Standing::of_asked(&admin).await?;
    Output::new(target.json).emit(&Left { address, told: answer.told, standing });
    Ok(())
}

pub(super) async fn join(target: Target) -> Result<(), Failure> {
    let admin = Admin::of(&target)?;
    let call = |mut client: Client, request| async move { client.rejoin(request).await };
    let answer = admin.ask(CLUSTER_TIMEOUT, RejoinRequest {}, call).await?;
    let address = target.address.to_string();
    let standing = Standing::of_asked(&admin).await?;
    Output::new(target.json).emit(&Joined { address, members: answer.members, standing });
    Ok(())
}

#[derive(Debug, Serialize)]
struct Left {
    address: String,
    /// Members that confirmed that they know of it.
    told: u32,
    #[serde(flatten)]
    standing: Standing,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, told, standing } = self;
        if standing.owns_keys() {
            let kept = standing.kept();
            return write!(f, "{address} has left, {told} members confirmed it; {kept}");
        }
        write!(f, "{address} has left the ring, {told} members confirmed it; it serves on")
    }
}

#[derive(Debug, Serialize)]
struct Joined {
    address: String,
    /// Members that it knows, itself included.
    members: u32,
    #[serde(flatten)]
    standing: Standing,
}

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, members, standing } = self;
        if standing.is_on_ring() {
            return write!(f, "{address} is on the ring again and knows {members} members");
        }
        let remaining = standing.remaining();
        write!(f, "{address} has come back and knows {members} members; {remaining}")
    }
}
