//! A discovery that is watched, after the member has joined: hosts that appear in it are dialled at
//! once, and those that are listed no more are not dialled any more.

use std::sync::Arc;

use ringpop_discovery::{Discovery, Snapshot};
use swim_core::Address;
use swim_driver::Handle;
use tokio::task::JoinHandle;

/// Tells the membership task of each list until it is dropped.
#[derive(Debug)]
pub(crate) struct Following(JoinHandle<()>);

impl Following {
    /// `None` for a discovery that can only be asked: the membership task does that from time to
    /// time.
    pub(crate) fn start(discovery: &Arc<dyn Discovery>, handle: &Handle) -> Option<Self> {
        let mut snapshots = discovery.snapshots()?;
        let handle = handle.clone();
        Some(Self(tokio::spawn(async move {
            while let Some(list) = snapshots.next().await {
                // Without a list there is nothing to tell; the feed has told the log.
                if let Ok(list) = list {
                    // Nobody heals a member that has stopped.
                    let _ = handle.discovered(hosts(&list)).await;
                }
            }
        })))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The healthy hosts of a list; an address that the protocol cannot use is left out.
fn hosts(list: &Snapshot) -> Vec<Address> {
    let healthy = list.records().iter().filter(|record| record.healthy);
    healthy.filter_map(|record| Address::new(record.address.as_str()).ok()).collect()
}
