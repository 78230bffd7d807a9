//! The bridge, alone, among fake members, and in clusters of ringpop-node.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on panics")]

mod discovery;
mod forms;
#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, reason = "the fuzz targets use the rest")]
mod fuzz;
mod fuzz_corpus;
mod hostile;
#[cfg(unix)]
mod interop;
#[cfg(unix)]
#[path = "../../../swim-sim/tests/it/runs_all.rs"]
mod runs_all;
#[cfg(unix)]
mod suite;
mod support;
