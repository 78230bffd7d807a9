//! Runs the membership machine of [`swim_core`] on tokio.
//!
//! `swim-core` decides who is a member and what to say to whom; it does no I/O.
//! Here is everything around it that does not depend on how messages travel: the
//! task that owns the machine, its clock and its seed, bounded queues, joining and
//! healing by discovery, and the order in which things are published.
//! `docs/glossary.md` of the project explains the terms.
//!
//! ```
//! use swim_core::{Config, Event, Node};
//! use swim_driver::{Driver, Start, memory::Network, queue};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let network = Network::new(7);
//!     let mut members = Vec::new();
//!     for address in ["10.0.0.1:7946", "10.0.0.2:7946"] {
//!         let init = Start::now()?.init("rides", address.parse()?);
//!         let node = Node::new(Config::lan(), init)?;
//!         let (handle, queue) = queue();
//!         let endpoint = network.endpoint(&node)?;
//!         let hook = move |_: &Node, event: &Event| println!("{address}: {event:?}");
//!         tokio::spawn(Driver::new(queue, node, endpoint, hook).run());
//!         handle.join_discovered(&vec!["10.0.0.1:7946".parse()?]).await?;
//!         members.push(handle);
//!     }
//!     assert_eq!(members[1].with(|node, _| node.len()).await?, 2);
//!     Ok(())
//! }
//! ```
//!
//! * A [`Driver`] runs one [`Node`](swim_core::Node) over one [`Transport`]. `ringpop` (gRPC)
//!   and `ringpop-tchannel` (TChannel) are two; `memory` and `udp` here are two more; one
//!   of your own takes about 100 lines.
//! * A [`Handle`] reaches it: [`Handle::with`] runs any command of the machine.
//! * [`Hooks`] take what happened: they publish a view, tell listeners, count.
//!
//! # Features
//!
//! * `discovery`: the sources of `ringpop-discovery` list the hosts (`Hosts`).
//! * `memory`: a network in memory with latency, loss and partitions, for tests (module
//!   `memory`).
//! * `udp`: datagrams, with TCP for messages beyond a datagram (module `udp`).
//! * `aead`: packets of `udp` are encrypted with a shared key.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bootstrap;
mod discover;
mod driver;
mod expected;
mod handle;
mod hooks;
#[cfg(feature = "discovery")]
mod hosts;
mod join;
pub mod limits;
#[cfg(feature = "memory")]
pub mod memory;
mod start;
mod stats;
mod transport;
#[cfg(feature = "udp")]
pub mod udp;

pub use bootstrap::{Bootstrap, BootstrapError, Bootstrapped};
pub use discover::{Discover, Lists};
pub use driver::Driver;
pub use handle::{Handle, Queue, Stopped, WaitError, WeakHandle, queue};
pub use hooks::{Batch, Hooks};
#[cfg(feature = "discovery")]
pub use hosts::Hosts;
pub use join::{JoinProgress, Joined, Joining};
pub use start::{NoRandomness, Start};
pub use stats::DriverStats;
pub use transport::{Completed, Started, Transport};

/// The machine that a driver runs.
pub use swim_core;

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
