//! The implementations that are compared, each as a machine of the simulator.
//!
//! Two programs use them: the bench (`cargo xtask bench swim`), and the simulator with a peer
//! beside `swim-core` (`cargo xtask sim --peer`).

mod foca;
mod ours;
mod peer;

pub use foca::{Foca, Id, Noticed};
pub use ours::{ping_message, receive_message};
pub use peer::{Notice, PACKET_BYTES_MAX, Peer, Setup, Update, settled};
