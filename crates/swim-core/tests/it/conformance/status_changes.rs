//! The tables of the suite that say what gossip makes of a known status.

use swim_core::Status;

use super::fakes::{INCARNATION, sizes};
use super::suite::Suite;

/// Known status, gossiped status, and the result when the gossip is one
/// incarnation older, of the same, and one newer.
pub type Row = (Status, Status, [Status; 3]);

/// Runs all rows with all sizes and reports all that fail.
#[track_caller]
pub fn check(rows: &[Row]) {
    let mut failed = Vec::new();
    for n in sizes(2) {
        for (known, gossiped, results) in rows {
            for (delta, expected) in [-1, 0, 1].into_iter().zip(results) {
                let mut suite = Suite::prepare(n);
                suite.tell(0, 1, *known, INCARNATION);
                let incarnation = INCARNATION.checked_add_signed(delta).unwrap();
                suite.tell(0, 1, *gossiped, incarnation);
                let result = suite.status(1);
                if result != Some(*expected) {
                    failed.push(format!(
                        "{n} fakes: from {known} to {gossiped} with {delta:+}: {result:?}, \
                         not {expected}"
                    ));
                }
                suite.finish();
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
