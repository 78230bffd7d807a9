//! A fixed list of peers.

use crate::record::normalize;
use crate::{Address, Discovery, DiscoveryError, PeersFuture, Record};

const ORIGIN: &str = "the list of peers";

/// A fixed list of peers.
#[derive(Debug, Clone)]
pub struct StaticList {
    records: Vec<Record>,
}

impl StaticList {
    /// A list of records.
    ///
    /// # Errors
    ///
    /// The list is empty or longer than [`RECORDS_MAX`](crate::limits::RECORDS_MAX), or has
    /// different records of one id.
    pub fn new(records: impl IntoIterator<Item = Record>) -> Result<Self, DiscoveryError> {
        let records = normalize(records.into_iter().collect(), ORIGIN)?;
        Ok(Self { records })
    }

    /// A list of healthy peers of weight 1 from their addresses.
    ///
    /// # Errors
    ///
    /// An entry is no `host:port`, or the list is empty or too long.
    pub fn from_addresses<A: AsRef<str>>(
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, DiscoveryError> {
        let records = addresses
            .into_iter()
            .map(|address| Ok(Record::new(address.as_ref().parse::<Address>()?)))
            .collect::<Result<Vec<_>, DiscoveryError>>()?;
        Self::new(records)
    }

    /// Parses `host:port,host:port`; blanks around an address are ignored.
    ///
    /// ```
    /// use ringpop_discovery::StaticList;
    ///
    /// assert!(StaticList::parse("10.0.0.1:7100, [::1]:7100").is_ok());
    /// assert!(StaticList::parse("10.0.0.1").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::from_addresses`].
    pub fn parse(list: &str) -> Result<Self, DiscoveryError> {
        if list.trim().is_empty() {
            return Self::new([]);
        }
        Self::from_addresses(list.split(',').map(str::trim))
    }
}

impl Discovery for StaticList {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(async { Ok(self.records.clone()) })
    }

    fn origin(&self) -> String {
        ORIGIN.to_owned()
    }

    fn is_fixed(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lists_what_was_parsed_sorted() {
        let list = StaticList::parse(" b:1 , a:1,[::1]:2,a:1 ").unwrap();
        let peers = list.peers().await.unwrap();
        assert_eq!(
            peers.iter().map(|peer| peer.address.as_str()).collect::<Vec<_>>(),
            ["[::1]:2", "a:1", "b:1"]
        );
        assert!(peers.iter().all(|peer| peer.healthy && peer.weight == 1));
    }

    #[test]
    fn refuses_an_empty_list_and_an_empty_entry() {
        let error = StaticList::parse("  ").unwrap_err().to_string();
        assert_eq!(error, "the list of peers lists no peers: add at least one host:port");
        for list in ["a:1,", ",a:1", "a:1,,b:1"] {
            let error = StaticList::parse(list).unwrap_err().to_string();
            assert_eq!(error, "address \"\" has no port: write it as host:port", "{list}");
        }
    }

    #[test]
    fn names_the_address_that_is_wrong() {
        let error = StaticList::from_addresses(["a:1", "b:0"]).unwrap_err().to_string();
        assert!(error.starts_with("address \"b:0\" has an invalid port"), "{error}");
    }
}
