//! The checksums over the arguments of a call.

use super::fields::{Fields, Malformed};

/// How the arguments of a call are protected, beyond what TCP does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChecksumKind {
    /// Not at all.
    #[default]
    None,
    /// CRC-32 of IEEE 802.3, as in zlib. What ringpop-go sends.
    Crc32,
    /// CRC-32C of Castagnoli. What ringpop-node sends.
    Crc32c,
}

/// A checksum as a fragment of a call carries it: over all bytes of the
/// arguments from the beginning of the call to the end of the fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Which function it is of.
    pub kind: ChecksumKind,
    /// Its value; 0 when there is none.
    pub value: u32,
}

impl ChecksumKind {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Crc32 => 1,
            Self::Crc32c => 3,
        }
    }

    /// Continues the checksum `value` with these bytes.
    #[must_use]
    pub fn extend(self, value: u32, bytes: &[u8]) -> u32 {
        match self {
            Self::None => 0,
            Self::Crc32 => {
                let mut hasher = crc32fast::Hasher::new_with_initial(value);
                hasher.update(bytes);
                hasher.finalize()
            }
            Self::Crc32c => crc32c::crc32c_append(value, bytes),
        }
    }
}

impl Checksum {
    /// Takes type and value. A sum that a sender wants checked must not be taken unchecked: a type
    /// that is not known here (the specification has one more, FarmHash, which no implementation of
    /// Ringpop sends) is refused.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, Malformed> {
        let kind = match fields.u8()? {
            0 => return Ok(Self { kind: ChecksumKind::None, value: 0 }),
            1 => ChecksumKind::Crc32,
            3 => ChecksumKind::Crc32c,
            _ => return Err(Malformed("checksum type is not one of none, crc32, crc32c")),
        };
        Ok(Self { kind, value: fields.u32()? })
    }
}
