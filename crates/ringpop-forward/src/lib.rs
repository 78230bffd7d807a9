//! Tower layer that handles a tonic request locally or forwards it to the owner of its key.

mod constants;
mod deadline;
mod error;
mod header;
mod key;
mod peek;
mod policy;
mod resolver;
mod routes;

pub use constants::{KEY_BIN_HEADER, KEY_HEADER};
pub use error::ConfigError;
pub use key::{Key, MissingKey};
pub use policy::{FailureClass, Policy, RetryTarget, Schedule};
pub use resolver::{Changed, InvalidAddress, Owner, Owners, Peer, Resolver, StaticResolver};
pub use routes::Routes;
