//! The labels of a member: its own description of itself, as key-value pairs.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, PUBLIC_LABELS_MAX};

/// Label that carries the identity of a member, under the name Ringpop uses.
pub const IDENTITY_LABEL: &str = "__identity";

/// Labels whose key begins with this prefix belong to the library: they do not
/// count towards [`LabelLimits`] and applications cannot set them.
pub const INTERNAL_PREFIX: &str = "__";

/// The labels of one member. Immutable; clones share the content.
///
/// ```
/// use swim_core::Labels;
///
/// let labels = Labels::new([("zone", "eu-1"), ("weight", "2")])?;
/// assert_eq!(labels.get("zone"), Some("eu-1"));
/// # Ok::<(), swim_core::LabelError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels(Option<Arc<Content>>);

#[derive(PartialEq, Eq)]
struct Content {
    /// Over the sorted pairs; never 0, which stands for no labels.
    hash: u64,
    pairs: BTreeMap<Box<str>, Box<str>>,
}

impl Labels {
    /// Takes pairs of key and value; of a repeated key the last value counts.
    ///
    /// # Errors
    ///
    /// When a key is empty or a bound of [`limits`](crate::limits) is exceeded.
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, LabelError>
    where
        K: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            let (key, value) = (key.into(), value.into());
            check_size(&key, &value, LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX)?;
            map.insert(key, value);
            if map.len() > LABELS_MAX {
                return Err(too_many(map.keys(), LABELS_MAX));
            }
        }
        Ok(Self::from_map(map))
    }

    fn from_map(pairs: BTreeMap<Box<str>, Box<str>>) -> Self {
        if pairs.is_empty() {
            return Self(None);
        }
        let hash = hash_pairs(&pairs).max(1);
        Self(Some(Arc::new(Content { hash, pairs })))
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.as_ref()?.pairs.get(key).map(|value| &**value)
    }

    /// All pairs, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|content| content.pairs.iter().map(|(k, v)| (&**k, &**v)))
    }

    /// Number of labels, internal ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |content| content.pairs.len())
    }

    /// Whether there is no label.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// These labels with one added or replaced.
    ///
    /// # Errors
    ///
    /// As for [`Labels::new`].
    pub fn with(&self, key: &str, value: &str) -> Result<Self, LabelError> {
        Self::new(self.iter().chain([(key, value)]))
    }

    /// These labels without one.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let kept = self.iter().filter(|(k, _)| *k != key);
        Self::from_map(kept.map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// Checks the labels that an application may set against `limits`.
    ///
    /// # Errors
    ///
    /// When a public label is too long or there are too many of them.
    pub fn check(&self, limits: &LabelLimits) -> Result<(), LabelError> {
        let public = || self.iter().filter(|(key, _)| !key.starts_with(INTERNAL_PREFIX));
        for (key, value) in public() {
            check_size(key, value, limits.key_bytes, limits.value_bytes)?;
        }
        if public().count() > limits.count {
            return Err(too_many(public().map(|(key, _)| key), limits.count));
        }
        Ok(())
    }

    /// 0 for no labels, otherwise a hash of the content that is the same on
    /// every machine.
    pub(crate) fn hash(&self) -> u64 {
        self.0.as_ref().map_or(0, |content| content.hash)
    }
}

/// The order that decides between two label sets of one member that carry the
/// same incarnation and status: the greater one wins everywhere. Only its
/// being total and the same at all members matters.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// How many and how long the labels may be that an application sets at this
/// member. The defaults are Ringpop's.
///
/// The limits bind this member only. What others say of themselves is taken and
/// passed on up to the bounds of the protocol ([`limits`](crate::limits)),
/// which no setting changes: members with different limits agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelLimits {
    /// Number of public labels. Default 5.
    pub count: usize,
    /// Bytes of a key. Default 32.
    pub key_bytes: usize,
    /// Bytes of a value. Default 128.
    pub value_bytes: usize,
}

impl LabelLimits {
    /// The limits of the protocol, the same at every member.
    pub(crate) const PROTOCOL: Self = Self {
        count: PUBLIC_LABELS_MAX,
        key_bytes: LABEL_KEY_BYTES_MAX,
        value_bytes: LABEL_VALUE_BYTES_MAX,
    };
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self { count: 5, key_bytes: 32, value_bytes: 128 }
    }
}

