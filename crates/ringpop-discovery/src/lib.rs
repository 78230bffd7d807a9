//! Where the members or backends of a cluster come from.
//!
//! A [`Discovery`] answers one question: which peers exist right now? [`StaticList`] holds a fixed
//! list, [`JsonFile`] reads a file anew at each question, and [`Dns`] resolves a name.
//!
//! A [`Source`] says by itself when its list changes: the services of Consul and the endpoint
//! slices of Kubernetes (features `consul`, `kubernetes`), SRV records as long as they live
//! (feature
//! `dns`), a [`channel`], the [`Union`] of several, and whatever can be asked, by [`Poll`]. A
//! [`Feed`] watches a source for many readers: a stream of whole [`Snapshot`]s with their
//! [`Freshness`], and the one-shot question on top. It keeps the last good list, in memory and, if
//! wanted, in a file.
//!
//! A [`DiscoveryUrl`] names any of them in one line: `dns:workers.internal:7100`.
//!
//! What a peer is used for (a membership to join, a backend to put on a ring) is not known here:
//! this crate contains no rule of the ring or of the membership protocol.
//! `docs/glossary.md` of the project explains the terms.
//!
//! ```
//! use ringpop_discovery::{Discovery, StaticList};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ringpop_discovery::DiscoveryError> {
//! let seeds = StaticList::parse("10.0.0.1:7100, 10.0.0.2:7100")?;
//! for record in seeds.peers().await? {
//!     println!("{} at {}", record.id, record.address);
//! }
//! # Ok(())
//! # }
//! ```

mod address;
#[cfg(feature = "hashring")]
mod backend;
mod cache;
#[cfg(feature = "consul")]
pub mod consul;
mod contradictions;
mod custom;
mod dns;
mod error;
mod feed;
#[cfg(any(feature = "consul", feature = "kubernetes"))]
mod http;
mod json_file;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod limits;
mod record;
#[cfg(feature = "hashring")]
mod selector;
mod snapshot;
mod source;
#[cfg(feature = "dns")]
mod srv;
mod static_list;
mod union;
pub mod url;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

pub use address::{Address, AddressError};
pub use custom::{Channel, ChannelSender, Function, channel};
pub use dns::Dns;
pub use error::DiscoveryError;
pub use feed::{Feed, FeedStats, Snapshots};
pub use json_file::JsonFile;
pub use record::Record;
#[cfg(feature = "hashring")]
pub use selector::{SelectorFeed, SelectorFeedStats, feed_selector};
pub use snapshot::{Freshness, Snapshot};
pub use source::{FilterMap, Poll, PollError, Source};
#[cfg(feature = "dns")]
pub use srv::{Srv, SrvError};
pub use static_list::StaticList;
pub use union::{Union, UnionError};
pub use url::DiscoveryUrl;

/// The future of [`Discovery::peers`], boxed for `dyn Discovery`.
pub type PeersFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Record>, DiscoveryError>> + Send + 'a>>;

/// A source of peers.
///
/// An implementation of your own writes its body inside `Box::pin(async move { … })`.
pub trait Discovery: Debug + Send + Sync + 'static {
    /// Lists the peers that exist now, the unhealthy ones included.
    ///
    /// The sources of this crate return at least one record, at most [`limits::RECORDS_MAX`],
    /// sorted by id and each id once. The future ends by itself: what it waits for is bounded.
    ///
    /// # Errors
    ///
    /// The source cannot be read, or what it says is not a list of peers. An error says nothing
    /// about the peers: keep using those that are known.
    fn peers(&self) -> PeersFuture<'_>;

    /// How messages name this source, such as `the hosts file "hosts.json"`.
    fn origin(&self) -> String;

    /// Whether the answer can never change, and asking again is of no use. Default: it can.
    fn is_fixed(&self) -> bool {
        false
    }

    /// The lists from now on, where this source is watched. Default: `None`, it can only be asked.
    fn snapshots(&self) -> Option<Snapshots> {
        None
    }
}

impl<D: Discovery + ?Sized> Discovery for Arc<D> {
    fn peers(&self) -> PeersFuture<'_> {
        (**self).peers()
    }

    fn origin(&self) -> String {
        (**self).origin()
    }

    fn is_fixed(&self) -> bool {
        (**self).is_fixed()
    }

    fn snapshots(&self) -> Option<Snapshots> {
        (**self).snapshots()
    }
}

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
