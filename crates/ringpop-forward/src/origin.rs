//! Where a call comes from, and what it is meant for.

use crate::options::CallOptions;
use crate::resolver::Owner;
use crate::route::key::Key;

/// Which way a request came in.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// From the network, through a server.
    Server,
    /// From this process.
    Client(Target),
}

/// What a client origin decides for all of its calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// The key, whatever the messages say.
    pub(crate) key: Option<Key>,
    /// The owner that is asked, and nobody else.
    pub(crate) owner: Option<Owner>,
    /// Of all calls that bring none of their own.
    pub(crate) options: Option<CallOptions>,
    /// This process is no member: its calls count as no hop among members, and those without a key
    /// go to anyone.
    pub(crate) is_channel: bool,
}
