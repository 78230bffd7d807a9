//! The level of the log, asked and set.

use std::future::ready;

use ringpop_forward::with_causes;
use tonic::Status;

use super::state::AdminState;
use crate::generated as proto;
use crate::limits::ADMIN_LOG_DIRECTIVES_BYTES_MAX;
use crate::log_control::{LogControl, LogControlError};
use crate::member::Ringpop;

fn control(state: &AdminState) -> Result<&dyn LogControl, Status> {
    state.log_control.as_deref().ok_or_else(|| {
        Status::failed_precondition(
            "this process gave no way to control its log: set Builder::log_control",
        )
    })
}

fn failed(error: &LogControlError) -> Status {
    let text = with_causes(error);
    match error {
        LogControlError::Invalid(_) => Status::invalid_argument(text),
        LogControlError::Unavailable(_) => Status::unavailable(text),
    }
}

pub(super) fn get(state: &AdminState) -> Result<proto::GetLogLevelResponse, Status> {
    let directives = control(state)?.directives().map_err(|error| failed(&error))?;
    Ok(proto::GetLogLevelResponse { directives })
}

pub(super) fn set(
    member: Ringpop,
    request: proto::SetLogLevelRequest,
) -> impl Future<Output = Result<proto::SetLogLevelResponse, Status>> {
    ready(change(&member.0.admin, &request.directives))
}

fn change(state: &AdminState, directives: &str) -> Result<proto::SetLogLevelResponse, Status> {
    let bytes = directives.len();
    if bytes > ADMIN_LOG_DIRECTIVES_BYTES_MAX {
        return Err(Status::invalid_argument(format!(
            "directives have {bytes} bytes, at most {ADMIN_LOG_DIRECTIVES_BYTES_MAX} are allowed"
        )));
    }
    let control = control(state)?;
    let directives_before = control.directives().map_err(|error| failed(&error))?;
    control.set_directives(directives).map_err(|error| failed(&error))?;
    Ok(proto::SetLogLevelResponse { directives_before })
}
