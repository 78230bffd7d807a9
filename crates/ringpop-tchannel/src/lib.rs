//! A member of live Ringpop clusters.
//!
//! ```
//! use ringpop_tchannel::Bridge;
//! use ringpop_tchannel::discovery::StaticList;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let first = Bridge::builder("rides").listen("127.0.0.1:0").bind().await?;
//!     first.join().await?; // nobody to join: a cluster of one
//!
//!     let seeds = StaticList::parse(first.address().as_str())?;
//!     let second = Bridge::builder("rides").listen("127.0.0.1:0").discovery(seeds).bind().await?;
//!     let joined = second.join().await?;
//!     assert_eq!(joined.peers, [first.address().clone()]);
//!     println!("driver-42 belongs to {:?}", second.view().lookup(b"driver-42"));
//!     second.evict().await; // others hear of it before the process ends
//!     Ok(())
//! }
//! ```
//!
//! [`Bridge`] joins a running cluster of ringpop-go or ringpop-node processes, shares its
//! membership and its ring, and leaves it again: a team can move to Rust node by node. Membership
//! is [`swim_core`] under [`Config::ringpop`]; this crate adds what those clusters agree on:
//!
//! * [`frame`]: TChannel frames, version 2;
//! * [`body`]: the JSON bodies of the protocol;
//! * [`ChecksumForm`]: how views are compared;
//! * the layout of the ring, which is [`hashring::Ringpop`];
//! * the endpoints for operators.
//!
//! No rule of the protocol is here. The binary `testpop` is a member for tests,
//! with the command line of the ones that the other implementations have.
//! `docs/glossary.md` of the project explains the terms.

mod admin;
pub mod body;
mod bridge;
mod channel;
mod commands;
mod counters;
mod dialect;
pub mod frame;
mod join_error;
pub mod limits;
mod publishing;
mod service;
mod transport;
mod view;

pub use ringpop_discovery as discovery;
pub use swim_core::{Address, Config, Isolation, Labels, Member, Status};
pub use swim_driver::limits::ALONE_AFTER;
pub use swim_driver::{Joined, NoRandomness};

pub use bridge::{BindError, Bridge, BridgeBuilder};
pub use counters::TransportStats;
pub use dialect::{ChecksumForm, fingerprint32};
pub use join_error::JoinError;
pub use view::View;

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
