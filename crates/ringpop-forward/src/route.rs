//! Which calls are routed, and where the key of each is.

pub(crate) mod first_message;
pub(crate) mod key;
pub(crate) mod peek;
pub(crate) mod routes;
