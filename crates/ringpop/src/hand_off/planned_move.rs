//! A planned move, as one member sees it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use swim_core::Address;
use tokio::sync::Semaphore;
use tokio::time::Instant as Clock;
use tonic::codegen::Bytes;

use super::{HandOffError, MoveEnd, Sending};
use crate::limits::{HAND_OFF_BYTES_MAX, HAND_OFF_CHUNK_BYTES_MAX, HAND_OFF_CHUNKS_UNDER_WAY_MAX};
use crate::view::{Moves, View, Views};
use crate::weight::NextWeight;

/// A planned change of the ring, from the moment at which its member announces it until shortly
/// after all have switched. Clones are the same move.
#[derive(Clone)]
pub struct PlannedMove(Arc<Plan>);

struct Plan {
    mover: Address,
    /// The weight of the mover on the ring, before and after.
    weights: (u32, u32),
    local: Address,
    moves: Moves,
    deadline: Clock,
    /// When nothing is sent any more.
    end: Clock,
    views: Arc<Views>,
    sending: Arc<Sending>,
    sent_bytes: AtomicU64,
    /// Chunks that may be under way.
    places: Semaphore,
}

/// What a member knows of a move when it begins.
pub(crate) struct Outset {
    pub(crate) mover: Address,
    pub(crate) weights: (u32, u32),
    pub(crate) moves: Moves,
    pub(crate) deadline: Clock,
    pub(crate) end: Clock,
}

impl PlannedMove {
    pub(crate) fn new(
        outset: Outset,
        local: &Address,
        views: &Arc<Views>,
        sending: &Arc<Sending>,
    ) -> Self {
        let Outset { mover, weights, moves, deadline, end } = outset;
        Self(Arc::new(Plan {
            mover,
            weights,
            local: local.clone(),
            moves,
            deadline,
            end,
            views: Arc::clone(views),
            sending: Arc::clone(sending),
            sent_bytes: AtomicU64::new(0),
            places: Semaphore::new(HAND_OFF_CHUNKS_UNDER_WAY_MAX),
        }))
    }

    /// The address of the member that joins, leaves or changes its weight.
    #[must_use]
    pub fn mover(&self) -> &str {
        self.0.mover.as_str()
    }

    /// The new owner of a key that this member owns and loses.
    #[must_use]
    pub fn receiver(&self, key: &[u8]) -> Option<&str> {
        let moved = self.0.moves.of(key)?;
        moved.to.filter(|_| moved.from == Some(self.0.local.as_str()))
    }

    /// Whether this member gets a key that it does not own.
    #[must_use]
    pub fn takes(&self, key: &[u8]) -> bool {
        self.0.moves.of(key).is_some_and(|moved| moved.to == Some(self.0.local.as_str()))
    }

    /// Whether the owner of a key changes, from whichever member to whichever.
    #[must_use]
    pub fn moves_key(&self, key: &[u8]) -> bool {
        self.0.moves.of(key).is_some()
    }

    /// Whether this member owns a key by the ring of now.
    #[must_use]
    pub fn is_owned(&self, key: &[u8]) -> bool {
        self.0.views.with(|view| view.lookup(key) == Some(self.0.local.as_str()))
    }

    /// Both rings: the one in use at the beginning, and the one that is planned. With the classic
    /// ring it has [ranges](Moves::ranges).
    #[must_use]
    pub fn moves(&self) -> &Moves {
        &self.0.moves
    }

    /// The time that is left until the ring changes, whoever is done.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.deadline.saturating_duration_since(Clock::now())
    }

    /// Sends a chunk of state to the new owner, over a connection of this member, and waits until
    /// [`HandOff::receive`](super::HandOff::receive) has taken it there. A connection that breaks
    /// is opened again and the chunk sent again, until the move is over. Several calls may run at a
    /// time; beyond [`HAND_OFF_CHUNKS_UNDER_WAY_MAX`] they wait.
    ///
    /// # Errors
    ///
    /// When the receiver is no address, refuses the chunk or is gone, the chunk or all of them
    /// together are too large, or the move is over.
    pub async fn send(&self, receiver: &str, chunk: Bytes) -> Result<(), HandOffError> {
        let (bytes, max) = (chunk.len(), HAND_OFF_CHUNK_BYTES_MAX);
        if bytes > max {
            return Err(HandOffError::ChunkTooLarge { bytes, max });
        }
        let before = self.0.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) > HAND_OFF_BYTES_MAX {
            return Err(HandOffError::TooMuch { max: HAND_OFF_BYTES_MAX });
        }
        // It is never closed.
        let _place = self.0.places.acquire().await.map_err(HandOffError::failed)?;
        self.0.sending.send(&self.0.views, &self.0.mover, receiver, chunk, self.0.end).await
    }

    /// Whether both are one move, and not two of the same member.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn mover_address(&self) -> &Address {
        &self.0.mover
    }

    /// The weight of the mover that is planned.
    pub(crate) fn weight_after(&self) -> u32 {
        self.0.weights.1
    }

    pub(crate) fn deadline(&self) -> Clock {
        self.0.deadline
    }

    pub(crate) fn end(&self) -> Clock {
        self.0.end
    }

    /// Whether the move is over by this view, and how.
    pub(crate) fn ended(&self, view: &View) -> Option<MoveEnd> {
        let Plan { mover, weights: (before, after), .. } = &*self.0;
        let weight = view.ring.node(mover.as_str()).map_or(0, |node| node.weight());
        // A crash of the mover takes it off the ring, which was not the plan.
        if weight == 0 && *before > 0 && *after > 0 {
            return Some(MoveEnd::GivenUp);
        }
        if weight != *before {
            return Some(MoveEnd::Switched);
        }
        let member = view.member(mover.as_str()).filter(|member| member.is_reachable());
        let plan = member.and_then(|member| NextWeight::of(&member.labels));
        match plan {
            Some(plan) if plan.weight == *after => None,
            _ => Some(MoveEnd::GivenUp),
        }
    }
}

impl fmt::Debug for PlannedMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedMove")
            .field("mover", &self.0.mover)
            .field("weights", &self.0.weights)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
