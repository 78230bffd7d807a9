//! The tests of the simulator, by behaviour.

mod checkers_find_bugs;
#[cfg(feature = "cli")]
mod cli;
mod cold_join;
mod determinism;
mod mass_death;
mod papers;
mod partitions;
mod scenarios;
mod seeds;

use std::io::Write as _;

/// Whether the parts run that take minutes, which the README says how to ask for. Otherwise what is
/// skipped is told past the capture of test output, at the beginning of a line.
fn runs_all(skipped: &str) -> bool {
    let runs = std::env::var_os("RINGPOP_TEST_ALL").is_some_and(|value| value == "1");
    if !runs {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nSKIPPED: {skipped}: RINGPOP_TEST_ALL=1 runs them")
            .expect("stdout is open");
    }
    runs
}