/// Why labels are refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// A key is empty.
    #[error("label key is empty")]
    EmptyKey,
    /// A key is too long.
    #[error("label key `{key}` has {bytes} bytes, at most {max} are allowed")]
    KeyTooLong {
        /// The key, cut to 32 characters.
        key: String,
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A value is too long.
    #[error("value of label `{key}` has {bytes} bytes, at most {max} are allowed")]
    ValueTooLong {
        /// The key of the value.
        key: String,
        /// Length of the value.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// There are too many labels.
    #[error(
        "{} labels count (`{}`), at most {max} may be set; remove one{}",
        .keys.len(),
        .keys.join("`, `"),
        more_advice(*.max)
    )]
    TooMany {
        /// The keys of all labels that count, sorted, each cut to 32 characters.
        keys: Vec<String>,
        /// The bound.
        max: usize,
    },
    /// The key is reserved for the library.
    #[error("label `{0}` begins with `{INTERNAL_PREFIX}`, which is reserved; choose another key")]
    Internal(String),
}

/// What else can be done about too many labels: the protocol has a bound that no setting changes.
const fn more_advice(max: usize) -> &'static str {
    if max < PUBLIC_LABELS_MAX { ", or raise the setting `label_limits`" } else { "" }
}

fn too_many(keys: impl IntoIterator<Item = impl AsRef<str>>, max: usize) -> LabelError {
    let keys = keys.into_iter().map(|key| cut(key.as_ref())).collect();
    LabelError::TooMany { keys, max }
}

/// The first characters of a key: a message repeats no huge text.
fn cut(key: &str) -> String {
    key.chars().take(32).collect()
}

fn check_size(key: &str, value: &str, key_max: usize, value_max: usize) -> Result<(), LabelError> {
    if key.is_empty() {
        return Err(LabelError::EmptyKey);
    }
    if key.len() > key_max {
        return Err(LabelError::KeyTooLong { key: cut(key), bytes: key.len(), max: key_max });
    }
    if value.len() > value_max {
        return Err(LabelError::ValueTooLong {
            key: key.into(),
            bytes: value.len(),
            max: value_max,
        });
    }
    Ok(())
}

/// Lengths are part of the input: no two maps share an input.
fn hash_pairs(pairs: &BTreeMap<Box<str>, Box<str>>) -> u64 {
    let mut input = Vec::new();
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        input.extend_from_slice(&(text.len() as u64).to_le_bytes());
        input.extend_from_slice(text.as_bytes());
    }
    XxHash3_64::oneshot(&input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn order_of_insertion_does_not_matter() {
        let one = labels(&[("a", "1"), ("b", "2")]);
        let two = labels(&[("b", "2"), ("a", "1")]);
        assert_eq!(one, two);
        assert_eq!(one.hash(), two.hash());
    }

    #[test]
    fn hash_tells_pairs_apart_that_concatenate_alike() {
        assert_ne!(labels(&[("ab", "c")]).hash(), labels(&[("a", "bc")]).hash());
        assert_eq!(Labels::default().hash(), 0);
    }

    #[test]
    fn with_and_without_leave_the_original_alone() {
        let one = labels(&[("a", "1")]);
        let two = one.with("b", "2").unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(two.get("b"), Some("2"));
        assert_eq!(two.without("b"), one);
        assert!(one.without("a").is_empty());
    }

    #[test]
    fn limits_hold_for_public_labels_only() {
        let limits = LabelLimits { count: 1, key_bytes: 3, value_bytes: 3 };
        assert!(labels(&[("a", "1"), ("__identity", "long enough")]).check(&limits).is_ok());
        assert!(matches!(
            labels(&[("a", "1"), ("b", "1")]).check(&limits),
            Err(LabelError::TooMany { keys, max: 1 }) if keys == ["a", "b"]
        ));
        assert!(matches!(
            labels(&[("long", "1")]).check(&limits),
            Err(LabelError::KeyTooLong { bytes: 4, max: 3, .. })
        ));
        assert!(matches!(
            labels(&[("a", "long")]).check(&limits),
            Err(LabelError::ValueTooLong { bytes: 4, max: 3, .. })
        ));
    }

    #[test]
    fn too_many_labels_are_named_and_so_is_the_setting_that_allows_more() {
        let six = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("weight", "2"), ("zone", "x")];
        let error = labels(&six).check(&LabelLimits::default()).unwrap_err().to_string();
        let expected = "6 labels count (`a`, `b`, `c`, `d`, `weight`, `zone`), at most \
                        5 may be set; remove one, or raise the setting `label_limits`";
        assert_eq!(error, expected);
        let many = (0..=LABELS_MAX).map(|i| (i.to_string(), "x"));
        let error = Labels::new(many).unwrap_err().to_string();
        assert!(
            error.contains("at most 32 may be set; remove one") && !error.contains("label_limits"),
            "{error}"
        );
    }

    #[test]
    fn hard_limits_hold_at_construction() {
        let many = (0..=LABELS_MAX).map(|i| (i.to_string(), "x"));
        assert!(matches!(Labels::new(many), Err(LabelError::TooMany { .. })));
        assert_eq!(Labels::new([("", "x")]), Err(LabelError::EmptyKey));
    }
}
