//! Feature `discovery`: the sources of `ringpop-discovery` as where hosts are listed.

use std::pin::Pin;
use std::sync::Arc;

use ringpop_discovery::{Discovery, DiscoveryError, Record, Snapshots};
use swim_core::{Address, AddressError};

use crate::discover::{Discover, Lists};

/// The healthy hosts of a source of [`ringpop_discovery`]. An address that the protocol cannot use
/// is left out, which the log is told.
#[derive(Clone, Debug)]
pub struct Hosts {
    source: Arc<dyn Discovery>,
    read: ReadAddress,
}

type ReadAddress = fn(&str) -> Result<Address, AddressError>;

impl Hosts {
    /// The hosts of `source`, by the canonical form of their addresses.
    #[must_use]
    pub fn new(source: Arc<dyn Discovery>) -> Self {
        Self { source, read: Address::new }
    }

    /// By the addresses as they are written, for clusters that compare addresses as text.
    #[must_use]
    pub fn verbatim(mut self) -> Self {
        self.read = Address::verbatim;
        self
    }

    /// Where they come from.
    #[must_use]
    pub const fn source(&self) -> &Arc<dyn Discovery> {
        &self.source
    }
}

impl Discover for Hosts {
    type Error = DiscoveryError;

    async fn hosts(&self) -> Result<Vec<Address>, DiscoveryError> {
        Ok(addresses(&self.source.peers().await?, self.read))
    }

    fn lists_nobody(error: &DiscoveryError) -> bool {
        error.lists_nobody()
    }

    fn origin(&self) -> String {
        self.source.origin()
    }

    fn is_fixed(&self) -> bool {
        self.source.is_fixed()
    }

    fn lists(&self) -> Option<Box<dyn Lists>> {
        let snapshots = self.source.snapshots()?;
        Some(Box::new(Watched { snapshots, read: self.read }))
    }
}

/// The lists of a source that is watched.
struct Watched {
    snapshots: Snapshots,
    read: ReadAddress,
}

impl Lists for Watched {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Vec<Address>>> + Send + '_>> {
        Box::pin(async {
            loop {
                // Without a list there is nothing to tell; the feed has told the log.
                if let Ok(list) = self.snapshots.next().await? {
                    return Some(addresses(list.records(), self.read));
                }
            }
        })
    }
}

fn addresses(records: &[Record], read: ReadAddress) -> Vec<Address> {
    let healthy = records.iter().filter(|record| record.healthy);
    let address = |record: &Record| {
        let address = read(record.address.as_str());
        address.inspect_err(|error| tracing::warn!("a listed host is left out: {error}")).ok()
    };
    healthy.filter_map(address).collect()
}
