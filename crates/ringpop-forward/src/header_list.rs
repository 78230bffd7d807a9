//! Header lists: their size as HTTP/2 counts it, and the status that is left of one that is too
//! large.
//!
//! gRPC's own implementations answer RESOURCE_EXHAUSTED for metadata that is larger than they take,
//! of a request as well as of a response ("received metadata size exceeds hard limit" in C core).
//! Here a status that says more than OK keeps its code: the handler has run, and the caller learns
//! how that went even though the metadata is lost.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Request};
use tonic::{Code, Status};

use crate::limits::{
    CUT_MESSAGE_BYTES, GRPC_MESSAGE_HEADER, GRPC_PUSHBACK_HEADER, HANDLED_BY_HEADER, HOPS_HEADER,
    REFUSED_HEADER, VIEW_HEADER,
};

/// What each field counts beyond its name and value (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// The pseudo-header field `:status` with its three digits.
const STATUS_FIELD: usize = field(":status".len(), 3);

const fn field(name: usize, value: usize) -> usize {
    name + value + FIELD_OVERHEAD
}

/// The size of these fields.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| field(name.as_str().len(), value.len())).sum()
}

/// The size of the header list of a request.
pub(crate) fn size_of_request<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let path = uri.path_and_query().map_or(1, |path| path.as_str().len());
    let authority = uri.authority().map(|authority| authority.as_str().len());
    field(":method".len(), request.method().as_str().len())
        + field(":path".len(), path)
        + field(":scheme".len(), uri.scheme_str().map_or(0, str::len))
        + authority.map_or(0, |authority| field(":authority".len(), authority))
        + size(request.headers())
}

/// The size of the header list of a response, but for what members add to explain it.
pub(crate) fn size_of_response(headers: &HeaderMap) -> usize {
    let explanation = [HANDLED_BY_HEADER, HOPS_HEADER].into_iter().filter_map(|name| {
        let value = headers.get(&name)?;
        Some(field(name.as_str().len(), value.len()))
    });
    STATUS_FIELD + size(headers) - explanation.sum::<usize>()
}

/// Why a request is not taken or sent.
pub(crate) fn request_too_large(size: usize, limit: usize, whose: &str) -> Status {
    Status::resource_exhausted(format!(
        "header list of the request has {size} bytes, {whose} takes less than {limit}; see header_list_bytes"
    ))
}

/// Why a response is not passed on.
pub(crate) fn response_too_large(size: usize, limit: usize) -> Status {
    Status::resource_exhausted(response_text(size, limit))
}

fn response_text(size: usize, limit: usize) -> String {
    format!(
        "header list of the response has {size} bytes, less than {limit} are taken; see header_list_bytes"
    )
}

/// The headers that stay beside a status: they decide whether a call may be sent again, or were
/// written by a member.
const KEPT: [HeaderName; 6] = [
    CONTENT_TYPE,
    GRPC_PUSHBACK_HEADER,
    REFUSED_HEADER,
    VIEW_HEADER,
    HANDLED_BY_HEADER,
    HOPS_HEADER,
];

/// Takes the place of a header list that is too large, and has a gRPC status: the same status
/// without its metadata, and with a text that says so. A call that ended well did not, for the
/// caller: it lacks a part of its answer.
pub(crate) fn cut(headers: &HeaderMap, size: usize, limit: usize) -> Option<HeaderMap> {
    // Details are base64 of any length, which nobody is going to read.
    let code = Code::from_bytes(headers.get(Status::GRPC_STATUS)?.as_bytes());
    let status = match code {
        Code::Ok => response_too_large(size, limit),
        code => {
            let mut text = message(headers);
            text.push_str("; ");
            text.push_str(&response_text(size, limit));
            Status::new(code, text)
        }
    };
    let mut left = HeaderMap::with_capacity(4);
    for name in KEPT {
        let short = headers.get(&name).filter(|value| value.len() <= CUT_MESSAGE_BYTES);
        if let Some(value) = short {
            left.insert(name, value.clone());
        }
    }
    status.add_header(&mut left).ok()?;
    Some(left)
}

