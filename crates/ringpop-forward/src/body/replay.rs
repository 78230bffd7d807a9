//! A request body that can be sent more than once.
//!
//! Frames from the caller are kept until they exceed the replay limit. Up to there, another
//! attempt starts again from the first byte and then goes on reading. Beyond it the kept bytes are
//! freed and the request can no longer be sent again. Frames are reference-counted, so keeping one
//! copies nothing.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use smallvec::SmallVec;
use tonic::Status;

use super::Guard;
use crate::limits::JOINED_FRAME_BYTES_MAX;
use crate::stats::Counter;

/// The memory that all requests of a process together keep for replays.
///
/// A search for a key has to read on whatever the limit says, so a full memory refuses
/// nothing: it only lets no request begin or go on to be kept.
#[derive(Debug)]
pub(crate) struct ReplayMemory {
    kept: AtomicUsize,
    max: usize,
    /// Requests that were not kept for want of room.
    unkept: Counter,
}

impl ReplayMemory {
    pub(crate) fn new(max: usize) -> Self {
        Self { kept: AtomicUsize::new(0), max, unkept: Counter::default() }
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    pub(crate) fn unkept(&self) -> u64 {
        self.unkept.get()
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.kept().saturating_add(bytes) <= self.max
    }
}

/// The request as it comes in: the frames that were read, and the source of the rest.
#[derive(Debug)]
pub(crate) struct ReplayBuffer {
    /// `None` when the caller's body has ended.
    source: Option<Guard>,
    frames: SmallVec<[Bytes; 2]>,
    trailers: Option<HeaderMap>,
    /// Bytes that were put into `frames`, as they count in `memory`.
    kept: usize,
    limit: usize,
    memory: Arc<ReplayMemory>,
    /// Frames are kept after they were handed out.
    keep: bool,
    /// Something was handed out that is gone.
    consumed: bool,
}

impl ReplayBuffer {
    /// Takes a body of which at most `limit` bytes are kept, as far as `memory` has room.
    pub(crate) fn new(source: Guard, limit: usize, memory: Arc<ReplayMemory>) -> Self {
        let source = (!source.is_end_stream()).then_some(source);
        Self {
            source,
            frames: SmallVec::new(),
            trailers: None,
            kept: 0,
            limit,
            memory,
            keep: true,
            consumed: false,
        }
    }

