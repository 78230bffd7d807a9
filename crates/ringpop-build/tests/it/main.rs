//! Schemas that cannot be used are refused with their place.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod errors;
