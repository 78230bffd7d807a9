//! The keys that the members of a cluster share.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::seal_error::SealError;
use crate::limits::KEYS_MAX;

const NONCE_BYTES: usize = 24;

/// The keys with which packets are encrypted and opened: at most [`KEYS_MAX`]. Clones are the same
/// ring: keys can change while the member runs.
///
/// To replace a key while the cluster runs:
///
/// 1. [`add`](Self::add) the new key at every member: all accept both.
/// 2. [`set_primary`](Self::set_primary) the new key at every member: packets are
///    encrypted with it.
/// 3. [`remove`](Self::remove) the old key at every member.
///
/// A key is used for any number of packets: nonces have 192 bits and are random, so
/// they do not repeat, and no counter has to survive a restart.
///
/// ```
/// use swim_driver::udp::KeyRing;
///
/// let (old, new) = ([1; 32], [2; 32]); // 32 random bytes each in production
/// let ring = KeyRing::new(old);
/// ring.add(new)?;
/// ring.set_primary(&new)?;
/// ring.remove(&old)?;
/// # Ok::<(), swim_driver::udp::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<RwLock<Vec<Key>>>);

/// Why a ring of keys stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The ring is full.
    #[error("a ring has at most {KEYS_MAX} keys; remove one that no member uses any more")]
    Full,
    /// The ring does not have the key.
    #[error("this ring does not have the key; add it first")]
    Unknown,
    /// The key encrypts sent packets.
    #[error("packets are encrypted with this key; make another one the primary key first")]
    Primary,
}

/// The first one of a ring is the primary key.
struct Key {
    bytes: [u8; 32],
    cipher: XChaCha20Poly1305,
}

impl KeyRing {
    /// A ring with one key, 32 random bytes.
    #[must_use]
    pub fn new(primary: [u8; 32]) -> Self {
        Self(Arc::new(RwLock::new(vec![Key::new(primary)])))
    }

    /// Accepts packets of another key from now on. A key that the ring has changes nothing.
    ///
    /// # Errors
    ///
    /// When the ring is full.
    pub fn add(&self, key: [u8; 32]) -> Result<(), KeyError> {
        let mut keys = self.write();
        if keys.iter().any(|known| known.bytes == key) {
            return Ok(());
        }
        if keys.len() >= KEYS_MAX {
            return Err(KeyError::Full);
        }
        keys.push(Key::new(key));
        Ok(())
    }

    /// Encrypts with this key from now on. The former one is still accepted.
    ///
    /// # Errors
    ///
    /// When the ring does not have the key.
    pub fn set_primary(&self, key: &[u8; 32]) -> Result<(), KeyError> {
        let mut keys = self.write();
        let place = keys.iter().position(|known| known.bytes == *key).ok_or(KeyError::Unknown)?;
        keys.swap(0, place);
        Ok(())
    }

    /// Refuses packets of this key from now on.
    ///
    /// # Errors
    ///
    /// When the ring does not have the key, or it is the primary one.
    pub fn remove(&self, key: &[u8; 32]) -> Result<(), KeyError> {
        let mut keys = self.write();
        match keys.iter().position(|known| known.bytes == *key) {
            None => Err(KeyError::Unknown),
            Some(0) => Err(KeyError::Primary),
            Some(place) => {
                keys.remove(place);
                Ok(())
            }
        }
    }

    /// `kind`, nonce, ciphertext, tag.
    pub(super) fn encrypt(
        &self,
        kind: u8,
        context: &[u8],
        message: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: message, aad: context };
        let keys = self.read();
        let primary = keys.first().ok_or(SealError::Cipher)?;
        let encrypted = primary.cipher.encrypt(&XNonce::from(nonce), payload);
        let encrypted = encrypted.map_err(|_| SealError::Cipher)?;
        Ok([&[kind], &nonce[..], &encrypted].concat())
    }

    /// Opens a packet that any key of the ring encrypted.
    pub(super) fn decrypt(&self, context: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let nonce = XNonce::from(*nonce);
        let open = |key: &Key| {
            let payload = Payload { msg: encrypted, aad: context };
            key.cipher.decrypt(&nonce, payload).ok()
        };
        self.read().iter().find_map(open)
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Key>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Key>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn new(bytes: [u8; 32]) -> Self {
        Self { bytes, cipher: XChaCha20Poly1305::new(&bytes.into()) }
    }
}

/// Keys are not printed.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.read().len()).finish_non_exhaustive()
    }
}
