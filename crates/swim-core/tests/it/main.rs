//! The tests of the machine through its public interface, by behaviour.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on panics")]

mod aliases;
mod claims;
mod conformance;
#[cfg(feature = "wire")]
mod datagram_budget;
mod dialect;
mod evidence_of_life;
mod extreme_values;
mod failure_detection;
mod flap_damping;
mod full_sync;
#[cfg(feature = "wire")]
#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, reason = "the fuzz targets use the rest")]
mod fuzz;
#[cfg(feature = "wire")]
mod fuzz_corpus;
#[cfg(feature = "wire")]
mod fuzz_sequences;
mod healing;
mod joining;
mod known_faults;
mod leaving;
mod lifeguard;
mod mixed_settings;
mod newcomers;
mod observability;
mod order_independence;
#[cfg(feature = "wire")]
mod packet_input;
mod reconfigure;
mod refused_input;
mod removal;
#[cfg(feature = "wire")]
#[path = "../../../swim-sim/tests/it/runs_all.rs"]
mod runs_all;
mod shared_rounds;
mod support;
mod swim_paper;
mod unreachable_member;
#[cfg(feature = "wire")]
mod versions;
mod view_changes;
