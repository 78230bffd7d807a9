//! Registries that others wrote, as they are published: Consul, dnsmasq, and the machinery of the
//! API server of Kubernetes.
//!
//! A program that is not installed skips its tests, which is said at the beginning of a line;
//! `.ci/run` installs what it can. What can go wrong, and which tests have it, here or in the
//! module of the source:
//!
//! | | Consul | Kubernetes | SRV | file, name |
//! |---|---|---|---|---|
//! | down first, down later, restarted | here, unit | here, unit | here | unit, feed |
//! | slow, silent | here, unit | here, unit | here | unit, feed |
//! | garbage | unit | unit | unit | unit |
//! | permission denied | here, unit | unit | unit | unit |
//! | watch expired | unit | here, unit | – | – |
//! | empty | here, unit | here, unit | here, unit | unit |
//! | 10,000 endpoints | here, unit | here, unit | 500 fit an answer | unit |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod api_server;
mod consul;
mod dnsmasq;
mod kubernetes;
mod picks;
mod support;

use ringpop_discovery::{DiscoveryError, Snapshot, Snapshots};
use tokio::time::timeout;

use support::PATIENCE;

/// The next snapshot that is as the test wants it.
async fn until(snapshots: &mut Snapshots, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let search = async {
        loop {
            if let Ok(snapshot) = snapshots.next().await.expect("the source goes on")
                && wanted(&snapshot)
            {
                return snapshot;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the list came in time")
}

/// The next failure before any list is known.
async fn failure(snapshots: &mut Snapshots) -> DiscoveryError {
    let next = timeout(PATIENCE, snapshots.next()).await.expect("an answer in time");
    next.expect("the source goes on").expect_err("nothing is known")
}

/// The ids of a list.
fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.records().iter().map(|record| &*record.id).collect()
}
