//! Calls and their answers, frame by frame.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::checksum::Checksum;
use super::fields::{Fields, Malformed, put_short, text};
use super::{Frame, Kind};

/// Bytes of the tracing field: three ids and flags. It is sent as zeros, which
/// switches tracing off, and ignored.
pub(super) const TRACING_BYTES: usize = 25;

/// Set in the flags of a frame that another one of the same call follows.
pub(super) const MORE: u8 = 1;

/// Transport headers of one call. Other implementations send up to five.
const HEADERS_MAX: u8 = 64;

/// Transport headers: a short list of keys and values, such as `as` (the form
/// of the arguments) and `cn` (the name of the caller).
pub type Headers = Vec<(String, String)>;

/// The beginning of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// How long the caller waits, in milliseconds; never 0.
    pub ttl_ms: u32,
    /// The service that is called.
    pub service: String,
    /// Transport headers.
    pub headers: Headers,
}

/// The beginning of the answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallResponse {
    /// Whether the application served the call.
    pub code: ResponseCode,
    /// Transport headers.
    pub headers: Headers,
}

/// Whether the application served a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// It did.
    Ok,
    /// It answered with an error of its own.
    Error,
}

/// The part of the arguments that is in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Whether another frame of the same call follows.
    pub more: bool,
    /// Over the arguments up to here.
    pub checksum: Checksum,
    /// Pieces of arguments: a piece that another follows ends its argument.
    pub chunks: Vec<Bytes>,
}

impl CallRequest {
    /// Takes the beginning of a call and the part of its arguments from a
    /// frame.
    ///
    /// # Errors
    ///
    /// When the body is malformed or gives the call no time.
    pub fn decode(frame: &Frame) -> Result<(Self, Fragment), Malformed> {
        let mut fields = Fields(frame.body.clone());
        let more = fields.u8()? & MORE != 0;
        let ttl_ms = fields.u32()?;
        if ttl_ms == 0 {
            return Err(Malformed("time to live of a call is 0"));
        }
        fields.bytes(TRACING_BYTES)?;
        let service = text(&fields.short()?);
        let headers = take_headers(&mut fields)?;
        let fragment = Fragment::take(more, fields)?;
        Ok((Self { ttl_ms, service, headers }, fragment))
    }

    /// What precedes the arguments in the first frame.
    pub(super) fn head(&self) -> BytesMut {
        let mut head = BytesMut::new();
        head.put_u8(0);
        head.put_u32(self.ttl_ms);
        head.put_bytes(0, TRACING_BYTES);
        put_short(&mut head, self.service.as_bytes());
        put_headers(&mut head, &self.headers);
        head
    }
}

impl CallResponse {
    /// Takes the beginning of an answer and the part of its arguments from a
    /// frame.
    ///
    /// # Errors
    ///
    /// When the body is malformed.
    pub fn decode(frame: &Frame) -> Result<(Self, Fragment), Malformed> {
        let mut fields = Fields(frame.body.clone());
        let more = fields.u8()? & MORE != 0;
        let code = if fields.u8()? == 0 { ResponseCode::Ok } else { ResponseCode::Error };
        fields.bytes(TRACING_BYTES)?;
        let headers = take_headers(&mut fields)?;
        let fragment = Fragment::take(more, fields)?;
        Ok((Self { code, headers }, fragment))
    }

    pub(super) fn head(&self) -> BytesMut {
        let mut head = BytesMut::new();
        head.put_u8(0);
        head.put_u8(match self.code {
            ResponseCode::Ok => 0,
            ResponseCode::Error => 1,
        });
        head.put_bytes(0, TRACING_BYTES);
        put_headers(&mut head, &self.headers);
        head
    }
}

impl Fragment {
    /// Takes the part of the arguments from a frame that continues a call or
    /// an answer.
    ///
    /// # Errors
    ///
    /// When the body is malformed.
    pub fn decode(frame: &Frame) -> Result<Self, Malformed> {
        debug_assert!(matches!(frame.kind, Kind::CallRequestContinue | Kind::CallResponseContinue));
        let mut fields = Fields(frame.body.clone());
        let more = fields.u8()? & MORE != 0;
        Self::take(more, fields)
    }

    fn take(more: bool, mut fields: Fields) -> Result<Self, Malformed> {
        let checksum = Checksum::take(&mut fields)?;
        let mut chunks = Vec::new();
        while !fields.is_empty() {
            chunks.push(fields.long()?);
            if chunks.len() > 3 {
                return Err(Malformed("more than three arguments in one frame"));
            }
        }
        Ok(Self { more, checksum, chunks })
    }
}

fn take_headers(fields: &mut Fields) -> Result<Headers, Malformed> {
    let count = fields.u8()?;
    if count > HEADERS_MAX {
        return Err(Malformed("too many transport headers"));
    }
    (0..count).map(|_| Ok((text(&fields.short()?), text(&fields.short()?)))).collect()
}

fn put_headers(buffer: &mut BytesMut, headers: &Headers) {
    let count = headers.len().min(usize::from(HEADERS_MAX));
    buffer.put_u8(count as u8);
    for (key, value) in &headers[..count] {
        put_short(buffer, key.as_bytes());
        put_short(buffer, value.as_bytes());
    }
}
