//! Records: what discovery says about one peer, and the rules for a list of them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::limits::RECORDS_MAX;
use crate::{Address, DiscoveryError};

/// What discovery says about one peer.
///
/// ```
/// use ringpop_discovery::Record;
///
/// let mut record = Record::new("10.0.0.1:7100".parse().expect("the form is host:port"));
/// record.weight = 2;
/// record.zone = Some("eu-1a".to_owned());
/// assert_eq!(record.id, "10.0.0.1:7100");
/// assert!(record.healthy);
/// ```
///
/// Serialized, it is an element of a hosts file, as [`JsonFile`](crate::JsonFile) reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// Stable name of the peer; the address where the source gives no name.
    pub id: String,
    /// Where the peer is reached.
    #[serde(serialize_with = "as_text")]
    pub address: Address,
    /// Share of the work relative to other peers: 2 gets twice the keys of 1, 0 gets none.
    pub weight: u32,
    /// Whether the source believes that the peer can serve.
    pub healthy: bool,
    /// Failure domain of the peer, where the source knows it.
    pub zone: Option<String>,
    /// Whatever else the source says.
    pub labels: BTreeMap<String, String>,
}

impl Record {
    /// A healthy peer of weight 1 that is named by its address.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            id: address.to_string(),
            address,
            weight: 1,
            healthy: true,
            zone: None,
            labels: BTreeMap::new(),
        }
    }
}

fn as_text<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(address.as_str())
}

/// Brings a list into the one form in which lists are compared: sorted by id, each id once.
///
/// `origin` names the source in messages. Repeating a record changes nothing and is allowed, as
/// in hand-written lists; two different records of one id leave open which of them is meant.
pub(crate) fn normalize(
    mut records: Vec<Record>,
    origin: &str,
) -> Result<Vec<Record>, DiscoveryError> {
    records.sort_by(|a, b| a.id.cmp(&b.id));
    records.dedup();
    if let Some(pair) = records.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let id = pair[0].id.clone();
        return Err(DiscoveryError::Conflict { origin: origin.to_owned(), id });
    }
    bounded(records, origin)
}

/// Checks the length of a list.
pub(crate) fn bounded(records: Vec<Record>, origin: &str) -> Result<Vec<Record>, DiscoveryError> {
    match records.len() {
        0 => Err(DiscoveryError::Empty { origin: origin.to_owned() }),
        1..=RECORDS_MAX => Ok(records),
        count => Err(DiscoveryError::TooMany { origin: origin.to_owned(), count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(address: &str) -> Record {
        Record::new(address.parse().unwrap())
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let once = normalize(vec![record("a:1"), record("b:1")], "test").unwrap();
        let twice = normalize(vec![record("b:1"), record("a:1"), record("b:1")], "test").unwrap();
        assert_eq!(once, twice);
        assert_eq!(once.iter().map(|record| &*record.id).collect::<Vec<_>>(), ["a:1", "b:1"]);
    }

    #[test]
    fn one_id_cannot_mean_two_records() {
        let mut heavy = record("a:1");
        heavy.weight = 2;
        // The equal pair around the different one must not hide it, in any order.
        for records in
            [vec![record("a:1"), heavy.clone()], vec![record("a:1"), heavy.clone(), record("a:1")]]
        {
            let error = normalize(records, "the test").unwrap_err();
            assert_eq!(
                error.to_string(),
                "the test says different things about \"a:1\": keep one record for each id"
            );
        }
    }

    #[test]
    fn a_list_has_between_one_and_max_records() {
        let list = |count| (0..count).map(|i| record(&format!("host-{i}:1"))).collect::<Vec<_>>();
        assert!(matches!(normalize(vec![], "test"), Err(DiscoveryError::Empty { .. })));
        assert_eq!(normalize(list(RECORDS_MAX), "test").unwrap().len(), RECORDS_MAX);
        assert!(matches!(
            normalize(list(RECORDS_MAX + 1), "test"),
            Err(DiscoveryError::TooMany { count, .. }) if count == RECORDS_MAX + 1
        ));
    }
}
