//! A weighted consistent-hash ring with immutable snapshots, and client-side selection on top of
//! it.
//!
//! Depend on this crate alone to spread keys over nodes, or requests over backends. It does no I/O,
//! reads no clock and starts no task.
//! `docs/glossary.md` of the project explains the terms.
//!
//! | to ... | take |
//! |---|---|
//! | find who owns a key | [`Ring::lookup`] |
//! | place replicas | [`Ring::lookup_n`], [`Ring::owners_spread`] for distinct zones |
//! | fail over | [`Ring::walk`] with a predicate |
//! | keep hot nodes from overflowing | [`Ring::lookup_bounded`] |
//! | add, remove and re-weight nodes | [`Ring::apply`], or [`Ring::with_nodes`] from a whole list |
//! | replace the ring while others read it | [`SharedRing`] and its [`RingReader`]s |
//! | see who owns how much | [`Ring::shares`], [`Ring::ranges_of`] |
//! | hand data over when the ring changes | [`diff`] |
//! | choose backends in a client | [`Selector`]: discovery, ring and quarantine together |
//! | agree with another implementation | a [scheme] |
//! | know how many points to take | [`plan`] |
//! | place keys by another algorithm | [`Placement`] and what implements it |
//!
//! ```
//! use hashring::{Node, Ring};
//!
//! let ring = Ring::builder()
//!     .node("cache-1")
//!     .node("cache-2")
//!     .node(Node::new("cache-3").with_weight(2))
//!     .build()?;
//! let owner = ring.lookup(b"user:42").expect("the ring has points");
//! let fallback = ring.walk(b"user:42").find(|node| node.id() != owner.id());
//! assert!(fallback.is_some());
//! # Ok::<(), hashring::BuildError>(())
//! ```

mod active_set;
mod bounded;
mod circle;
mod health;
pub mod limits;
mod movement;
mod node;
mod node_id;
mod ownership;
pub mod placement;
pub mod plan;
mod points;
mod replicas;
mod ring;
pub mod scheme;
mod selector;
mod shared;
mod sync;
pub mod token;
mod walk;

pub use self::{
    active_set::{ActiveSet, ActiveSetError, BackendRecord, Replaced, SetChange},
    bounded::{BoundedOwner, LoadBound, LoadBoundError},
    health::{BackendHealth, HealthConfig, HealthConfigError, LocalHealth, Outcome},
    limits::{DEFAULT_POINTS_PER_WEIGHT_UNIT, NODES_MAX, POINTS_MAX, POINTS_MAX_DEFAULT},
    movement::{DiffError, Move, Movement, diff},
    node::Node,
    node_id::NodeId,
    ownership::{PlaceRange, Share, Shares},
    placement::{
        Jump, LocalRendezvous, LocalRendezvousWalk, Maglev, MaglevWalk, Placement, ProbeWalk,
        Rendezvous, RendezvousWalk, SpreadMinimizing,
    },
    ring::{BuildError, Edit, Point, Ring, RingBuilder, UpdateError},
    scheme::{Crc32, EnvoyRingHash, Ketama, Ringpop, Scheme, Xxh3},
    selector::{
        Backend, PickError, Picker, Selector, SelectorBuilder, SelectorError, WhenAllQuarantined,
    },
    shared::{Reader, RingReader, Shared, SharedRing},
    walk::Walk,
};

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
