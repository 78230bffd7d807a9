//! Response bodies that act at their end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

use crate::connections::InFlight;
use crate::server::deadline::{Deadline, exceeded};
use crate::shared::Shared;

pin_project! {
    /// The response of another process.
    ///
    /// It never reports an exact size: hyper would add `content-length`, and trailers would be lost
    /// on the way.
    pub(crate) struct Reply<B, T> {
        #[pin]
        body: B,
        shared: Arc<Shared<T>>,
        // Set when the timer is first needed: most bodies are there before they have to be waited
        // for.
        #[pin]
        timer: Option<Sleep>,
        deadline: Option<Deadline>,
        // Whether the end can be told in trailers.
        is_grpc: bool,
        saw_trailers: bool,
        // The call is in flight until its body is gone. Empty when the body has ended.
        ticket: Option<InFlight>,
    }
}

impl<B, T> Reply<B, T> {
    /// `status_in_head` says that the response told its status ahead of the body, so no
    /// trailers follow.
    pub(crate) fn new(
        body: B,
        shared: Arc<Shared<T>>,
        deadline: Option<Deadline>,
        is_grpc: bool,
        status_in_head: bool,
        ticket: InFlight,
    ) -> Self {
        let saw_trailers = status_in_head;
        Self { body, shared, timer: None, deadline, is_grpc, saw_trailers, ticket: Some(ticket) }
    }
}

impl<B: HttpBody<Data = Bytes, Error = Status>, T> HttpBody for Reply<B, T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        if this.ticket.is_none() {
            return Poll::Ready(None);
        }
        let counters = &this.shared.counters;
        let failure = match this.body.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                *this.saw_trailers |= frame.is_trailers();
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) if *this.saw_trailers || !*this.is_grpc => {
                *this.ticket = None;
                return Poll::Ready(None);
            }
            Poll::Ready(None) => {
                counters.broken_responses.add_one();
                Status::internal("owner ended its response without a grpc-status")
            }
            Poll::Ready(Some(Err(status))) => {
                counters.broken_responses.add_one();
                status
            }
            Poll::Pending => {
                let Some(deadline) = *this.deadline else {
                    return Poll::Pending;
                };
                if this.timer.is_none() {
                    this.timer.set(Some(sleep_until(deadline.answer_at)));
                }
                if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                    ready!(timer.poll(cx));
                }
                counters.deadlines_exceeded.add_one();
                exceeded()
            }
        };
        *this.ticket = None;
        Poll::Ready(Some(if *this.is_grpc { in_trailers(&failure) } else { Err(failure) }))
    }

    fn is_end_stream(&self) -> bool {
        self.ticket.is_none() || (self.body.is_end_stream() && (self.saw_trailers || !self.is_grpc))
    }

    fn size_hint(&self) -> SizeHint {
        lower(&self.body)
    }
}

/// The least that is to come, and never an exact size.
pub(crate) fn lower(body: &impl HttpBody) -> SizeHint {
    let mut hint = SizeHint::default();
    hint.set_lower(body.size_hint().lower());
    hint
}

/// A gRPC caller reads a status from trailers, where a broken stream would only tell it that
/// something is wrong.
pub(crate) fn in_trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = http::HeaderMap::with_capacity(2);
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

/// The response stream of a handler in this process; its call is in flight until the stream is
/// gone.
pub(crate) struct Tracked {
    body: Body,
    _ticket: InFlight,
}

impl Tracked {
    pub(crate) fn new(body: Body, ticket: InFlight) -> Self {
        Self { body, _ticket: ticket }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
