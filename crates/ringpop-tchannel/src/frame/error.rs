//! The frame that says that a call or a connection failed.

use bytes::{BufMut as _, BytesMut};

use super::call::TRACING_BYTES;
use super::fields::{Fields, Malformed, put_long, text};
use super::{Frame, Kind};

/// Longest message that is sent.
const MESSAGE_BYTES_MAX: u16 = 1024;

/// What went wrong, in the words of the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFrame {
    /// The class of the error.
    pub code: ErrorCode,
    /// What happened.
    pub message: String,
}

/// The class of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The time of the call was over.
    Timeout,
    /// The caller cancelled.
    Cancelled,
    /// The receiver has too much to do.
    Busy,
    /// The receiver will not take calls; another process may.
    Declined,
    /// The handler failed.
    Unexpected,
    /// The call cannot be served as it is.
    BadRequest,
    /// The connection failed.
    Network,
    /// The receiver throttles, because something behind it fails.
    Unhealthy,
    /// The peer breaks the protocol: the connection is over.
    Fatal,
    /// A code that the specification does not have.
    Unknown(u8),
}

impl ErrorCode {
    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Timeout,
            2 => Self::Cancelled,
            3 => Self::Busy,
            4 => Self::Declined,
            5 => Self::Unexpected,
            6 => Self::BadRequest,
            7 => Self::Network,
            8 => Self::Unhealthy,
            255 => Self::Fatal,
            other => Self::Unknown(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Timeout => 1,
            Self::Cancelled => 2,
            Self::Busy => 3,
            Self::Declined => 4,
            Self::Unexpected => 5,
            Self::BadRequest => 6,
            Self::Network => 7,
            Self::Unhealthy => 8,
            Self::Fatal => 255,
            Self::Unknown(code) => code,
        }
    }
}

impl ErrorFrame {
    /// Takes an error from the body of its frame.
    ///
    /// # Errors
    ///
    /// When the body is malformed.
    pub fn decode(frame: &Frame) -> Result<Self, Malformed> {
        let mut fields = Fields(frame.body.clone());
        let code = ErrorCode::from_code(fields.u8()?);
        fields.bytes(TRACING_BYTES)?;
        Ok(Self { code, message: text(&fields.long()?) })
    }

    /// The error as a frame; `id` is that of the call, or
    /// [`NO_ID`](super::NO_ID).
    #[must_use]
    pub fn encode(&self, id: u32) -> Frame {
        let mut body = BytesMut::new();
        body.put_u8(self.code.code());
        body.put_bytes(0, TRACING_BYTES);
        put_long(&mut body, self.message.as_bytes(), MESSAGE_BYTES_MAX);
        Frame { kind: Kind::Error, id, body: body.freeze() }
    }
}
