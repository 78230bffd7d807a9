//! Reads one field from a protobuf message without decoding the message.
//!
//! The scanner skips what it is not asked for, so its cost grows with the number of fields before
//! the end of the message, not with their size. It follows the merge rules of protobuf: the last
//! occurrence of a field counts, and repeated occurrences of an embedded message count as one
//! message.

use thiserror::Error;

use crate::limits::PEEK_DEPTH_MAX;

/// Length of the prefix of each gRPC message: a flag byte and a length of four bytes.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Why bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum PeekError {
    /// A varint has more than ten bytes.
    #[error("a varint is longer than ten bytes")]
    Varint,
    /// A field number is zero or too large.
    #[error("a field number is out of range")]
    FieldNumber,
    /// A wire type is not one of the six that exist.
    #[error("a wire type is unknown")]
    WireType,
    /// A field is longer than the message around it.
    #[error("a field is longer than its message")]
    Truncated,
    /// A group ends that did not begin, or does not end, or nests too deeply.
    #[error("groups are not nested properly")]
    Group,
    /// A field on the way to the key is not a message.
    #[error("field {0} is not a message")]
    NotAMessage(u32),
    /// The gRPC prefix has an unknown flag.
    #[error("the compression flag of the message is neither 0 nor 1")]
    Flag,
}

/// The prefix of a gRPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) compressed: bool,
    pub(crate) len: usize,
}

impl Prefix {
    /// Reads the prefix, or gives `None` while fewer than [`PREFIX_BYTES`] have arrived.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, PeekError> {
        let Some((&[flag, a, b, c, d], _)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        if flag > 1 {
            return Err(PeekError::Flag);
        }
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        Ok(Some(Self { compressed: flag == 1, len }))
    }
}

/// Finds the field at `path` in `message`; a group is none.
///
/// `cut` says that `message` is only the beginning of a longer one. Then a key that was found in it
/// counts, although a later occurrence would override it: no encoder writes a singular field twice.
///
/// # Errors
///
/// A [`PeekError`] when `message` is not protobuf as far as it had to be read.
pub(crate) fn find<'a>(
    message: &'a [u8],
    path: &[u32],
    cut: bool,
) -> Result<Option<Value<'a>>, PeekError> {
    let Some((&number, rest)) = path.split_first() else {
        return Ok(None);
    };
    let mut scan = Scan { bytes: message };
    let mut found = None;
    loop {
        match scan.next_field() {
            Ok(None) => return Ok(found),
            Ok(Some(field)) if field.number == number => {
                found = take(field, rest)?.or(found);
            }
            Ok(Some(_)) => {}
            Err(PeekError::Truncated) if cut => {
                return match (found, rest) {
                    (None, [_, ..]) => {
                        scan.into_cut(number).map_or(Ok(None), |m| find(m, rest, true))
                    }
                    (found, _) => Ok(found),
                };
            }
            Err(error) => return Err(error),
        }
    }
}

fn take<'a>(field: Field<'a>, rest: &[u32]) -> Result<Option<Value<'a>>, PeekError> {
    match field.value {
        Value::Bytes(message) if !rest.is_empty() => find(message, rest, false),
        _ if !rest.is_empty() => Err(PeekError::NotAMessage(field.number)),
        Value::Group => Ok(None),
        value => Ok(Some(value)),
    }
}

struct Field<'a> {
    number: u32,
    value: Value<'a>,
}

/// The value of a field, in the message that it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Group,
}

/// The rest of the message. It stays at the beginning of a field that could not be read whole.
#[derive(Clone, Copy)]
struct Scan<'a> {
    bytes: &'a [u8],
}

impl<'a> Scan<'a> {
    #[inline]
    fn next_field(&mut self) -> Result<Option<Field<'a>>, PeekError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let mut ahead = *self;
        let (number, wire_type) = ahead.tag()?;
        let value = match wire_type {
            3 => ahead.skip_group(number).map(|()| Value::Group)?,
            _ => ahead.value(wire_type)?,
        };
        *self = ahead;
        Ok(Some(Field { number, value }))
    }

    /// The beginning of the embedded message `number` whose end was cut off, if that is what comes
    /// next.
    fn into_cut(mut self, number: u32) -> Option<&'a [u8]> {
        let (next, wire_type) = self.tag().ok()?;
        (next == number && wire_type == 2).then_some(())?;
        self.varint().ok()?;
        Some(self.bytes)
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), PeekError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| PeekError::FieldNumber)?;
        match tag >> 3 {
            0 => Err(PeekError::FieldNumber),
            number => Ok((number, (tag & 7) as u8)),
        }
    }

    #[inline]
    fn value(&mut self, wire_type: u8) -> Result<Value<'a>, PeekError> {
        match wire_type {
            0 => self.varint().map(Value::Number),
            1 => self.fixed::<8>().map(|b| Value::Number(u64::from_le_bytes(b))),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| PeekError::Truncated)?;
                self.split(len).map(Value::Bytes)
            }
            5 => self.fixed::<4>().map(|b| Value::Number(u32::from_le_bytes(b).into())),
            4 => Err(PeekError::Group),
            _ => Err(PeekError::WireType),
        }
    }

    /// Groups are long deprecated, but a message that has one is still a message.
    #[cold]
    fn skip_group(&mut self, number: u32) -> Result<(), PeekError> {
        let mut open = [0_u32; PEEK_DEPTH_MAX];
        open[0] = number;
        let mut depth = 1;
        while depth > 0 {
            match self.tag()? {
                (number, 3) => {
                    *open.get_mut(depth).ok_or(PeekError::Group)? = number;
                    depth += 1;
                }
                (number, 4) if open[depth - 1] == number => depth -= 1,
                (_, wire_type) => {
                    self.value(wire_type)?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, PeekError> {
        // Nearly all tags and lengths have one byte.
        if let [byte @ 0..=0x7f, rest @ ..] = self.bytes {
            self.bytes = rest;
            return Ok((*byte).into());
        }
        self.long_varint()
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, PeekError> {
        let mut value = 0_u64;
        for (index, &byte) in self.bytes.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.bytes = &self.bytes[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.bytes.len() < 10 { PeekError::Truncated } else { PeekError::Varint })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], PeekError> {
        let (&bytes, rest) = self.bytes.split_first_chunk().ok_or(PeekError::Truncated)?;
        self.bytes = rest;
        Ok(bytes)
    }

    fn split(&mut self, len: usize) -> Result<&'a [u8], PeekError> {
        let (bytes, rest) = self.bytes.split_at_checked(len).ok_or(PeekError::Truncated)?;
        self.bytes = rest;
        Ok(bytes)
    }
}

// The bench takes this file as it is, from another place; hence the path.
#[cfg(test)]
#[path = "peek/tests.rs"]
mod tests;
