//! Arguments that are spread over frames.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::call::{CallRequest, CallResponse, Fragment, MORE};
use super::checksum::ChecksumKind;
use super::fields::Malformed;
use super::{FRAME_BYTES_MAX, HEADER_BYTES, Kind, finish, header};

/// The three arguments of a call or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// In a call the endpoint; empty in an answer.
    pub arg1: Bytes,
    /// Application headers.
    pub arg2: Bytes,
    /// The body.
    pub arg3: Bytes,
}

/// Joins the fragments of one call or answer.
#[derive(Debug)]
pub struct Assembler {
    args: [BytesMut; 3],
    /// The argument that is being read.
    current: usize,
    kind: Option<ChecksumKind>,
    checksum: u32,
    bytes: usize,
    bytes_max: usize,
}

impl Assembler {
    /// One that takes up to `bytes_max` bytes of arguments.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            args: [BytesMut::new(), BytesMut::new(), BytesMut::new()],
            current: 0,
            kind: None,
            checksum: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// Bytes of arguments that it holds.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next fragment; gives the arguments when it was the last.
    ///
    /// # Errors
    ///
    /// When the checksum is wrong, the arguments are too long, or there are
    /// not three of them. The call is lost then, and further fragments of it
    /// belong to nothing.
    pub fn push(&mut self, fragment: &Fragment) -> Result<Option<Args>, Malformed> {
        let kind = *self.kind.get_or_insert(fragment.checksum.kind);
        if kind != fragment.checksum.kind {
            return Err(Malformed("checksum type changes within a call"));
        }
        for (i, chunk) in fragment.chunks.iter().enumerate() {
            if i > 0 {
                self.current += 1;
            }
            let Some(arg) = self.args.get_mut(self.current) else {
                return Err(Malformed("more than three arguments"));
            };
            self.bytes += chunk.len();
            if self.bytes > self.bytes_max {
                return Err(Malformed("arguments are too long"));
            }
            arg.put_slice(chunk);
            self.checksum = kind.extend(self.checksum, chunk);
        }
        if fragment.checksum.value != self.checksum {
            return Err(Malformed("checksum is wrong"));
        }
        if fragment.more {
            return Ok(None);
        }
        if self.current != 2 {
            return Err(Malformed("fewer than three arguments"));
        }
        let [arg1, arg2, arg3] = std::mem::take(&mut self.args).map(BytesMut::freeze);
        Ok(Some(Args { arg1, arg2, arg3 }))
    }
}

/// What stands before the arguments.
#[derive(Clone, Copy, Debug)]
enum Head<'a> {
    Request(&'a CallRequest),
    Response(&'a CallResponse),
}

impl CallRequest {
    /// The call as the bytes of one or more frames.
    #[must_use]
    pub fn encode(&self, id: u32, args: &Args, checksum: ChecksumKind) -> Vec<Bytes> {
        split(Head::Request(self), id, args, checksum)
    }
}

impl CallResponse {
    /// The answer as the bytes of one or more frames.
    #[must_use]
    pub fn encode(&self, id: u32, args: &Args, checksum: ChecksumKind) -> Vec<Bytes> {
        split(Head::Response(self), id, args, checksum)
    }
}

/// Spreads arguments over as many frames as they need.
///
/// An argument ends where another piece follows it in the same frame. One that
/// ends with its frame is therefore ended by an empty piece in the next.
fn split(head: Head<'_>, id: u32, args: &Args, kind: ChecksumKind) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut writer = Writer::first(head, id, kind);
    for (i, arg) in [&args.arg1, &args.arg2, &args.arg3].into_iter().enumerate() {
        let mut rest = &arg[..];
        loop {
            rest = writer.put(rest);
            let ended = i == 2 || writer.room() >= CHUNK_HEAD_BYTES;
            if rest.is_empty() && ended {
                break;
            }
            let next = writer.next(head, id);
            frames.push(std::mem::replace(&mut writer, next).finish(true));
        }
    }
    frames.push(writer.finish(false));
    frames
}

/// Bytes of the length of a piece.
const CHUNK_HEAD_BYTES: usize = 2;

/// One frame that is being filled.
struct Writer {
    bytes: BytesMut,
    kind: ChecksumKind,
    checksum: u32,
    /// Where the value of the checksum belongs.
    checksum_at: usize,
}

impl Writer {
    fn first(head: Head<'_>, id: u32, kind: ChecksumKind) -> Self {
        let (frame, head) = match head {
            Head::Request(request) => (Kind::CallRequest, request.head()),
            Head::Response(response) => (Kind::CallResponse, response.head()),
        };
        let mut bytes = header(frame, id);
        bytes.put_slice(&head);
        Self::with_checksum(bytes, kind, 0)
    }

    fn next(&self, head: Head<'_>, id: u32) -> Self {
        let frame = match head {
            Head::Request(_) => Kind::CallRequestContinue,
            Head::Response(_) => Kind::CallResponseContinue,
        };
        let mut bytes = header(frame, id);
        bytes.put_u8(0);
        Self::with_checksum(bytes, self.kind, self.checksum)
    }

    fn with_checksum(mut bytes: BytesMut, kind: ChecksumKind, checksum: u32) -> Self {
        bytes.put_u8(kind.code());
        let checksum_at = bytes.len();
        if kind != ChecksumKind::None {
            bytes.put_u32(0);
        }
        Self { bytes, kind, checksum, checksum_at }
    }

    fn room(&self) -> usize {
        FRAME_BYTES_MAX - self.bytes.len()
    }

    /// Writes as much of an argument as fits; gives back the rest.
    fn put<'a>(&mut self, arg: &'a [u8]) -> &'a [u8] {
        let n = arg.len().min(self.room() - CHUNK_HEAD_BYTES);
        let (chunk, rest) = arg.split_at(n);
        self.bytes.put_u16(n as u16);
        self.bytes.put_slice(chunk);
        self.checksum = self.kind.extend(self.checksum, chunk);
        rest
    }

    fn finish(mut self, more: bool) -> Bytes {
        if more {
            self.bytes[HEADER_BYTES] |= MORE;
        }
        if self.kind != ChecksumKind::None {
            let value = self.checksum.to_be_bytes();
            self.bytes[self.checksum_at..][..value.len()].copy_from_slice(&value);
        }
        finish(self.bytes)
    }
}
