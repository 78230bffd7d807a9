//! Generated routes and keys, used over real servers.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod keys;
