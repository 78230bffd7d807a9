//! Feature `testing`: tests of applications, without a cluster and with one in the process.
//!
//! * [`FakeRing`] answers who owns a key, for code that takes a [`Lookup`](crate::Lookup). It needs
//!   no runtime and no socket.
//! * [`Cluster`] runs real members in one process, over loopback: the same membership, rings,
//!   forwarding and servers as in production. Members are killed and started again, and the
//!   [`Network`] between them is cut or made slow.
//!
//! A cluster uses sockets, so it runs in real time: with tokio's clock paused, timeouts would pass
//! while the operating system carries bytes. For the membership alone, without gRPC, the network in
//! memory of `swim-driver` has paused time and one history for each seed.

mod cluster;
mod fake_ring;
mod gate;
mod network;

pub use self::cluster::{Cluster, ClusterBuilder, ClusterError};
pub use self::fake_ring::{FakeRing, FakeRingError};
pub(crate) use self::gate::Link;
pub use self::network::Network;
