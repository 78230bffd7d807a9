//! One request and its response on an open connection.
//!
//! The request body is pumped by the task that polls: first the wait for the response, then the
//! response body. There is no task per call, and a caller that does not read slows its own upload
//! down, nobody else's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{FlowControl, Reason, RecvStream, SendStream};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use super::SendError;
use super::activity::StreamGuard;
use crate::body::RequestBody;
use crate::header_list;
use crate::resolver::Peer;

/// Sends the request and waits for the head of the response.
pub(crate) async fn exchange(
    peer: &Arc<Peer>,
    mut sender: SendRequest<Bytes>,
    guard: StreamGuard,
    head: http::Request<()>,
    mut body: RequestBody,
) -> Result<http::Response<ResponseBody>, SendError> {
    let limits = &guard.turn.activity().header_lists;
    let size = header_list::size_of_request(&head);
    if size >= limits.request_max {
        limits.count_exceeded();
        let whose = format!("owner {}", peer.address());
        let status = header_list::request_too_large(size, limits.request_max, &whose);
        return Err(SendError::caller(status));
    }
    let mut is_sent = body.is_end_stream();
    let (response, mut stream) = sender.send_request(head, is_sent).map_err(not_taken)?;
    // A connection that its pool gave up ends when nobody can send on it; a running call must not
    // count.
    drop(sender);
    let mut begun = Begun::new(response, guard);
    // h2 gives a stream no room before its head is written. Data that is here already does not wait
    // for that: it leaves with the head in one packet, and h2 holds it as long as the peer has no
    // room.
    while let Some((data, is_last)) = (!is_sent).then(|| body.next_at_hand()).flatten() {
        // When the stream is over already, the response tells why.
        is_sent = is_last | stream.send_data(data, is_last).is_err();
    }
    let mut upload = (!is_sent).then(|| Upload { stream, body, pending: Bytes::new() });
    let response = std::future::poll_fn(|cx| {
        if let Err(status) = pump(&mut upload, cx) {
            return Poll::Ready(Err(SendError::caller(status)));
        }
        begun.poll(cx).map_err(classify)
    });
    let response = response.await?;
    let guard = begun.finish()?;
    let response = response.map(|mut download| ResponseBody {
        flow: download.flow_control().clone(),
        download,
        upload,
        data_done: false,
        peer: Arc::clone(peer),
        guard,
    });
    within_limit(response)
}

/// Gives a response whose header list is not too large, or the status that is left of one.
fn within_limit(
    mut response: http::Response<ResponseBody>,
) -> Result<http::Response<ResponseBody>, SendError> {
    let left = response.body().guard.turn.activity().header_lists.bound(response.headers());
    if let Some(left) = left {
        *response.headers_mut() = left.map_err(SendError::unusable_response)?;
    }
    Ok(response)
}

/// A request whose response has not begun. When it is dropped, the call is given up.
struct Begun(Option<(ResponseFuture, StreamGuard)>);

impl Begun {
    fn new(response: ResponseFuture, guard: StreamGuard) -> Self {
        Self(Some((response, guard)))
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http::Response<RecvStream>, h2::Error>> {
        let Some((response, guard)) = &mut self.0 else { return Poll::Pending };
        let stream = response.stream_id().as_u32();
        match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => {
                guard.turn.activity().on_answer(stream);
                Poll::Ready(Ok(response))
            }
            Err(error) => {
                // There is nothing left to be given up.
                self.0 = None;
                Poll::Ready(Err(error))
            }
        }
    }

    /// Takes the guard of a call whose response has begun.
    fn finish(&mut self) -> Result<StreamGuard, SendError> {
        let (_, guard) = self.0.take().ok_or_else(|| SendError::ambiguous("its stream is gone"))?;
        Ok(guard)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some((response, StreamGuard { turn, .. })) = self.0.take() {
            let activity = Arc::clone(turn.activity());
            activity.give_up(response, turn);
        }
    }
}

