//! The fields of a frame body.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed frame: {0}")]
pub struct Malformed(pub &'static str);

/// Takes fields from the front of a body.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| SHORT)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.0.try_get_u16().map_err(|_| SHORT)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| SHORT)
    }

    pub(super) fn bytes(&mut self, n: usize) -> Result<Bytes, Malformed> {
        if self.0.len() < n {
            return Err(SHORT);
        }
        Ok(self.0.split_to(n))
    }

    /// Bytes behind their length as an 8-bit number (`~1` in the specification).
    pub(super) fn short(&mut self) -> Result<Bytes, Malformed> {
        let n = self.u8()?;
        self.bytes(n.into())
    }

    /// Bytes behind their length as a 16-bit number (`~2`).
    pub(super) fn long(&mut self) -> Result<Bytes, Malformed> {
        let n = self.u16()?;
        self.bytes(n.into())
    }
}

const SHORT: Malformed = Malformed("body ends within a field");

/// A text; bytes that are no UTF-8 are replaced, since none of the texts in a frame is more than
/// compared or shown.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes bytes behind their length as an 8-bit number; longer ones are cut.
pub(super) fn put_short(buffer: &mut BytesMut, bytes: &[u8]) {
    let n = bytes.len().min(usize::from(u8::MAX));
    buffer.put_u8(n as u8);
    buffer.put_slice(&bytes[..n]);
}

/// Writes bytes behind their length as a 16-bit number; those longer than `max` are cut.
pub(super) fn put_long(buffer: &mut BytesMut, bytes: &[u8], max: u16) {
    let n = bytes.len().min(usize::from(max));
    buffer.put_u16(n as u16);
    buffer.put_slice(&bytes[..n]);
}
