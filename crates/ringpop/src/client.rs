//! Clients that are no members: a channel whose backends follow a discovery.

use std::sync::Arc;

use hashring::{Selector, SelectorError};
use ringpop_discovery::url::UrlError;
use ringpop_discovery::{DiscoveryUrl, Feed, SelectorFeed, SelectorFeedStats, feed_selector};
use ringpop_forward::{ConfigError, Forwarder, RingChannel, Routes, SelectorResolver};
use tokio::time::Instant;

/// A channel for generated clients of a process that is no member. It sends each call to the owner
/// of its key among the healthy members that discovery lists, with their weights, and follows
/// discovery until it is dropped. The feed keeps the last good list: a registry that is down stops
/// nobody.
///
/// ```
/// use ringpop::DiscoveredChannel;
/// use ringpop::forward::Routes;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let routes = Routes::new().field("/kv.v1.Kv/Get", &[1]).unary().idempotent();
/// let members = DiscoveredChannel::new("static:10.0.0.1:7100,10.0.0.2:7100", routes)?;
/// members.ready().await;
/// // let mut kv = KvClient::new(members.channel());
/// # let _ = members.channel();
/// assert_eq!(members.stats().rebuilt, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DiscoveredChannel {
    channel: RingChannel,
    following: SelectorFeed,
}

impl DiscoveredChannel {
    /// A channel to the members that the source of a URL lists; the page of
    /// [`discovery::url`](ringpop_discovery::url) has the grammar.
    ///
    /// # Errors
    ///
    /// The text is no URL of a source, or that cannot be opened here.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer enabled.
    pub fn new(url: &str, routes: Routes) -> Result<Self, ChannelError> {
        Self::from_feed(&url.parse::<DiscoveryUrl>()?.feed()?, routes)
    }

    /// A channel to the members that a feed lists.
    ///
    /// # Errors
    ///
    /// The selection or the forwarder cannot be set up.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn from_feed(feed: &Feed, routes: Routes) -> Result<Self, ChannelError> {
        let selector = Arc::new(Selector::builder().build(Instant::now().into_std())?);
        let following = feed_selector(feed, &selector);
        let forwarder =
            Forwarder::builder(SelectorResolver::new(selector)).routes(routes).build()?;
        Ok(Self { channel: forwarder.channel(), following })
    }

    /// The channel, for any number of generated clients. Before the first list, calls fail.
    #[must_use]
    pub fn channel(&self) -> RingChannel {
        self.channel.clone()
    }

    /// Waits until discovery has given its first list.
    pub async fn ready(&self) {
        self.following.ready().await;
    }

    /// How the lists of discovery changed the ring, and how many did not.
    #[must_use]
    pub fn stats(&self) -> SelectorFeedStats {
        self.following.stats()
    }
}

/// Why a channel cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The text is no URL of a source, or that cannot be opened here.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The selection of members cannot be set up.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// The forwarder cannot be set up.
    #[error(transparent)]
    Forwarder(#[from] ConfigError),
}
