//! Records of one id that contradict each other: one of them must not stop all news of a source.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::record::{bounded, normalize};
use crate::{DiscoveryError, Record};

/// The contradictions of one source, as far as they were seen.
#[derive(Debug, Default)]
pub(crate) struct Contradictions {
    seen: AtomicU64,
    /// Ids of the last list: a contradiction that lasts is reported once.
    told: Mutex<Vec<String>>,
}

impl Contradictions {
    /// Brings a list into the form in which lists are compared, without the ids whose records
    /// contradict each other. These are counted and, when they differ from the last time,
    /// logged.
    ///
    /// A record that only says of another one that it is not healthy is no contradiction: a source
    /// that is read while an endpoint changes has both, and the healthy one counts.
    ///
    /// # Errors
    ///
    /// The list is too long or empty, or nothing is left of it.
    pub(crate) fn resolve(
        &self,
        records: Vec<Record>,
        origin: &str,
    ) -> Result<Vec<Record>, DiscoveryError> {
        let records = bounded(records, origin)?;
        let (records, contradicting) = apart(records);
        self.tell(&contradicting, origin);
        match contradicting.into_iter().next() {
            Some(id) if records.is_empty() => {
                Err(DiscoveryError::Conflict { origin: origin.to_owned(), id })
            }
            _ => normalize(records, origin),
        }
    }

    /// Ids that were left out, each time that a list had them.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    fn tell(&self, contradicting: &[String], origin: &str) {
        self.seen.fetch_add(contradicting.len() as u64, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == contradicting {
            return;
        }
        if !contradicting.is_empty() {
            let ids = contradicting.join(", ");
            tracing::warn!(
                "{origin} says different things about {ids}, which is left out: keep one record for each id"
            );
        }
        *told = contradicting.to_vec();
    }
}

/// The records of ids with one meaning, and the other ids in order.
fn apart(mut records: Vec<Record>) -> (Vec<Record>, Vec<String>) {
    // Of records that differ in nothing else, the healthy one comes first and is kept.
    records.sort_by(|a, b| a.id.cmp(&b.id).then(b.healthy.cmp(&a.healthy)));
    records.dedup_by(|next, kept| {
        let healthy = Record { healthy: kept.healthy, ..next.clone() };
        healthy == *kept
    });
    let mut contradicting: Vec<String> = records
        .windows(2)
        .filter(|pair| pair[0].id == pair[1].id)
        .map(|pair| pair[0].id.clone())
        .collect();
    contradicting.dedup();
    records.retain(|record| contradicting.binary_search(&record.id).is_err());
    (records, contradicting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, address: &str) -> Record {
        let mut record = Record::new(address.parse().unwrap());
        record.id = id.to_owned();
        record
    }

    fn ids(records: &[Record]) -> Vec<&str> {
        records.iter().map(|record| &*record.id).collect()
    }

    #[test]
    fn contradicting_ids_are_left_out_and_counted_and_the_rest_is_taken() {
        let contradictions = Contradictions::default();
        let heavy = Record { weight: 7, ..record("b", "b:1") };
        for list in [
            vec![record("a", "a:1"), record("a", "a:2"), record("b", "b:1")],
            vec![record("a", "a:2"), record("b", "b:1"), record("a", "a:1"), record("a", "a:2")],
            vec![heavy, record("b", "b:1"), record("c", "c:1"), record("c", "c:1")],
        ] {
            let rest = contradictions.resolve(list, "the test").unwrap();
            assert_eq!(rest.len(), 1, "{rest:?}");
        }
        assert_eq!(contradictions.seen(), 3);
    }

    #[test]
    fn what_is_ready_somewhere_is_ready() {
        let contradictions = Contradictions::default();
        let sick = Record { healthy: false, ..record("a", "a:1") };
        for list in [
            vec![record("a", "a:1"), sick.clone(), record("b", "b:1")],
            vec![sick.clone(), record("b", "b:1"), record("a", "a:1"), sick.clone()],
        ] {
            let records = contradictions.resolve(list, "the test").unwrap();
            assert_eq!(ids(&records), ["a", "b"]);
            assert!(records.iter().all(|record| record.healthy));
        }
        assert_eq!(contradictions.seen(), 0);
    }

    #[test]
    fn a_list_of_nothing_but_contradictions_is_an_error() {
        let list = vec![record("a", "a:1"), record("a", "a:2")];
        let error = Contradictions::default().resolve(list, "the test").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the test says different things about \"a\": keep one record for each id"
        );
        assert!(matches!(
            Contradictions::default().resolve(Vec::new(), "the test"),
            Err(DiscoveryError::Empty { .. })
        ));
    }
}
