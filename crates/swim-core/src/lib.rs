//! Membership of a cluster by gossip, as a state machine without I/O.
//!
//! ```
//! use swim_core::{Config, Init, Instant, Node, Output};
//!
//! let now = Instant::ZERO;
//! let mut members = Vec::new();
//! for host in [1, 2] {
//!     members.push(Node::new(Config::lan(), Init {
//!         app: "rides".into(),
//!         address: format!("10.0.0.{host}:7946").parse()?,
//!         identity: None,
//!         labels: Default::default(),
//!         seed: host,
//!         now,
//!         unix_ms: 1_700_000_000_000,
//!     })?);
//! }
//! members[0].join(now, vec![])?; // begins a cluster
//! members[1].join(now, vec!["10.0.0.1:7946".parse()?])?;
//! // This driver is the network, too: each member sends to the other.
//! while let Some((i, output)) = (0..2).find_map(|i| Some((i, members[i].poll_output()?))) {
//!     match output {
//!         Output::Transmit(transmit) => members[1 - i].handle_message(now, transmit.message),
//!         Output::Event(event) => println!("member {i}: {event:?}"),
//!     }
//! }
//! assert_eq!(members[1].len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Members of one service find each other, agree on who is alive, and learn
//! within seconds when one fails, with a constant number of messages for each
//! member and second. The protocol is SWIM (Das, Gupta, Motivala, DSN 2002)
//! with the rules of Uber's Ringpop: five statuses, round-robin probes with
//! helpers, suspicion with refutation, piggybacked changes, a checksum over
//! the view, and a full sync of the differences when checksums stay different.
//! `docs/glossary.md` explains the terms.
//!
//! The crate holds no socket, no clock, no thread and no randomness of its
//! own. [`Node`] takes inputs and gives outputs; put it on UDP, gRPC, QUIC, a
//! message bus or a simulator. Its documentation has the driving contract.
//!
//! # Features
//!
//! * `wire`: the canonical protobuf encoding of the messages (module `wire`).

#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod aliases;
mod awareness;
mod config;
mod core;
mod dial_back;
mod dial_budget;
mod dialect;
mod dissemination;
mod event;
mod evidence;
mod flaps;
mod heal;
mod join;
mod labels;
mod late;
mod leave;
pub mod limits;
mod member;
mod member_list;
mod membership;
mod message;
#[cfg(feature = "mutations")]
#[doc(hidden)]
pub mod mutation;
#[cfg(not(feature = "mutations"))]
#[allow(unreachable_pub, reason = "it is public with the feature")]
mod mutation;
mod node;
mod pace;
mod page;
mod probe;
mod redial;
mod relay;
mod removed;
mod requests;
mod responders;
mod rng;
mod stats;
mod suspicion;
mod sync;
mod time;
mod timers;
#[cfg(feature = "wire")]
pub mod wire;

pub use self::core::VOTES_LABEL;
pub use address::{Address, AddressError};
pub use config::{
    Coalescing, Config, ConfigBuilder, ConfigError, Damping, Setting, SettingError, check_app,
};
pub use dialect::Dialect;
pub use event::{
    Cause, DampingEnd, Event, Isolation, JoinFailure, Output, Path, Rejection, Transmit,
};
pub use labels::{IDENTITY_LABEL, INTERNAL_PREFIX, LabelError, LabelLimits, Labels};
pub use member::{Member, Status};
pub use member_list::{MemberList, MemberListIter};
pub use message::{Body, Change, Cursor, Message, Refusal, Source, SyncStep};
pub use node::{CommandError, Init, Node, ReconfigureError, State, SuspicionState};
pub use rng::SplitMix64;
pub use stats::Stats;
pub use time::Instant;

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
