//! The commands that take members off the ring and put them back.

use std::time::Duration;

use tonic::Status;

use crate::command_error::EvictError;
use crate::generated as proto;
use crate::member::Ringpop;

fn refused(error: &EvictError) -> Status {
    let reason = error.to_string();
    match error {
        EvictError::Unknown(_) => Status::not_found(reason),
        EvictError::Time(_) => Status::invalid_argument(reason),
        EvictError::Full => Status::resource_exhausted(reason),
        EvictError::Stopped => Status::unavailable(reason),
        EvictError::NotEvicted(_) | EvictError::Labels(_) => Status::failed_precondition(reason),
    }
}

pub(super) async fn evict(
    member: Ringpop,
    request: proto::EvictRequest,
) -> Result<proto::EvictResponse, Status> {
    let time = Duration::from_millis(request.time_ms);
    match member.evict(&request.address, time).await {
        Ok(until_unix_ms) => Ok(proto::EvictResponse { until_unix_ms }),
        Err(error) => Err(refused(&error)),
    }
}

pub(super) async fn undo_evict(
    member: Ringpop,
    request: proto::UndoEvictRequest,
) -> Result<proto::UndoEvictResponse, Status> {
    match member.undo_evict(&request.address).await {
        Ok(()) => Ok(proto::UndoEvictResponse {}),
        Err(error) => Err(refused(&error)),
    }
}

pub(super) async fn drain(
    member: Ringpop,
    _request: proto::DrainRequest,
) -> Result<proto::DrainResponse, Status> {
    match member.drain().await {
        Ok(changed) => Ok(proto::DrainResponse { changed }),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

pub(super) async fn undrain(
    member: Ringpop,
    _request: proto::UndrainRequest,
) -> Result<proto::UndrainResponse, Status> {
    match member.undrain().await {
        Ok(changed) => Ok(proto::UndrainResponse { changed }),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}
