//! A response body in pieces that can be freed while nobody reads it.
//!
//! HTTP/2 takes a frame of a body and holds it until its peer gives it room, and asks for the next
//! one only then. What a body still has meanwhile is held here, where it can be found and freed,
//! and large frames are handed out in copied pieces, because a slice would keep the whole of its
//! frame in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::registry::connection::content::{Content, Polled};
use super::registry::connection::open_call::OpenCall;
use super::registry::connection::waiting::{For, Shed, Waiting};
use super::registry::connection::{Connection, Registration};
use crate::body::in_trailers;
use crate::limits::COUNTED_FRAME_BYTES_MIN;

/// The response body of a call.
#[derive(Debug)]
pub(super) struct BoundedBody {
    held: Held,
    call: Arc<OpenCall>,
    is_grpc: bool,
    /// A piece was handed out, and the next one has not been asked for.
    is_unread: bool,
}

#[derive(Debug)]
enum Held {
    /// Nobody else has to see it: there is hardly anything, or it was not asked for yet.
    Here(Content),
    /// It waits for its caller, or may.
    There { waiting: Arc<Waiting>, _registration: Registration },
}

impl BoundedBody {
    pub(super) fn new(body: Body, call: Arc<OpenCall>, is_grpc: bool) -> Self {
        Self { held: Held::Here(Content::new(body)), call, is_grpc, is_unread: false }
    }

    fn set_unread(&mut self, is_unread: bool) {
        let unread = &self.call.connection.unread;
        match (self.is_unread, is_unread) {
            (false, true) => unread.fetch_add(1, Ordering::Relaxed),
            (true, false) => unread.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        self.is_unread = is_unread;
    }

    /// Moves the rest to a place from which it can be freed.
    fn register(&mut self) {
        if let Held::Here(content) = &mut self.held {
            let content = content.take();
            let bytes = content.bytes();
            let waiting = Waiting::new(Arc::clone(&self.call), Some(content));
            waiting.state().since = Some((For::Read, Instant::now()));
            let registration = self.call.connection.register(Arc::clone(&waiting));
            self.held = Held::There { waiting, _registration: registration };
            self.call.connection.all.hold(bytes);
        }
    }

    /// Ends the answer to a call that was given up because its request was not read.
    fn end_shed(&mut self) -> Polled {
        let was_here = match &mut self.held {
            Held::Here(content) => content.take().has_body(),
            Held::There { waiting, .. } => waiting.state().content.take().is_some(),
        };
        self.held = Held::Here(Content::default());
        let end = Shed::Overloaded(For::Handler).status();
        let end = if self.is_grpc { in_trailers(&end) } else { Err(end) };
        Poll::Ready(was_here.then_some(end))
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Polled {
        match &mut self.held {
            Held::Here(content) => content.poll_piece(cx),
            Held::There { waiting, .. } => {
                let mut state = waiting.state();
                let Some(content) = &mut state.content else {
                    let Some(shed) = state.shed.take() else { return Poll::Ready(None) };
                    drop(state);
                    let end = shed.status();
                    let end = if self.is_grpc { in_trailers(&end) } else { Err(end) };
                    return Poll::Ready(Some(end));
                };
                let polled = content.poll_piece(cx);
                state.since = polled.is_ready().then(|| (For::Read, Instant::now()));
                polled
            }
        }
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if this.call.is_shed() {
            return this.end_shed();
        }
        let connection = Arc::clone(&this.call.connection);
        if connection.is_full(cx.waker()) {
            this.register();
            return Poll::Pending;
        }
        this.set_unread(false);
        let Poll::Ready(polled) = this.poll_held(cx) else {
            return if this.call.wait(cx.waker()) { this.end_shed() } else { Poll::Pending };
        };
        let frame = match polled {
            Some(Ok(frame)) if frame.is_data() => frame.into_data().unwrap_or_default(),
            other => return Poll::Ready(other),
        };
        this.call.touch();
        this.set_unread(true);
        if matches!(&this.held, Held::Here(content) if !content.is_done()) {
            this.register();
        }
        Poll::Ready(Some(Ok(Frame::data(counted(frame, &connection)))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.held {
            Held::Here(content) => content.is_end(),
            Held::There { waiting, .. } => {
                let state = waiting.state();
                state.shed.is_none() && state.content.as_ref().is_none_or(Content::is_end)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.held {
            Held::Here(content) => content.size_hint(),
            Held::There { .. } => SizeHint::default(),
        }
    }
}

impl Drop for BoundedBody {
    fn drop(&mut self) {
        self.set_unread(false);
        if let Held::There { waiting, .. } = &self.held {
            waiting.leave();
        }
    }
}

/// Bytes that count in the transport of their connection until they are written.
struct Counted {
    data: Bytes,
    connection: Arc<Connection>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connection.leave_transport(self.data.len());
    }
}

fn counted(data: Bytes, connection: &Arc<Connection>) -> Bytes {
    if data.len() < COUNTED_FRAME_BYTES_MIN {
        return data;
    }
    connection.take_into_transport(data.len());
    Bytes::from_owner(Counted { data, connection: Arc::clone(connection) })
}
