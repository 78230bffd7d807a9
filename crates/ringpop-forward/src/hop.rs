//! How far a request has come among members, and what its receiver does with it.

pub(crate) mod arrival;
pub(crate) mod header;
