//! The switch for tests that take minutes. The tests of other crates include this file.

use std::io::Write as _;

/// Whether the parts run that take minutes, which the README says how to ask for. Otherwise what is
/// skipped is told past the capture of test output, at the beginning of a line.
pub(crate) fn runs_all(skipped: &str) -> bool {
    let runs = std::env::var_os("RINGPOP_TEST_ALL").is_some_and(|value| value == "1");
    if !runs {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nSKIPPED: {skipped}: RINGPOP_TEST_ALL=1 runs them")
            .expect("stdout is open");
    }
    runs
}
