//! Members of different versions work together, as they must in a rolling
//! upgrade: a former schema with fewer fields, the present one, and a later one
//! with more fields, statuses and kinds of messages.
//!
//! The other versions are in `schemas/`; their types are generated from there.

#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery, reason = "generated")]
#[rustfmt::skip]
#[path = "generated/later.rs"]
mod later;
#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery, reason = "generated")]
#[rustfmt::skip]
#[path = "generated/previous.rs"]
mod previous;

mod bytes;
mod cluster;
mod speak;
