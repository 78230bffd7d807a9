//! Why a message cannot be put into its envelope.

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum SealError {
    #[cfg(feature = "aead")]
    #[error(transparent)]
    Randomness(#[from] getrandom::Error),
    #[cfg(feature = "aead")]
    #[error("the message cannot be encrypted")]
    Cipher,
}
