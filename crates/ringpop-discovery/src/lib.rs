//! Where the members or backends of a cluster come from.
//!
//! A [`Discovery`] answers one question: which peers exist right now? [`StaticList`] holds a fixed
//! list, [`JsonFile`] reads a file anew at each question, and [`Dns`] resolves a name. [`Watch`]
//! asks again and again and yields a list only when it changed.
//!
//! What a peer is used for (a membership to join, a backend to put on a ring) is not known here:
//! this crate contains no rule of the ring or of the membership protocol.
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
mod contradictions;
mod dns;
mod error;
mod json_file;
pub mod limits;
mod record;
mod static_list;
mod watch;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

pub use address::{Address, AddressError};
pub use dns::Dns;
pub use error::DiscoveryError;
pub use json_file::JsonFile;
pub use record::Record;
pub use static_list::StaticList;
pub use watch::{Watch, WatchError};

/// What [`Discovery::peers`] returns: boxed, so that `dyn Discovery` works.
pub type PeersFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Record>, DiscoveryError>> + Send + 'a>>;

/// A source of peers.
///
/// An implementation of your own writes its body inside `Box::pin(async move { … })`.
pub trait Discovery: Debug + Send + Sync + 'static {
    /// Lists the peers that exist now, the unhealthy ones included.
    ///
    /// The sources of this crate return at least one record, at most [`limits::MAX_RECORDS`],
    /// sorted by id and each id once. The future ends by itself: what it waits for is bounded.
    ///
    /// # Errors
    ///
    /// The source cannot be read, or what it says is not a list of peers. An error says nothing
    /// about the peers: keep using those that are known.
    fn peers(&self) -> PeersFuture<'_>;

    /// How messages name this source, such as `the hosts file "hosts.json"`.
    fn origin(&self) -> String;

    /// Whether the answer can never be another one, so that asking again is of
    /// no use. Default: it can.
    fn is_fixed(&self) -> bool {
        false
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
}

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
