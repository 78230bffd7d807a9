//! The file of backends.

use std::fmt;
use std::sync::Arc;

use hashring::{ActiveSet, BackendRecord, Node, Ring, Scheme};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::limits::BACKENDS_BYTES_MAX;
use crate::failure::Failure;
use crate::source::Source;

/// Under which label a backend of the ring carries its zone.
const ZONE: &str = "zone";

/// A ring of backends with their zones.
pub(super) type BackendRing = Ring<Option<String>, Arc<dyn Scheme>>;

/// The backends that a ring is made of, and those that it leaves out.
#[derive(Debug)]
pub(super) struct Backends {
    active: ActiveSet,
    /// Ids of the unhealthy, sorted.
    pub(super) left_out: Vec<String>,
}

impl Backends {
    /// Reads and checks a file of backends.
    pub(super) fn read(source: &Source) -> Result<Self, Failure> {
        let text = source.read("backends", BACKENDS_BYTES_MAX)?;
        parse(&text).map_err(|reason| {
            Failure::Failed(format!("cannot use the backends from {source}: {reason}"))
        })
    }

    /// The healthy backends with their zones, as nodes of a ring.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<Option<String>>> + '_ {
        self.active.backends().iter().map(|backend| {
            Node::new(backend.id.as_str())
                .with_weight(backend.weight)
                .with_data(backend.labels.get(ZONE).cloned())
        })
    }
}

fn parse(text: &str) -> Result<Backends, String> {
    let mut entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| {
        format!(
            "{error}; write [{{\"id\": \"a\", \"weight\": 1, \"healthy\": true, \"zone\": \"z\"}}]"
        )
    })?;
    if entries.is_empty() {
        return Err("the list is empty; name at least one backend".to_owned());
    }
    entries.sort_unstable_by(|one, two| one.id.cmp(&two.id));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(format!(
            "two backends have the id {:?}; give each one an id of its own",
            pair[0].id.0
        ));
    }
    let unhealthy = entries.iter().filter(|entry| !entry.healthy);
    let left_out = unhealthy.map(|entry| entry.id.0.clone()).collect();
    let mut active = ActiveSet::default();
    // A first list has nothing to be compared with.
    let _ = active
        .replace(entries.into_iter().map(BackendRecord::from))
        .map_err(|error| error.to_string())?;
    Ok(Backends { active, left_out })
}

/// One backend of the file. Unknown fields are refused: a misspelt `healthy` would send requests to
/// the dead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Id,
    #[serde(default)]
    weight: Weight,
    #[serde(default = "healthy")]
    healthy: bool,
    zone: Option<String>,
}

fn healthy() -> bool {
    true
}

impl From<Entry> for BackendRecord {
    fn from(entry: Entry) -> Self {
        // The tool connects to nobody, so there is no address.
        let record =
            Self::new(entry.id.0, "").with_weight(entry.weight.0).with_healthy(entry.healthy);
        match entry.zone {
            Some(zone) => record.with_label(ZONE, zone),
            None => record,
        }
    }
}

/// A name that is not blank.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        if id.trim().is_empty() {
            return Err(D::Error::invalid_value(Unexpected::Str(&id), &"an id that is not blank"));
        }
        Ok(Self(id))
    }
}

/// A whole number; its visitor says so in words that a person understands.
#[derive(Debug)]
struct Weight(u32);

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeNumber;

        impl Visitor<'_> for WholeNumber {
            type Value = Weight;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a weight, which is a whole number from 0 to {}", u32::MAX)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Weight, E> {
                u32::try_from(number)
                    .map(Weight)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_u32(WholeNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_left_out_has_a_default() {
        let text = r#"[{"id":"b"},{"id":"a","weight":3,"zone":"z"},{"id":"c","healthy":false}]"#;
        let backends = parse(text).unwrap();
        let nodes: Vec<_> = backends.nodes().collect();
        let seen: Vec<_> =
            nodes.iter().map(|node| (node.id(), node.weight(), node.data().as_deref())).collect();
        assert_eq!(seen, [("a", 3, Some("z")), ("b", 1, None)]);
        assert_eq!(backends.left_out, ["c"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, words) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{}", "invalid type: map, expected a sequence"),
            ("[]", "the list is empty"),
            ("[7]", "invalid type: integer `7`"),
            (r#"[{"weight":1}]"#, "missing field `id`"),
            (r#"[{"id":" "}]"#, "an id that is not blank at line 1"),
            (r#"[{"id":7}]"#, "integer `7`, expected a string"),
            (
                r#"[{"id":"a","weight":-1}]"#,
                "integer `-1`, expected a weight, which is a whole number",
            ),
            (r#"[{"id":"a","weight":1.5}]"#, "floating point `1.5`, expected a weight"),
            (r#"[{"id":"a","weight":4294967296}]"#, "integer `4294967296`, expected a weight"),
            (r#"[{"id":"a","weight":NaN}]"#, "expected value at line 1 column 21"),
            (r#"[{"id":"a","weight":null}]"#, "null, expected a weight"),
            (
                r#"[{"id":"a","wieght":1}]"#,
                "unknown field `wieght`, expected one of `id`, `weight`",
            ),
            (r#"[{"id":"a","id":"b"}]"#, "duplicate field `id`"),
            (r#"[{"id":"a"},{"id":"b"},{"id":"a"}]"#, "two backends have the id \"a\""),
            (r#"[{"id":"a"},{"id":"a","healthy":false}]"#, "two backends have the id \"a\""),
            (r#"[{"id":"a","healthy":"yes"}]"#, "string \"yes\", expected a boolean"),
            (r#"[{"id":"a"}] x"#, "trailing characters"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(words), "{text}: {message}");
            assert!(!message.contains('\n'), "{text}: {message}");
        }
    }
}
