//! Members of different versions work together, as they must in a rolling
//! upgrade: a former schema with fewer fields, the present one, and a later one
//! with more fields, statuses and kinds of messages.
//!
//! The other versions are in `schemas/`; their types are generated from there.

#![cfg(feature = "wire")]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on panics")]

#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery, reason = "generated")]
#[rustfmt::skip]
mod later;
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery, reason = "generated")]
#[rustfmt::skip]
mod previous;

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod cluster;
mod speak;