/// The beginning of the text of a status.
fn message(headers: &HeaderMap) -> String {
    let mut only = HeaderMap::with_capacity(2);
    for name in [Status::GRPC_STATUS, GRPC_MESSAGE_HEADER] {
        if let Some(value) = headers.get(&name) {
            only.insert(name, value.clone());
        }
    }
    let status = Status::from_header_map(&only);
    let mut text = status.map(|status| status.message().to_owned()).unwrap_or_default();
    let mut end = text.len().min(CUT_MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::hop::header::Hop;
    use crate::limits::{
        EXPLAIN_HEADER, FORWARD_HEADERS_BYTES, GRPC_ATTEMPTS_HEADER, GRPC_TIMEOUT_HEADER,
        HOP_HEADER, HOP_HEADER_BYTES_MAX, KEY_BIN_HEADER, KEY_BYTES_MAX, NAME_BYTES_MAX,
    };

    #[test]
    fn the_largest_of_our_headers_fit_into_their_room() {
        let mut headers = HeaderMap::new();
        let name = "n".repeat(NAME_BYTES_MAX);
        let path = ["p"; 400].join(",");
        let hop = Hop { hops: u8::MAX, path: &path, ..Hop::first(&name, u64::MAX) }.to_value();
        assert!(hop.len() > HOP_HEADER_BYTES_MAX - 10, "{hop:?}");
        headers.insert(HOP_HEADER, hop);
        headers.insert(GRPC_TIMEOUT_HEADER, HeaderValue::from_static("99999999H"));
        headers.insert(EXPLAIN_HEADER, HeaderValue::from_static("1"));
        headers.insert(GRPC_ATTEMPTS_HEADER, HeaderValue::from(u32::MAX));
        crate::route::key::write(
            &mut headers,
            &crate::route::key::Key::from(vec![0; KEY_BYTES_MAX]),
        );
        assert!(headers.contains_key(KEY_BIN_HEADER));
        let authority = field(":authority".len(), NAME_BYTES_MAX);
        let https = "https".len() - "http".len();
        let all = size(&headers) + authority + https;
        let room = FORWARD_HEADERS_BYTES as usize;
        assert!((room / 2..=room).contains(&all), "{all}");
    }

    fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    #[test]
    fn fields_count_as_in_http_2() {
        let head = Request::post("http://a:1/b").header("x-c", "de").body(()).unwrap();
        let pseudo = (7 + 4 + 32) + (5 + 2 + 32) + (7 + 4 + 32) + (10 + 3 + 32);
        assert_eq!(size_of_request(&head), pseudo + 3 + 2 + 32);
        let explained = fields(&[("ringpop-handled-by", "me"), ("ringpop-hops", "1"), ("a", "b")]);
        assert_eq!(size_of_response(&explained), (7 + 3 + 32) + (1 + 1 + 32));
    }

    #[test]
    fn a_failed_call_keeps_its_code_and_the_beginning_of_its_text() {
        let text = "%C3%BC".repeat(CUT_MESSAGE_BYTES);
        let status = [("grpc-status", "9"), ("grpc-message", text.as_str())];
        let mut headers = fields(&status);
        headers.insert("x-large", HeaderValue::from_static("much"));
        headers.insert(GRPC_PUSHBACK_HEADER, HeaderValue::from_static("7"));
        let left = cut(&headers, 70_000, 16_384).unwrap();
        assert!(size(&left) < 8 * CUT_MESSAGE_BYTES, "{}", size(&left));
        assert!(!left.contains_key("x-large") && left.contains_key(GRPC_PUSHBACK_HEADER));
        let status = Status::from_header_map(&left).unwrap();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().starts_with("üüü") && status.message().contains("70000"));
    }

    #[test]
    fn a_call_that_ended_well_lacks_a_part_of_its_answer() {
        let left = cut(&fields(&[("grpc-status", "0")]), 70_000, 16_384).unwrap();
        assert_eq!(left["grpc-status"], "8");
        assert!(cut(&fields(&[("x-other", "1")]), 70_000, 16_384).is_none());
    }
}
