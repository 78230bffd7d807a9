//! A client that is no member: it watches a registry, keeps the healthy members on a ring of its
//! own, and says for each key on standard input which of them owns it.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use hashring::Selector;
use ringpop_discovery::{DiscoveryUrl, feed_selector};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

/// Follows the source that the first argument names, or `default`.
pub(crate) async fn run(default: &str) -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| default.to_owned());
    let feed = url.parse::<DiscoveryUrl>()?.feed()?;
    let selector = Arc::new(Selector::builder().build(Instant::now())?);
    let following = feed_selector(&feed, &selector);
    let mut snapshots = feed.snapshots();
    let mut picker = selector.picker();
    let mut keys = BufReader::new(stdin()).lines();
    // Keys that come before the first list would find nobody.
    following.ready().await;
    loop {
        tokio::select! {
            list = snapshots.next() => match list {
                Some(Ok(list)) => {
                    eprintln!("{} members, {:?}", list.records().len(), list.freshness());
                }
                Some(Err(error)) => eprintln!("no list yet: {error}"),
                None => return Ok(()),
            },
            key = keys.next_line() => {
                let Some(key) = key? else { break };
                match picker.pick(key.as_bytes(), Instant::now()) {
                    Ok(owner) => println!("{key} {} {}", owner.id(), owner.data().address()),
                    Err(error) => println!("{key} {error}"),
                }
            }
        }
    }
    let stats = following.stats();
    eprintln!("{} lists changed the ring, {} did not", stats.rebuilt, stats.unchanged);
    Ok(())
}
