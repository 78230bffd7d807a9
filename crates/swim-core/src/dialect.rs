//! The checksum and the order of labels of another implementation.

use std::cmp::Ordering;
use std::fmt;

use crate::labels::Labels;
use crate::member::Member;

/// The functions on which all members of a cluster must agree and which other
/// implementations compute differently.
///
/// A driver in a cluster of another implementation passes that implementation's
/// functions to [`Node::with_dialect`]; the rules that use them stay the machine's.
/// Without a dialect the machine uses its own, which cost O(1) for each change.
///
/// The result depends on the arguments and nothing else: machines with the same
/// inputs must do the same.
///
/// ```
/// use std::cmp::Ordering;
/// use std::sync::Arc;
/// use swim_core::{Config, Dialect, Init, Instant, Labels, Member, Node, Status};
///
/// /// Views are equal when they are of one size.
/// #[derive(Debug)]
/// struct BySize;
///
/// impl Dialect for BySize {
///     fn checksum(&self, members: &mut dyn Iterator<Item = &Member>) -> u64 {
///         members.filter(|member| member.status != Status::Tombstone).count() as u64
///     }
///
///     fn compare_labels(&self, a: &Labels, b: &Labels) -> Ordering {
///         a.len().cmp(&b.len())
///     }
/// }
///
/// # let init = Init {
/// #     app: "rides".into(),
/// #     address: "10.0.0.1:7946".parse()?,
/// #     identity: None,
/// #     labels: Labels::default(),
/// #     seed: 42,
/// #     now: Instant::ZERO,
/// #     unix_ms: 1_700_000_000_000,
/// # };
/// let mut node = Node::with_dialect(Config::ringpop(), Arc::new(BySize), init)?;
/// assert_eq!(node.checksum(), 1);
/// node.set_dialect(Arc::new(BySize)); // a driver may find out later
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Node::with_dialect`]: crate::Node::with_dialect
pub trait Dialect: fmt::Debug + Send + Sync {
    /// The number by which views are compared, from all known members in any
    /// order. Tombstones are among them and must not count: members forget
    /// them at different times.
    ///
    /// The machine calls it at most once for each view, and only when it needs the
    /// number.
    fn checksum(&self, members: &mut dyn Iterator<Item = &Member>) -> u64;

    /// Orders two label sets of one member: at equal incarnation and status the
    /// greater one wins. Of two equal sets neither replaces the other.
    fn compare_labels(&self, a: &Labels, b: &Labels) -> Ordering;
}