/// What it says about a request that h2 does not take it from us.
///
/// A connection that has ended is nobody's fault, and another one may take the request. Everything
/// else is about the request itself: no owner would ever get it, so none is blamed, and none is
/// asked.
fn not_taken(error: h2::Error) -> SendError {
    if error.is_io() || error.is_go_away() || error.is_reset() {
        return SendError::never_sent(error);
    }
    SendError::caller(Status::invalid_argument(format!(
        "request cannot be sent over HTTP/2 ({error}); check its metadata"
    )))
}

/// What a failed stream says about its request.
fn classify(error: h2::Error) -> SendError {
    // h2 gives GOAWAY to the streams above the last one that the peer has looked at, and a broken
    // pipe to the others.
    let is_above_last = error.is_remote() && error.is_go_away();
    let is_refused =
        error.is_remote() && error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if is_above_last || is_refused {
        SendError::refused(error)
    } else {
        SendError::ambiguous(error)
    }
}

/// Sends what can be sent of the request, and drops the upload at its end.
///
/// Fails only when the caller's body does. When the stream fails, the response tells why.
fn pump(upload: &mut Option<Upload>, cx: &mut Context<'_>) -> Result<(), Status> {
    let Some(running) = upload else { return Ok(()) };
    match running.poll(cx) {
        Poll::Pending => Ok(()),
        Poll::Ready(end) => {
            *upload = None;
            end
        }
    }
}

/// The part of a request body that is still to be sent.
#[derive(Debug)]
struct Upload {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// Read from the body, waiting for room on the stream.
    pending: Bytes,
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            while !self.pending.is_empty() {
                if ready!(self.poll_send_pending(cx)).is_none() {
                    return Poll::Ready(Ok(()));
                }
                if self.pending.is_empty() && self.body.is_end_stream() {
                    return Poll::Ready(Ok(()));
                }
            }
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.pending = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let _ = self.stream.send_trailers(trailers);
                        return Poll::Ready(Ok(()));
                    }
                },
                Some(Err(status)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(status));
                }
                None => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Sends as much as the peer has room for. `None` when the stream is over.
    fn poll_send_pending(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.stream.reserve_capacity(self.pending.len());
        let room = match self.stream.capacity() {
            0 => match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(_)) | None => return Poll::Ready(None),
            },
            room => room,
        };
        let data = self.pending.split_to(room.min(self.pending.len()));
        let is_last = self.pending.is_empty() && self.body.is_end_stream();
        Poll::Ready(self.stream.send_data(data, is_last).ok())
    }
}

/// The body of a peer's response, which also sends the rest of the request.
#[derive(Debug)]
pub struct ResponseBody {
    download: RecvStream,
    /// Knows how much of the response is here.
    flow: FlowControl,
    upload: Option<Upload>,
    data_done: bool,
    peer: Arc<Peer>,
    guard: StreamGuard,
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.download.is_end_stream() {
            self.guard.turn.activity().on_reset();
        }
    }
}

impl ResponseBody {
    fn broken(&self, error: &h2::Error) -> Status {
        Status::unavailable(format!(
            "owner {} broke off its response: {error}",
            self.peer.address()
        ))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Err(status) = pump(&mut this.upload, cx) {
            return Poll::Ready(Some(Err(status)));
        }
        if !this.data_done {
            match ready!(this.download.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The reader that polls has room for the data, so the peer may send as much
                    // again.
                    let _ = this.download.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(this.broken(&error)))),
                None => this.data_done = true,
            }
        }
        match ready!(this.download.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| {
                let left = this.guard.turn.activity().header_lists.bound(&trailers);
                left.unwrap_or(Ok(trailers)).map(Frame::trailers)
            })),
            Err(error) => Poll::Ready(Some(Err(this.broken(&error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.download.is_end_stream()
    }

    /// At least the data that is here already comes, so the holder of an unread body knows what it
    /// costs.
    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::default();
        hint.set_lower(self.flow.used_capacity() as u64);
        hint
    }
}
