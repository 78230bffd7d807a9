//! The key in the first message of a request body, as far as the body has arrived.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::body::Intake;
use crate::constants::PEEK_BYTES_MAX;
use crate::key::{Key, KeyError, checked};
use crate::peek::{self, PREFIX_BYTES, Prefix};

/// What the beginning of a request body says about its key.
pub(crate) enum MessageKey {
    Found(Key),
    Missing,
    /// So many bytes are needed to tell.
    Need(usize),
}

/// Looks for the key in the first message, as far as it has arrived.
pub(crate) fn message_key(intake: &Intake, field: &[u32]) -> Result<MessageKey, KeyError> {
    let bytes = contiguous(intake.frames());
    let Some(prefix) = Prefix::read(&bytes)? else {
        return Ok(if intake.has_ended() {
            MessageKey::Missing
        } else {
            MessageKey::Need(PREFIX_BYTES)
        });
    };
    if prefix.compressed {
        return Err(KeyError::Compressed);
    }
    let whole = PREFIX_BYTES.saturating_add(prefix.len);
    let needed = whole.min(PEEK_BYTES_MAX);
    if bytes.len() < needed && !intake.has_ended() {
        return Ok(MessageKey::Need(needed));
    }
    let message = &bytes[PREFIX_BYTES..bytes.len().min(whole)];
    let is_cut = bytes.len() < whole;
    match peek::find(message, field, is_cut)?.map(checked).transpose()?.flatten() {
        Some(key) => Ok(MessageKey::Found(key)),
        None if is_cut && needed < whole => Err(KeyError::TooFar),
        None => Ok(MessageKey::Missing),
    }
}

/// The first bytes of a body in one piece. They nearly always arrive in one.
fn contiguous(frames: &[Bytes]) -> Bytes {
    match frames {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => many.iter().flatten().copied().collect::<SmallVec<[u8; 0]>>().into_vec().into(),
    }
}
