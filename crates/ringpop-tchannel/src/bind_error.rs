//! Why a member cannot be set up.

use std::io;
use std::net::SocketAddr;

use swim_core::{AddressError, ConfigError, LabelError};
use swim_driver::NoRandomness;

/// Why a member could not be set up. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The port could not be taken.
    #[error("cannot listen on {address}; choose another address, or stop the process that uses it")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The address to advertise is none.
    #[error("cannot advertise this address; give one as `host:port`")]
    Advertise(#[from] AddressError),
    /// The name of the application, a setting of the protocol or the identity is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A label is wrong.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The system gives no random numbers.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The ring cannot be laid out.
    #[error(transparent)]
    Ring(#[from] hashring::BuildError),
}
