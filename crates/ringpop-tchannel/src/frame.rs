//! TChannel frames, version 2: what stands in the bytes, without any I/O.
//!
//! A connection is a sequence of frames in each direction. A frame is a header
//! of 16 bytes (size, type, id; the rest is reserved) and a body whose form its
//! type decides. All numbers are big-endian. A call is one frame, or several
//! when its arguments do not fit one; [`Assembler`] joins them again.

mod call;
mod checksum;
mod error;
mod fields;
mod init;
mod message;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub use self::{
    call::{CallRequest, CallResponse, Fragment, Headers, ResponseCode},
    checksum::{Checksum, ChecksumKind},
    error::{ErrorCode, ErrorFrame},
    fields::Malformed,
    init::Init,
    message::{Args, Assembler},
};

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 2;

/// Bytes of a frame header.
pub const HEADER_BYTES: usize = 16;

/// Bytes of the largest frame, header included: its size is a 16-bit number.
pub const FRAME_BYTES_MAX: usize = u16::MAX as usize;

/// The id of an error frame that concerns the connection and no single call.
pub const NO_ID: u32 = u32::MAX;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: Kind,
    /// Ties an answer to its request. Each side numbers its own requests.
    pub id: u32,
    /// The body, without the header.
    pub body: Bytes,
}

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first frame of who opened the connection: [`Init`].
    InitRequest,
    /// The answer to it: [`Init`].
    InitResponse,
    /// A call, or its first part: [`CallRequest`].
    CallRequest,
    /// The answer to a call, or its first part: [`CallResponse`].
    CallResponse,
    /// A further part of a call: [`Fragment`].
    CallRequestContinue,
    /// A further part of an answer: [`Fragment`].
    CallResponseContinue,
    /// The caller no longer wants an answer. May be ignored.
    Cancel,
    /// Another process took the call on. May be ignored.
    Claim,
    /// Asks whether the connection works.
    PingRequest,
    /// Says that it does.
    PingResponse,
    /// A call or the connection failed: [`ErrorFrame`].
    Error,
    /// A type that the specification does not have.
    Unknown(u8),
}

impl Kind {
    /// The type with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0x01 => Self::InitRequest,
            0x02 => Self::InitResponse,
            0x03 => Self::CallRequest,
            0x04 => Self::CallResponse,
            0x13 => Self::CallRequestContinue,
            0x14 => Self::CallResponseContinue,
            0xc0 => Self::Cancel,
            0xc1 => Self::Claim,
            0xd0 => Self::PingRequest,
            0xd1 => Self::PingResponse,
            0xff => Self::Error,
            other => Self::Unknown(other),
        }
    }

    /// The number of the type.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::InitRequest => 0x01,
            Self::InitResponse => 0x02,
            Self::CallRequest => 0x03,
            Self::CallResponse => 0x04,
            Self::CallRequestContinue => 0x13,
            Self::CallResponseContinue => 0x14,
            Self::Cancel => 0xc0,
            Self::Claim => 0xc1,
            Self::PingRequest => 0xd0,
            Self::PingResponse => 0xd1,
            Self::Error => 0xff,
            Self::Unknown(code) => code,
        }
    }
}

impl Frame {
    /// A frame without a body.
    #[must_use]
    pub const fn empty(kind: Kind, id: u32) -> Self {
        Self { kind, id, body: Bytes::new() }
    }

    /// Takes the first frame from a buffer; `None` while it is not complete.
    ///
    /// # Errors
    ///
    /// When the size that the header gives is smaller than the header itself:
    /// where the next frame begins is then unknown.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, Malformed> {
        let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let size = usize::from(u16::from_be_bytes([header[0], header[1]]));
        if size < HEADER_BYTES {
            return Err(Malformed("size of a frame is below that of its header"));
        }
        let (kind, id) = (Kind::from_code(header[2]), [header[4], header[5], header[6], header[7]]);
        if buffer.len() < size {
            // One allocation for the rest instead of several that grow.
            buffer.reserve(size - buffer.len());
            return Ok(None);
        }
        let mut body = buffer.split_to(size).freeze();
        body.advance(HEADER_BYTES);
        Ok(Some(Self { kind, id: u32::from_be_bytes(id), body }))
    }

    /// The frame as bytes.
    ///
    /// # Panics
    ///
    /// When the body exceeds [`FRAME_BYTES_MAX`] less the header. The functions
    /// of this module make none that does.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = header(self.kind, self.id);
        bytes.put_slice(&self.body);
        finish(bytes)
    }
}

/// The header of a frame whose size is not known yet.
fn header(kind: Kind, id: u32) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u16(0);
    bytes.put_u8(kind.code());
    bytes.put_u8(0);
    bytes.put_u32(id);
    bytes.put_u64(0);
    bytes
}

/// Writes the size into the header.
fn finish(mut bytes: BytesMut) -> Bytes {
    let size = u16::try_from(bytes.len()).expect("a frame is filled up to FRAME_BYTES_MAX");
    bytes[..2].copy_from_slice(&size.to_be_bytes());
    bytes.freeze()
}

#[cfg(test)]
mod tests;
