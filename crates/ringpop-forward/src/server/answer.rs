//! Answers that this process gives without asking a handler.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::limits::REFUSED_HEADER;
use crate::server::drain::Refusal;

/// In which form a request or response says how a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// In `grpc-status`, in trailers.
    Grpc,
    /// As [`Grpc`](Self::Grpc), with the trailers in the body, which is not looked at here.
    GrpcWeb,
    /// As [`GrpcWeb`](Self::GrpcWeb), with the body in base64.
    GrpcWebText,
    /// In the status of HTTP.
    Http,
}

const GRPC: &[u8] = b"application/grpc";
const GRPC_WEB: &[u8] = b"application/grpc-web";
const GRPC_WEB_TEXT: &[u8] = b"application/grpc-web-text";

impl Protocol {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_TYPE) else { return Self::Http };
        let value = value.as_bytes();
        if is_media_type(value, GRPC) {
            Self::Grpc
        } else if is_media_type(value, GRPC_WEB_TEXT) {
            Self::GrpcWebText
        } else if is_media_type(value, GRPC_WEB) {
            Self::GrpcWeb
        } else {
            Self::Http
        }
    }

    pub(crate) fn is_grpc(self) -> bool {
        self == Self::Grpc
    }
}

/// Whether `value` is this media type, a format of it (`+proto`), or either with parameters (RFC
/// 9110 section 8.3.1).
fn is_media_type(value: &[u8], media_type: &[u8]) -> bool {
    value.split_at_checked(media_type.len()).is_some_and(|(name, rest)| {
        name.eq_ignore_ascii_case(media_type)
            && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
    })
}

/// Whether a request or response speaks gRPC, so that its status travels in `grpc-status`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    Protocol::of(headers).is_grpc()
}

/// Answers with a status, in the language of the request.
pub(crate) fn answer(status: Status, protocol: Protocol) -> Response<Body> {
    let content_type = match protocol {
        Protocol::Grpc => return status.into_http(),
        Protocol::GrpcWeb => HeaderValue::from_static("application/grpc-web+proto"),
        Protocol::GrpcWebText => HeaderValue::from_static("application/grpc-web-text+proto"),
        Protocol::Http => return answer_http(&status),
    };
    // Without a message the status is in the head there as well.
    let mut response = status.into_http();
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn answer_http(status: &Status) -> Response<Body> {
    let mut response = Response::new(Body::new(Text(Some(status.message().to_owned().into()))));
    *response.status_mut() = http_status(status.code());
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

/// Refuses a request before a handler saw it. Of a process that is about to stop, the sender asks
/// the next owner; of an overloaded one nobody else: the load of one owner must not become the load
/// of all.
pub(crate) fn refuse(refusal: Refusal, protocol: Protocol) -> Response<Body> {
    let status = match refusal {
        Refusal::Draining => Status::unavailable("this process is about to stop"),
        Refusal::Overloaded => {
            let message = "this process has as many calls in flight as it may; see max_in_flight";
            Status::resource_exhausted(message)
        }
    };
    let mut response = answer(status, protocol);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart_to_their_end() {
        for (text, expected) in [
            ("application/grpc", Protocol::Grpc),
            ("application/grpc+proto", Protocol::Grpc),
            ("application/grpc;charset=utf-8", Protocol::Grpc),
            ("application/grpc ; charset=utf-8", Protocol::Grpc),
            ("Application/gRPC+Proto", Protocol::Grpc),
            ("application/grpc-web", Protocol::GrpcWeb),
            ("application/grpc-web+proto", Protocol::GrpcWeb),
            ("application/grpc-web-text", Protocol::GrpcWebText),
            ("application/grpc-web-text+proto", Protocol::GrpcWebText),
            ("application/grpc-websocket", Protocol::Http),
            ("application/grpcx", Protocol::Http),
            ("application/json", Protocol::Http),
            ("", Protocol::Http),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(text).unwrap());
            assert_eq!(Protocol::of(&headers), expected, "{text:?}");
        }
        assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::Http);
    }
}
