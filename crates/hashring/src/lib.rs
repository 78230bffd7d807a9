//! Weighted consistent-hash ring with snapshots, walks and client-side selection.

pub mod limits;
mod node;
mod points;
mod ring;
pub mod scheme;
mod shared;
mod sync;
mod walk;

pub use self::{
    limits::{DEFAULT_MAX_POINTS, DEFAULT_POINTS_PER_WEIGHT_UNIT, MAX_NODES, MAX_POINTS},
    node::Node,
    ring::{BuildError, Edit, Point, Ring, RingBuilder, UpdateError},
    scheme::{Crc32, EnvoyRingHash, Ketama, Ringpop, Scheme, Xxh3},
    shared::{Reader, RingReader, Shared, SharedRing},
    walk::Walk,
};
