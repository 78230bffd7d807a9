//! Answers that this process gives without asking a handler.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::constants::REFUSED_HEADER;
use crate::drain::Refusal;

/// Whether a request or response speaks gRPC, so that its status travels in `grpc-status`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Answers with a status, in the language of the request.
pub(crate) fn answer(status: Status, is_grpc: bool) -> Response<Body> {
    if is_grpc {
        return status.into_http();
    }
    let mut response = Response::new(Body::new(Text(Some(status.message().to_owned().into()))));
    *response.status_mut() = http_status(status.code());
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// Refuses a request before a handler saw it, so that its sender can ask the next owner.
pub(crate) fn refuse(refusal: Refusal, is_grpc: bool) -> Response<Body> {
    let status = match refusal {
        Refusal::Draining => Status::unavailable("this process is about to stop"),
        Refusal::Overloaded => {
            let message = "this process has as many calls in flight as it may; see max_in_flight";
            Status::resource_exhausted(message)
        }
    };
    let mut response = answer(status, is_grpc);
    response.headers_mut().insert(REFUSED_HEADER, HeaderValue::from_static(refusal.token()));
    response
}

/// The few codes that a forwarder itself answers, for callers that speak plain HTTP.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::FailedPrecondition => StatusCode::LOOP_DETECTED,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unavailable | Code::ResourceExhausted => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// A body of one piece.
struct Text(Option<Bytes>);

impl http_body::Body for Text {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Status>>> {
        std::task::Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
