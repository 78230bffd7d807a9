//! What members of another implementation measure in their own way.

use std::cmp::Ordering;
use std::fmt;

use crate::labels::Labels;
use crate::member::Member;

/// The measures on which all members of a cluster must agree and which other
/// implementations take differently.
///
/// Whoever drives the machine in a cluster of another implementation gives it
/// that implementation's measures by [`Node::with_dialect`]; the rules that use
/// them stay the machine's. Without a dialect the machine takes its own, which
/// cost O(1) for each change.
///
/// A measure depends on its arguments and nothing else: machines with the same
/// inputs must do the same.
///
/// [`Node::with_dialect`]: crate::Node::with_dialect
pub trait Dialect: fmt::Debug + Send + Sync {
    /// The number by which views are compared, from all known members in any
    /// order. Tombstones are among them and must not count: members forget
    /// them at different times.
    ///
    /// The machine asks at most once for each view, and only when the number
    /// is wanted.
    fn checksum(&self, members: &mut dyn Iterator<Item = &Member>) -> u64;

    /// Which of two label sets of one member prevails at equal incarnation and
    /// status: the greater. Sets that are equal here replace each other in
    /// neither direction.
    fn compare_labels(&self, a: &Labels, b: &Labels) -> Ordering;
}
