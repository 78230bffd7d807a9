//! Attempts at the owners of a key: when another one is made, and at whom.

pub(crate) mod attempt;
pub(crate) mod attempts;
pub(crate) mod budget;
pub(crate) mod hedge;
pub(crate) mod hedged;
pub(crate) mod peer_state;
pub(crate) mod policy;
pub(crate) mod watch;
