//! The memory of responses that are read whole before their callers get any of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that a piece of a body costs beyond its data: the handle of the piece, and its share of
/// the allocation behind it.
const PIECE_BYTES: usize = 64;

/// What all responses of a process together may keep.
#[derive(Debug)]
pub(crate) struct ResponseMemory {
    kept: AtomicUsize,
    max: usize,
}

impl ResponseMemory {
    pub(crate) fn new(max: usize) -> Self {
        Self { kept: AtomicUsize::new(0), max }
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }
}

/// The part of one response, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    memory: Arc<ResponseMemory>,
    bytes: usize,
}

impl Kept {
    pub(crate) fn new(memory: &Arc<ResponseMemory>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    /// Counts a piece of `bytes`, which is here already. False when there is no room for more.
    pub(crate) fn add(&mut self, bytes: usize) -> bool {
        let bytes = bytes + PIECE_BYTES;
        self.bytes += bytes;
        self.memory.kept.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.memory.max
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.kept.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
