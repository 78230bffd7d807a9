//! Finds out which faults a failure needs.

use super::fault::{Fault, Faults};
use super::run::{Report, run};

/// Masks kinds of faults, one after the other, as long as the run still violates the same property.
/// Returns the last report and the mask.
///
/// Leaving a kind out does not change the others: each kind of fault is drawn from its own stream.
#[must_use]
pub fn shrink(seed: u64, masked: Faults) -> (Report, Faults) {
    let mut report = run(seed, masked);
    let Some(property) = report.violation.as_ref().map(|violation| violation.property) else {
        return (report, masked);
    };
    let mut masked = masked;
    for fault in Fault::ALL {
        if !report.faults.contains(*fault) {
            continue;
        }
        let without = run(seed, masked.with(*fault));
        let same = without.violation.as_ref().is_some_and(|other| other.property == property);
        if same {
            masked = masked.with(*fault);
            report = without;
        }
    }
    (report, masked)
}