    /// Reads until the body has ended or `bytes` are here.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
    ) -> Poll<Result<(), Status>> {
        while self.kept < bytes && self.source.is_some() {
            if let Some(data) = ready!(self.poll_source(cx))? {
                self.push(data);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn push(&mut self, data: Bytes) {
        self.kept += data.len();
        self.memory.kept.fetch_add(data.len(), Ordering::Relaxed);
        // Requests of two frames are ordinary, and copied for nothing.
        let is_many = self.frames.len() >= self.frames.inline_size();
        match self.frames.last_mut() {
            Some(last) if is_many && last.len() + data.len() <= JOINED_FRAME_BYTES_MAX => {
                join(last, &data);
            }
            _ => self.frames.push(data),
        }
    }

    /// Whether the common memory has room. Asked about a request that is kept so far, so a no is
    /// counted once.
    fn has_room_for(&self, bytes: usize) -> bool {
        let has_room = self.memory.has_room_for(bytes);
        if !has_room {
            self.memory.unkept.add_one();
        }
        has_room
    }

    /// Frees the kept frames.
    fn clear(&mut self) {
        self.frames.clear();
        self.release();
    }

    /// Gives the room in the common memory back.
    fn release(&mut self) {
        self.memory.kept.fetch_sub(self.kept, Ordering::Relaxed);
        self.kept = 0;
    }

    /// Reads the whole body, or a little more than is kept of it.
    pub(crate) fn poll_collect(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            self.keep = self.kept <= self.limit && self.has_room_for(0);
            if !self.keep || self.source.is_none() {
                return Poll::Ready(Ok(()));
            }
            if let Some(data) = ready!(self.poll_source(cx))? {
                self.push(data);
            }
        }
    }

    /// The bytes that were read so far.
    pub(crate) fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// Whether the caller's body has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.source.is_none()
    }

    fn is_replayable(&self) -> bool {
        !self.consumed
    }

    /// Whether the whole body is here and kept, so several readers may be at it at the same
    /// time.
    fn is_whole(&self) -> bool {
        self.source.is_none() && self.trailers.is_none() && self.keep && !self.consumed
    }

    /// Whether a reader that has handed out `cursor` frames is at the end.
    fn is_end(&self, cursor: usize) -> bool {
        self.source.is_none() && cursor >= self.frames.len() && self.trailers.is_none()
    }

    /// The next frame of those that were read before.
    fn next_at_hand(&mut self, cursor: &mut usize) -> Option<Bytes> {
        let frame = self.frames.get_mut(*cursor)?;
        *cursor += 1;
        if self.keep {
            return Some(frame.clone());
        }
        self.consumed = true;
        Some(std::mem::take(frame))
    }

    fn poll_next(
        &mut self,
        cursor: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.next_at_hand(cursor) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        while self.source.is_some() {
            match ready!(self.poll_source(cx)) {
                Ok(Some(data)) => {
                    self.hand_out(cursor, &data);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
        }
        Poll::Ready(self.trailers.take().map(|trailers| {
            // gRPC requests have no trailers; others are not worth a copy.
            self.consumed = true;
            Ok(Frame::trailers(trailers))
        }))
    }

    /// Keeps a frame that is handed out for the first time, or stops keeping.
    fn hand_out(&mut self, cursor: &mut usize, data: &Bytes) {
        let is_short = self.kept + data.len() <= self.limit;
        if self.keep && is_short && self.has_room_for(data.len()) {
            self.push(data.clone());
            // The reader was at the end, and is again.
            *cursor = self.frames.len();
        } else {
            self.keep = false;
            self.consumed = true;
            self.clear();
            *cursor = 0;
        }
    }

    /// Reads one frame from the caller. `None` stands for a frame without data, the end included.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(Ok(None));
        };
        let frame = ready!(Pin::new(&mut *source).poll_frame(cx)).transpose();
        if !matches!(frame, Ok(Some(_))) || source.is_end_stream() {
            self.source = None;
        }
        let Some(frame) = frame? else {
            return Poll::Ready(Ok(None));
        };
        match frame.into_data() {
            Ok(data) => Poll::Ready(Ok(Some(data))),
            Err(frame) => {
                self.trailers = frame.into_trailers().ok();
                self.source = None;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// The body for a handler in this process. It is read once.
    pub(crate) fn into_body(mut self) -> OnceBody {
        self.keep = false;
        self.release();
        OnceBody { buffer: self, cursor: 0 }
    }
}

/// Appends a short frame to another one. A frame by itself keeps the memory that it was received
/// in, however short it is.
fn join(frame: &mut Bytes, next: &[u8]) {
    let mut joined = match std::mem::take(frame).try_into_mut() {
        Ok(joined) => joined,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    joined.extend_from_slice(next);
    *frame = joined.freeze();
}

impl Drop for ReplayBuffer {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A request body that is read once.
#[derive(Debug)]
pub(crate) struct OnceBody {
    buffer: ReplayBuffer,
    cursor: usize,
}

impl HttpBody for OnceBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { buffer, cursor } = &mut *self;
        buffer.poll_next(cursor, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.buffer.is_end(self.cursor)
    }
}

/// A request that may be sent several times: one attempt after the other, and side by side when it
/// is whole.
#[derive(Debug)]
pub(crate) struct Replay(Arc<Mutex<ReplayBuffer>>);

impl Replay {
    pub(crate) fn new(buffer: ReplayBuffer) -> Self {
        Self(Arc::new(Mutex::new(buffer)))
    }

    /// The body from its first byte. Unless it [is whole](Self::is_whole), bodies of earlier
    /// attempts must be gone, or both would read from the caller.
    pub(crate) fn attempt(&self) -> RequestBody {
        RequestBody { buffer: Arc::clone(&self.0), cursor: 0 }
    }

    /// Whether [`attempt`](Self::attempt) still gives the body from its first byte.
    pub(crate) fn is_replayable(&self) -> bool {
        lock(&self.0).is_replayable()
    }

    /// Whether the body can be given to several attempts at the same time.
    pub(crate) fn is_whole(&self) -> bool {
        lock(&self.0).is_whole()
    }

    /// Ends the keeping: an attempt was answered.
    pub(crate) fn commit(&self) {
        lock(&self.0).keep = false;
    }
}

/// The body of one attempt, as a transport reads it.
#[derive(Debug)]
pub struct RequestBody {
    buffer: Arc<Mutex<ReplayBuffer>>,
    cursor: usize,
}

impl RequestBody {
    /// The next data that is here already, and whether the body ends with it. It is held in memory
    /// anyway, so a transport may take it without regard to flow control; the rest of the body must
    /// be polled for.
    pub fn next_at_hand(&mut self) -> Option<(Bytes, bool)> {
        let mut buffer = lock(&self.buffer);
        let data = buffer.next_at_hand(&mut self.cursor)?;
        Some((data, buffer.is_end(self.cursor)))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { buffer, cursor } = &mut *self;
        lock(buffer).poll_next(cursor, cx)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.buffer).is_end(self.cursor)
    }
}

/// A panic while the lock is held leaves a body whose call is lost anyway; the lock is private to
/// one call.
fn lock(buffer: &Mutex<ReplayBuffer>) -> MutexGuard<'_, ReplayBuffer> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
