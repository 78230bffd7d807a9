//! Feature `hashring`: what discovery says about a peer, as a client's selection of backends takes
//! it.

use hashring::BackendRecord;

use crate::Record;

/// The label of a backend that has the zone of its record, as `hashring` and Ringpop's members name
/// it.
const ZONE_LABEL: &str = "zone";

/// Everything that the record says. Its zone becomes the label `zone`, unless the record has one.
///
/// ```
/// use std::time::Instant;
///
/// use hashring::Selector;
/// use ringpop_discovery::{Discovery, StaticList};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let backends = StaticList::parse("10.0.0.1:7100, 10.0.0.2:7100")?;
/// let selector = Selector::builder().build(Instant::now())?;
/// selector.replace_backends(backends.peers().await?.into_iter().map(Into::into))?;
/// assert_eq!(selector.ring().len(), 2);
/// # Ok(())
/// # }
/// ```
impl From<Record> for BackendRecord {
    fn from(record: Record) -> Self {
        let Record { id, address, weight, healthy, zone, mut labels } = record;
        if let Some(zone) = zone {
            labels.entry(ZONE_LABEL.to_owned()).or_insert(zone);
        }
        let backend = Self::new(id, address.to_string()).with_weight(weight).with_healthy(healthy);
        labels.into_iter().fold(backend, |backend, (name, value)| backend.with_label(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_record_says_is_lost() {
        let mut record = Record::new("10.0.0.1:80".parse().unwrap());
        record.id = "worker-1".to_owned();
        record.weight = 3;
        record.healthy = false;
        record.zone = Some("eu-1a".to_owned());
        record.labels.insert("build".to_owned(), "42".to_owned());
        let expected = BackendRecord::new("worker-1", "10.0.0.1:80")
            .with_weight(3)
            .with_healthy(false)
            .with_label("zone", "eu-1a")
            .with_label("build", "42");
        assert_eq!(BackendRecord::from(record.clone()), expected);
        record.labels.insert("zone".to_owned(), "b".to_owned());
        assert_eq!(BackendRecord::from(record), expected.with_label("zone", "b"));
    }
}
