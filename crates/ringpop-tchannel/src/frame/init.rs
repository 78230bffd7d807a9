//! The frames by which two processes introduce themselves.

use bytes::{BufMut as _, BytesMut};

use super::fields::{Fields, Malformed, put_long, text};
use super::{Frame, Kind, VERSION};

/// Headers of one introduction. Other implementations send five.
const HEADERS_MAX: u16 = 64;

/// Longest value that is sent: an address or a process name.
const VALUE_BYTES_MAX: u16 = 1024;

/// What a process says of itself when a connection opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The version of the protocol that it speaks.
    pub version: u16,
    /// Where it listens; `0.0.0.0:0` when it does not.
    pub host_port: String,
    /// What it calls itself, for logs.
    pub process_name: String,
}

impl Init {
    /// Takes an introduction from the body of its frame.
    ///
    /// # Errors
    ///
    /// When the body is malformed or one of the two headers is missing.
    pub fn decode(frame: &Frame) -> Result<Self, Malformed> {
        let mut fields = Fields(frame.body.clone());
        let version = fields.u16()?;
        let count = fields.u16()?;
        if count > HEADERS_MAX {
            return Err(Malformed("too many headers in an init frame"));
        }
        let (mut host_port, mut process_name) = (None, None);
        for _ in 0..count {
            let (key, value) = (fields.long()?, fields.long()?);
            match &key[..] {
                b"host_port" => host_port = Some(text(&value)),
                b"process_name" => process_name = Some(text(&value)),
                _ => {}
            }
        }
        let host_port = host_port.ok_or(Malformed("init frame without host_port"))?;
        let process_name = process_name.ok_or(Malformed("init frame without process_name"))?;
        Ok(Self { version, host_port, process_name })
    }

    /// The introduction as a frame.
    #[must_use]
    pub fn encode(&self, kind: Kind, id: u32) -> Frame {
        let headers: [(&str, &str); 4] = [
            ("host_port", &self.host_port),
            ("process_name", &self.process_name),
            ("tchannel_language", "rust"),
            ("tchannel_version", env!("CARGO_PKG_VERSION")),
        ];
        let mut body = BytesMut::new();
        body.put_u16(VERSION);
        body.put_u16(headers.len() as u16);
        for text in headers.into_iter().flat_map(|(key, value)| [key, value]) {
            put_long(&mut body, text.as_bytes(), VALUE_BYTES_MAX);
        }
        Frame { kind, id, body: body.freeze() }
    }
}
