//! A hosts file: Ringpop's array of addresses, or an array of records.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::fs::{File, metadata};
use tokio::io::AsyncReadExt as _;

use crate::contradictions::Contradictions;
use crate::limits::FILE_BYTES_MAX;
use crate::{Address, Discovery, DiscoveryError, PeersFuture, Record};

/// Peers from a JSON file, which is read anew each time.
///
/// The file holds an array. An element is an address, as in Ringpop's `hosts.json`, or an object
/// of which only `address` is needed:
///
/// ```json
/// [
///   "10.0.0.1:7100",
///   { "id": "worker-2", "address": "10.0.0.2:7100", "weight": 2, "healthy": true,
///     "zone": "eu-1a", "labels": { "build": "42" } }
/// ]
/// ```
///
/// Replace the file by renaming a new one over it: a file that is read while it is being written
/// is malformed.
///
/// Ids whose records contradict each other are left out and [counted](Self::contradictions): one of
/// them must not stop all news of the file. Of records that differ only in `healthy`, the healthy
/// one counts.
#[derive(Debug, Clone)]
pub struct JsonFile {
    path: PathBuf,
    contradictions: Arc<Contradictions>,
}

impl JsonFile {
    /// Peers from the file at `path`. The file need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), contradictions: Arc::default() }
    }

    /// How many ids were left out because their records contradict each other, counted each time
    /// that the file is read. A number that grows calls for a look at the file; the log names the
    /// ids.
    #[must_use]
    pub fn contradictions(&self) -> u64 {
        self.contradictions.seen()
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn load(&self) -> Result<Vec<Record>, DiscoveryError> {
        let text = self.read().await?;
        let List(records) =
            serde_json::from_slice(&text).map_err(|error| self.malformed(&error))?;
        self.contradictions.resolve(records, &self.origin())
    }

    async fn read(&self) -> Result<Vec<u8>, DiscoveryError> {
        let unreadable = |cause: io::Error| DiscoveryError::FileUnreadable {
            path: self.path.clone(),
            cause: cause.into(),
        };
        // Opening a pipe waits for its writer without end, and a pipe cannot be read twice.
        let is_file = metadata(&self.path).await.map_err(unreadable)?.is_file();
        if !is_file {
            return Err(unreadable(io::Error::other("it is not a regular file")));
        }
        let file = File::open(&self.path).await.map_err(unreadable)?;
        let mut text = Vec::new();
        // One byte more than allowed shows that the file is too large, whatever its length says.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).await.map_err(unreadable)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(DiscoveryError::FileTooLarge { path: self.path.clone() });
        }
        Ok(text)
    }

    fn malformed(&self, error: &serde_json::Error) -> DiscoveryError {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        // The position has fields of its own.
        let reason =
            text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        DiscoveryError::FileMalformed {
            path: self.path.clone(),
            line,
            column,
            reason: reason.to_owned(),
        }
    }
}

impl Discovery for JsonFile {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(self.load())
    }

    fn origin(&self) -> String {
        format!("the hosts file {:?}", self.path)
    }
}

// The types below exist so that every mistake, an invalid address included, is found while the
// text is read: only then does the parser know its line and column.

/// The whole file.
struct List(Vec<Record>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of \"host:port\"")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List, A::Error> {
                let mut records = Vec::new();
                while let Some(Element(record)) = elements.next_element()? {
                    records.push(record);
                }
                Ok(List(records))
            }
        }

        deserializer.deserialize_seq(ListVisitor)
    }
}

/// One element of the file.
struct Element(Record);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor;

        impl<'de> Visitor<'de> for ElementVisitor {
            type Value = Element;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"host:port\" or an object with an `address`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Element, E> {
                let address: Address = text.parse().map_err(E::custom)?;
                Ok(Element(Record::new(address)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Element, A::Error> {
                let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
                fields.into_record().map(Element).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(ElementVisitor)
    }
}

/// An element in its long form. Unknown fields are refused: a misspelt `weight` that is ignored
/// would be found only by its effect on the load.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    id: Option<String>,
    address: String,
    weight: Option<u32>,
    healthy: Option<bool>,
    zone: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Fields {
    fn into_record(self) -> Result<Record, String> {
        let address: Address = self.address.parse().map_err(|error| format!("{error}"))?;
        let mut record = Record::new(address);
        if let Some(id) = self.id {
            if id.is_empty() {
                return Err(format!("the id of {:?} is empty", record.address.as_str()));
            }
            record.id = id;
        }
        record.weight = self.weight.unwrap_or(record.weight);
        record.healthy = self.healthy.unwrap_or(record.healthy);
        record.zone = self.zone;
        record.labels = self.labels;
        Ok(record)
    }
}

#[cfg(test)]
mod tests;
