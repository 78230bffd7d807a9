//! Names that were mistyped.

use crate::limits::NAME_LIKENESS_MIN;

/// The name that was meant perhaps.
pub(crate) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(typed, name);
    let nearest = names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    nearest.filter(|name| likeness(name) >= NAME_LIKENESS_MIN)
}
