//! Rings, placements and selection through the public interface.

#![cfg(not(loom))]
#![allow(unreachable_pub, reason = "modules share what one of them defines")]

mod bad_input;
mod common;
mod java_vectors;
mod ownership;
mod placement_figures;
mod placements;
mod reference_vectors;
mod replicas;
mod ring_laws;
mod selection;
mod spread_of_shares;
