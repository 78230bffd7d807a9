//! What the fuzz targets do with their input.
//!
//! Ordinary tests do the same with random sequences and with the corpus that
//! the fuzzers found: they include these modules by path, so that a failure of
//! either is reproduced by the other.

pub mod decode;
mod meaning;
pub mod ops;
mod process;
pub mod settle;
pub mod world;
