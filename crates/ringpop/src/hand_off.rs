//! State that moves with its keys: hooks that hand it over before a planned change of the ring, and
//! a map in memory whose entries move by themselves.
//!
//! A member that joins, leaves in order or changes its weight plans a move. It tells the others,
//! which work out the keys that change their owner. Old owners [give](HandOff::give) what they hold
//! of those keys, new owners [receive](HandOff::receive) it, and when all are done, or at the
//! deadline, all members switch to the new ring at one agreed instant. Meanwhile the old owner
//! serves its keys as before. A crash waits for nobody and hands nothing over.
//!
//! ```
//! use std::sync::Arc;
//! use ringpop::Ringpop;
//! use ringpop::hand_off::Map;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let drivers = Arc::new(Map::new(100_000, 64 * 1024 * 1024));
//! let member = Ringpop::builder("rides").hand_off(Arc::clone(&drivers)).bind().await?;
//! member.serve(tonic::service::Routes::default())?;
//! member.bootstrap().await?; // what others hold of its keys has come
//!
//! drivers.put("driver-42", "52.5,13.4")?;
//! assert_eq!(drivers.get(b"driver-42").as_deref(), Some(&b"52.5,13.4"[..]));
//! member.shutdown(std::time::Duration::from_secs(5)).await; // what it holds goes to the others
//! # Ok(())
//! # }
//! ```

mod error;
mod map;
mod planned_move;
mod sending;

use std::fmt::Debug;

use tonic::codegen::Bytes;

pub use error::HandOffError;
pub use map::{Map, MapFull};
pub(crate) use planned_move::Outset;
pub use planned_move::PlannedMove;
pub(crate) use sending::Sending;

/// What an application does with the state of keys that are about to move; set by
/// [`Builder::hand_off`](crate::Builder::hand_off).
///
/// Everything here is bounded in time: at the deadline of a move, the future that runs is dropped
/// and the ring changes all the same. The new owner keeps all that it was given until then.
///
/// Write `#[ringpop::tonic::async_trait]` above an implementation.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use ringpop::hand_off::{HandOff, HandOffError, MoveEnd, PlannedMove};
///
/// /// Counters by key.
/// #[derive(Debug, Default)]
/// struct Counts(Mutex<HashMap<String, u64>>);
///
/// #[ringpop::tonic::async_trait]
/// impl HandOff for Counts {
///     async fn give(&self, planned: PlannedMove) -> Result<(), HandOffError> {
///         let moving: Vec<(String, String)> = {
///             let counts = self.0.lock().expect("nothing panics under it");
///             let moving = counts.iter().filter_map(|(key, count)| {
///                 let receiver = planned.receiver(key.as_bytes())?;
///                 Some((receiver.to_owned(), format!("{key} {count}")))
///             });
///             moving.collect()
///         };
///         for (receiver, entry) in moving {
///             planned.send(&receiver, entry.into()).await?; // many entries in one chunk, really
///         }
///         Ok(())
///     }
///
///     async fn receive(
///         &self,
///         _: &PlannedMove,
///         chunk: ringpop::tonic::codegen::Bytes,
///     ) -> Result<(), HandOffError> {
///         let text = std::str::from_utf8(&chunk).map_err(HandOffError::failed)?;
///         let (key, count) = text.split_once(' ').ok_or(HandOffError::failed("no entry"))?;
///         let count = count.parse().map_err(HandOffError::failed)?;
///         self.0.lock().expect("nothing panics under it").insert(key.to_owned(), count);
///         Ok(())
///     }
///
///     fn ended(&self, planned: &PlannedMove, _: MoveEnd) {
///         let mut counts = self.0.lock().expect("nothing panics under it");
///         counts.retain(|key, _| planned.is_owned(key.as_bytes()) || !planned.moves_key(key.as_bytes()));
///     }
/// }
/// ```
#[tonic::async_trait]
pub trait HandOff: Debug + Send + Sync + 'static {
    /// Called at a member that is about to lose keys: gives their state to the
    /// [receivers](PlannedMove::receiver) by [`PlannedMove::send`]. The ring changes once all
    /// members are done.
    ///
    /// # Errors
    ///
    /// What could not be given; the ring changes without it.
    async fn give(&self, planned: PlannedMove) -> Result<(), HandOffError>;

    /// Called at a member that is about to get keys, for each chunk that an old owner sent. A chunk
    /// whose answer was lost comes again.
    ///
    /// # Errors
    ///
    /// Why the chunk is not taken. The sender gets the error.
    async fn receive(&self, planned: &PlannedMove, chunk: Bytes) -> Result<(), HandOffError>;

    /// Called at a member that is about to get keys, at the beginning of a move: warms up, for
    /// example by reading from a store. The ring changes once it is done. Default: nothing.
    ///
    /// # Errors
    ///
    /// What went wrong; the ring changes all the same.
    async fn prepare(&self, planned: PlannedMove) -> Result<(), HandOffError> {
        let _ = planned;
        Ok(())
    }

    /// Called at a member that has given everything, until shortly after the ring has changed:
    /// sends later writes. Default: nothing.
    async fn keep_up(&self, planned: PlannedMove) {
        let _ = planned;
    }

    /// Called when a move is over: drops what is somebody else's now. Must not block. Default:
    /// nothing.
    fn ended(&self, planned: &PlannedMove, end: MoveEnd) {
        let _ = (planned, end);
    }
}

/// How a planned move ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveEnd {
    /// The ring has changed.
    Switched,
    /// The member that planned it took it back or is gone; the ring may have changed otherwise.
    GivenUp,
}
