//! The tests of the simulator, by behaviour.

mod checkers_find_bugs;
#[cfg(feature = "cli")]
mod cli;
mod cold_join;
mod determinism;
mod mass_death;
mod papers;
mod partitions;
mod runs_all;
mod scenarios;
mod seeds;

use self::runs_all::runs_all;
