//! Peers behind a DNS name, such as a headless service.

use std::net::SocketAddr;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::limits::RESOLVE_TIMEOUT;
use crate::record::normalize;
use crate::{Address, Discovery, DiscoveryError, PeersFuture, Record};

/// One peer for each address that a name resolves to, all at the same port.
///
/// The system's resolver answers, so `/etc/hosts` and its caches apply. A peer is named by its
/// address.
#[derive(Debug, Clone)]
pub struct Dns {
    name: Address,
}

impl Dns {
    /// Peers at the addresses of `name`, given as `host:port`.
    ///
    /// # Errors
    ///
    /// `name` is no `host:port`.
    pub fn new(name: &str) -> Result<Self, DiscoveryError> {
        Ok(Self { name: name.parse()? })
    }

    async fn resolve(&self) -> Result<Vec<Record>, DiscoveryError> {
        let lookup = timeout(RESOLVE_TIMEOUT, lookup_host((self.name.host(), self.name.port())));
        let addresses = lookup
            .await
            .map_err(|_| DiscoveryError::TimedOut {
                origin: self.origin(),
                timeout_ms: RESOLVE_TIMEOUT.as_millis(),
            })?
            .map_err(|cause| DiscoveryError::Unresolved {
                name: self.name.to_string(),
                cause: cause.into(),
            })?;
        records(addresses, &self.origin())
    }
}

impl Discovery for Dns {
    fn peers(&self) -> PeersFuture<'_> {
        Box::pin(self.resolve())
    }

    fn origin(&self) -> String {
        format!("the DNS name {:?}", self.name.as_str())
    }
}

/// One record for each address, in whatever order and how often the resolver gave it.
fn records(
    addresses: impl Iterator<Item = SocketAddr>,
    origin: &str,
) -> Result<Vec<Record>, DiscoveryError> {
    let records = addresses
        .map(|address| Ok(Record::new(Address::try_from(address)?)))
        .collect::<Result<Vec<_>, DiscoveryError>>()?;
    normalize(records, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_that_rotates_and_repeats_gives_one_list() {
        let list = |addresses: &[&str]| {
            records(addresses.iter().map(|address| address.parse().unwrap()), "the name")
        };
        let once = list(&["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"]).unwrap();
        let again = list(&["10.0.0.2:80", "[::1]:80", "10.0.0.1:80", "10.0.0.2:80"]).unwrap();
        assert_eq!(once, again);
        assert_eq!(once.len(), 3);
        assert!(matches!(list(&[]), Err(DiscoveryError::Empty { .. })));
    }

    async fn peers(name: &str) -> Result<Vec<String>, DiscoveryError> {
        let peers = Dns::new(name)?.peers().await?;
        Ok(peers.into_iter().map(|peer| peer.address.to_string()).collect())
    }

    #[tokio::test]
    async fn an_ip_address_stands_for_itself() {
        assert_eq!(peers("127.0.0.1:7100").await.unwrap(), ["127.0.0.1:7100"]);
        assert_eq!(peers("[::1]:7100").await.unwrap(), ["[::1]:7100"]);
    }

    #[tokio::test]
    async fn a_name_gives_each_of_its_addresses_once() {
        let peers = peers("localhost:7100").await.unwrap();
        assert!(!peers.is_empty());
        for peer in &peers {
            assert!(["127.0.0.1:7100", "[::1]:7100"].contains(&peer.as_str()), "{peer}");
        }
    }

    #[tokio::test]
    async fn an_unknown_name_is_one_sentence() {
        // No name ends with `invalid` (RFC 2606).
        let name = "no-such-host.invalid:7100";
        let error = peers(name).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot resolve {name:?} (")), "{error}");
        assert!(error.ends_with("): check the name and the resolver"), "{error}");
    }

    #[test]
    fn a_name_needs_a_port() {
        let error = Dns::new("localhost").unwrap_err().to_string();
        assert_eq!(error, "address \"localhost\" has no port: write it as host:port");
    }
}
