//! A member of live Ringpop clusters.
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

mod admin;
pub mod body;
mod bridge;
mod channel;
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
pub use swim_driver::limits::ALONE_AFTER;
pub use swim_driver::{Joined, NoRandomness};

pub use bridge::{BindError, Bridge, BridgeBuilder};
pub use commands::JoinError;
pub use counters::TransportStats;
pub use dialect::{ChecksumForm, fingerprint32};
pub use view::View;

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
