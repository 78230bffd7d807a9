//! A member of live Ringpop clusters.
//!
//! ```
//! use std::time::Duration;
//! use ringpop_tchannel::Bridge;
//! use ringpop_tchannel::discovery::StaticList;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let first = Bridge::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
//!     first.bootstrap().await?; // nobody to join: a cluster of one
//!
//!     let seeds = StaticList::parse(first.whoami())?;
//!     let second = Bridge::builder("rides").discovery(seeds).bind().await?;
//!     let bootstrapped = second.bootstrap().await?;
//!     assert_eq!(bootstrapped.joined[0].as_str(), first.whoami());
//!     println!("driver-42 belongs to {:?}", second.view().lookup(b"driver-42"));
//!     // Others hear of it before the process ends.
//!     second.evict_self(Duration::from_secs(5)).await?;
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
mod bind_error;
pub mod body;
mod bootstrap;
mod bridge;
mod channel;
mod command_error;
mod commands;
mod counters;
mod dialect;
pub mod frame;
pub mod limits;
mod publishing;
mod service;
mod transport;
mod view;

pub use ringpop_discovery as discovery;
pub use swim_core::{Address, Config, Isolation, Labels, Member, Status};
pub use swim_driver::NoRandomness;
pub use swim_driver::limits::ALONE_AFTER;

pub use bind_error::BindError;
pub use bootstrap::{BootstrapError, Bootstrapped};
pub use bridge::{Bridge, BridgeBuilder};
pub use command_error::{LeaveRingError, RejoinError, SetLabelsError};
pub use counters::TransportStats;
pub use dialect::{ChecksumForm, fingerprint32};
pub use view::View;

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
