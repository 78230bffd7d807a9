//! The envelope of a message: plain, or encrypted and authenticated.
//!
//! Plain is `1`, message. Encrypted is `2`, nonce (24 bytes), ciphertext, tag (16
//! bytes). The application name and the way are authenticated along with it: members
//! of another application cannot read it even with the same key, and a packet cannot
//! be replayed as a message on a stream.

use std::borrow::Cow;
use std::sync::Arc;

#[cfg(feature = "aead")]
use super::keys::KeyRing;
use super::seal_error::SealError;

const PLAIN: u8 = 1;
#[cfg(feature = "aead")]
const ENCRYPTED: u8 = 2;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Datagram,
    Stream,
}

/// Puts messages into envelopes and takes them out.
#[derive(Debug)]
pub(super) struct Seal {
    #[cfg_attr(not(feature = "aead"), allow(dead_code, reason = "it is authenticated"))]
    app: Arc<str>,
    #[cfg(feature = "aead")]
    keys: Option<KeyRing>,
}

impl Seal {
    #[cfg(not(feature = "aead"))]
    pub(super) fn new(app: &str) -> Self {
        Self { app: app.into() }
    }

    #[cfg(feature = "aead")]
    pub(super) fn new(app: &str, keys: Option<KeyRing>) -> Self {
        Self { app: app.into(), keys }
    }

    pub(super) fn close(&self, way: Way, message: &[u8]) -> Result<Vec<u8>, SealError> {
        #[cfg(feature = "aead")]
        if let Some(keys) = &self.keys {
            return keys.encrypt(ENCRYPTED, &self.context(way), message);
        }
        let _ = way;
        let mut envelope = Vec::with_capacity(message.len() + 1);
        envelope.push(PLAIN);
        envelope.extend_from_slice(message);
        Ok(envelope)
    }

    /// The message; `None` when the envelope is none, or was made with no key of this
    /// member, for another application, or for the other way.
    pub(super) fn open<'a>(&self, way: Way, envelope: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let (kind, rest) = envelope.split_first()?;
        #[cfg(feature = "aead")]
        if let Some(keys) = &self.keys {
            let is_encrypted = *kind == ENCRYPTED;
            return is_encrypted.then(|| keys.decrypt(&self.context(way), rest))?.map(Cow::Owned);
        }
        let _ = way;
        (*kind == PLAIN).then_some(Cow::Borrowed(rest))
    }

    /// The data that is authenticated beside the message.
    #[cfg(feature = "aead")]
    fn context(&self, way: Way) -> Vec<u8> {
        let way = match way {
            Way::Datagram => 0,
            Way::Stream => 1,
        };
        [&[way], self.app.as_bytes()].concat()
    }
}
