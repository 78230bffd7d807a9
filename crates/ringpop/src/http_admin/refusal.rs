//! Answers that say why there is no other.

use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::{Code, Status};

use super::answers::Json;

/// A request that was not carried out.
#[derive(Debug)]
pub(super) struct Refusal {
    code: StatusCode,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Body {
    error: Reason,
}

#[derive(Debug, Serialize)]
struct Reason {
    status: u16,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: StatusCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let code = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::FailedPrecondition | Code::Aborted => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self::new(code, status.message())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let reason = Reason { status: self.code.as_u16(), message: self.reason };
        (self.code, Json(Body { error: reason })).into_response()
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    let reason =
        format!("there is nothing at {}: see /api/v1/openapi.json for the paths", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, reason)
}

pub(super) async fn no_such_method(method: Method) -> Refusal {
    let reason = format!("{method} means nothing here: see /api/v1/openapi.json for the methods");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason)
}
