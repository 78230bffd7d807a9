//! Weighted consistent-hash ring with snapshots, walks and client-side selection.

mod active_set;
mod bounded;
mod health;
pub mod limits;
mod movement;
mod node;
mod ownership;
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
    limits::{DEFAULT_MAX_POINTS, DEFAULT_POINTS_PER_WEIGHT_UNIT, MAX_NODES, MAX_POINTS},
    movement::{DiffError, Move, Movement, diff},
    node::Node,
    ownership::{PlaceRange, Share, Shares},
    ring::{BuildError, Edit, Point, Ring, RingBuilder, UpdateError},
    scheme::{Crc32, EnvoyRingHash, Ketama, Ringpop, Scheme, Xxh3},
    selector::{
        Backend, PickError, Picker, Selector, SelectorBuilder, SelectorError, WhenAllQuarantined,
    },
    shared::{Reader, RingReader, Shared, SharedRing},
    walk::Walk,
};
