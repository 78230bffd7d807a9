//! What the fuzz targets do with their input.
//!
//! An ordinary test does the same with the corpus that the fuzzers found: it includes these modules
//! by path.

pub mod call;
#[cfg(feature = "direct")]
pub mod direct;
pub mod input;
pub mod peers;
