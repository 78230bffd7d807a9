//! Answers to gRPC calls that no gRPC server gave: pages of proxies, of servers of something else.
//!
//! They have no `grpc-status`. gRPC says which code stands for each HTTP status
//! (`doc/http-grpc-status-mapping.md` of the gRPC repository), and a caller gets that code instead
//! of a page that it cannot read.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use tonic::{Code, Status};

use crate::body::ReadAhead;
use crate::resolver::Peer;
use crate::server::answer::Protocol;

/// The HTTP status of a response that was made a gRPC response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpError(pub(crate) StatusCode);

impl HttpError {
    /// The HTTP status of a response that had no gRPC status.
    pub(crate) fn of<B>(response: &Response<B>) -> Option<Self> {
        response.extensions().get().copied()
    }

    /// Whether the server says that the failure is on its side.
    pub(crate) fn is_servers_fault(self) -> bool {
        !self.0.is_client_error() || self.0 == StatusCode::TOO_MANY_REQUESTS
    }
}

/// Gives the response to a gRPC call as it came, if it is one of gRPC, and otherwise the status
/// that stands for it.
pub(crate) fn as_grpc<B>(response: Response<ReadAhead<B>>, peer: &Peer) -> Response<ReadAhead<B>> {
    if is_grpc_response(&response) {
        return response;
    }
    let http_status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let message = format!(
        "owner {} answered HTTP {http_status} with content type {} and no grpc-status",
        peer.address(),
        content_type.unwrap_or("none"),
    );
    let mut response = response.map(ReadAhead::without_content);
    *response.status_mut() = StatusCode::OK;
    response.extensions_mut().insert(HttpError(http_status));
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_ENCODING);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // Fails for metadata and details that are no header values, and there are none.
    let _ = Status::new(code_of(http_status), message).add_header(headers);
    response
}

fn is_grpc_response<B>(response: &Response<ReadAhead<B>>) -> bool {
    let has_status = response.headers().contains_key(Status::GRPC_STATUS)
        || response.body().trailers().is_some_and(|map| map.contains_key(Status::GRPC_STATUS));
    // Some servers leave the content type out; a page never does.
    let may_have_status = response.status() == StatusCode::OK
        && (!response.headers().contains_key(CONTENT_TYPE)
            || Protocol::of(response.headers()) == Protocol::Grpc);
    has_status || may_have_status
}

/// The table of `doc/http-grpc-status-mapping.md`.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_http_status_has_its_code() {
        for (status, code) in [
            (200, Code::Unknown),
            (302, Code::Unknown),
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (418, Code::Unknown),
            (429, Code::Unavailable),
            (500, Code::Unknown),
            (501, Code::Unknown),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
            (505, Code::Unknown),
        ] {
            assert_eq!(code_of(StatusCode::from_u16(status).unwrap()), code, "{status}");
        }
    }

    #[test]
    fn refused_callers_say_nothing_about_a_server() {
        for (status, expected) in
            [(200, true), (401, false), (404, false), (429, true), (500, true), (503, true)]
        {
            let error = HttpError(StatusCode::from_u16(status).unwrap());
            assert_eq!(error.is_servers_fault(), expected, "{status}");
        }
    }
}
