//! The commands of the administration service, once their caller is admitted.

use swim_core::Address;
use swim_driver::Stopped;
use tonic::Status;

use super::members::{labels, short};
use super::settings;
use crate::command_error::{
    HealError, LeaveRingError, ReapError, ReconfigureError, RejoinError, SetLabelsError,
};
use crate::generated as proto;
use crate::generated::GossipAction;
use crate::limits::{ADMIN_LABELS_MAX, ADMIN_LEAVE_LIMIT, ADMIN_REJOIN_LIMIT};
use crate::member::Ringpop;

fn stopped(error: Stopped) -> Status {
    Status::unavailable(error.to_string())
}

pub(super) async fn reconfigure(
    member: Ringpop,
    request: proto::ReconfigureRequest,
) -> Result<proto::ReconfigureResponse, Status> {
    let config = member.config().await.map_err(stopped)?;
    let config = settings::apply(config.to_builder(), request.settings)?.build();
    let config = config.map_err(|error| Status::invalid_argument(error.to_string()))?;
    match member.reconfigure(config).await {
        Ok(()) => Ok(proto::ReconfigureResponse {}),
        Err(error @ ReconfigureError::Stopped) => Err(Status::unavailable(error.to_string())),
        Err(error) => Err(Status::failed_precondition(error.to_string())),
    }
}

pub(super) async fn control_gossip(
    member: Ringpop,
    request: proto::ControlGossipRequest,
) -> Result<proto::ControlGossipResponse, Status> {
    let mut probed = false;
    let done = match request.action() {
        GossipAction::Stop => member.stop_gossip().await,
        GossipAction::Start => member.start_gossip().await,
        GossipAction::Tick => member.tick().await.map(|found| probed = found),
        GossipAction::Unspecified => {
            return Err(Status::invalid_argument("no action is given: stop, start or tick"));
        }
    };
    done.map_err(stopped)?;
    let membership_checksum = member.membership_checksum();
    Ok(proto::ControlGossipResponse { membership_checksum, probed })
}

pub(super) async fn leave(
    member: Ringpop,
    _request: proto::LeaveRequest,
) -> Result<proto::LeaveResponse, Status> {
    match member.leave_ring(ADMIN_LEAVE_LIMIT).await {
        Ok(told) => Ok(proto::LeaveResponse { told: short(told) }),
        Err(error @ LeaveRingError::Stopped) => Err(Status::unavailable(error.to_string())),
        Err(error) => Err(Status::failed_precondition(error.to_string())),
    }
}

pub(super) async fn rejoin(
    member: Ringpop,
    _request: proto::RejoinRequest,
) -> Result<proto::RejoinResponse, Status> {
    match member.rejoin(ADMIN_REJOIN_LIMIT).await {
        Ok(joined) => Ok(proto::RejoinResponse { members: short(joined.members) }),
        Err(error @ (RejoinError::State(_) | RejoinError::NotAway)) => {
            Err(Status::failed_precondition(error.to_string()))
        }
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

pub(super) async fn reap(
    member: Ringpop,
    request: proto::ReapRequest,
) -> Result<proto::ReapResponse, Status> {
    let reaped = if request.address.is_empty() {
        member.reap_faulty().await
    } else {
        member.reap(&request.address).await.map(|()| 1)
    };
    match reaped {
        Ok(reaped) => Ok(proto::ReapResponse { reaped: short(reaped) }),
        Err(error @ ReapError::Unknown(_)) => Err(Status::not_found(error.to_string())),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

pub(super) async fn heal(
    member: Ringpop,
    _request: proto::HealRequest,
) -> Result<proto::HealResponse, Status> {
    match member.heal().await {
        Ok(healed) => Ok(proto::HealResponse {
            contacted: healed.contacted.iter().map(Address::to_string).collect(),
            failures: short(healed.failures),
        }),
        Err(error @ HealError::Refused(_)) => Err(Status::failed_precondition(error.to_string())),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

pub(super) async fn change_labels(
    member: Ringpop,
    request: proto::ChangeLabelsRequest,
) -> Result<proto::ChangeLabelsResponse, Status> {
    let proto::ChangeLabelsRequest { set, remove } = request;
    let changes = set.len() + remove.len();
    if changes > ADMIN_LABELS_MAX {
        return Err(Status::invalid_argument(format!(
            "{changes} labels are named, at most {ADMIN_LABELS_MAX} may be"
        )));
    }
    let mut keys: Vec<&str> = set.iter().map(|label| &*label.key).collect();
    keys.extend(remove.iter().map(|key| &**key));
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Status::invalid_argument(format!("label {:?} is named twice", twice[0])));
    }
    let set = set.into_iter().map(|label| (label.key, label.value));
    match member.change_labels(set, remove).await {
        Ok(all) => Ok(proto::ChangeLabelsResponse { labels: labels(&all) }),
        Err(error @ SetLabelsError::Stopped) => Err(Status::unavailable(error.to_string())),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}
