//! The primitives that the drain gate is made of. Its model (`tests/loom_drain.rs`) puts those of
//! loom in their place.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) use tokio::sync::Notify;
