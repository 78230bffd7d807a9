//! A request body as it comes from the network: complete only if its caller ended it, and given up
//! when it does not go on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::inflow::cost;
use super::messages::Messages;
use super::registry::connection::Registration;
use super::registry::connection::open_call::OpenCall;
use super::registry::connection::waiting::{For, Waiting};

/// The request body of a call.
#[derive(Debug)]
pub(super) struct Upload {
    body: Body,
    /// `None` on connections that this crate has not accepted.
    call: Option<Arc<OpenCall>>,
    /// Set when the caller had to be waited for.
    waiting: Option<(Arc<Waiting>, Registration)>,
    /// The end of the body carries a flag (RFC 9113 section 8.1), and this is the body of the
    /// server itself, whose hint about it is exact. Layers in between may not pass it on.
    ends_with_flag: bool,
    /// `None` when the body has no messages that are known here.
    messages: Option<Messages>,
    has_begun: bool,
    has_ended: bool,
}

impl Upload {
    pub(super) fn new(
        body: Body,
        call: Option<Arc<OpenCall>>,
        ends_with_flag: bool,
        is_grpc: bool,
    ) -> Self {
        if let Some(call) = &call {
            call.begin_request();
        }
        let messages = is_grpc.then(Messages::default);
        Self {
            body,
            call,
            waiting: None,
            ends_with_flag,
            messages,
            has_begun: false,
            has_ended: false,
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        let Some(call) = &self.call else { return };
        let waits_for = if self.has_begun { For::Upload } else { For::Begin };
        let is_new = self.waiting.is_none();
        let (waiting, _) = self.waiting.get_or_insert_with(|| {
            let waiting = Waiting::new(Arc::clone(call), None);
            let registration = call.connection.register(Arc::clone(&waiting));
            (waiting, registration)
        });
        let mut state = waiting.state();
        state.reader = Some(cx.waker().clone());
        state.unfinished = self.messages.as_ref().map_or(0, Messages::unfinished);
        state.since.get_or_insert_with(|| (waits_for, Instant::now()));
        drop(state);
        if is_new {
            call.connection.all.sweep_soon();
        }
    }

    /// Takes note of data that is handed on.
    fn read(&mut self, data: &[u8]) -> Result<(), Status> {
        if let Some(call) = self.call.as_ref().filter(|_| !data.is_empty()) {
            call.read_request(cost(data.len()));
        }
        let Some(messages) = &mut self.messages else { return Ok(()) };
        messages.feed(data);
        if let Some(call) = &self.call {
            call.hold_unfinished(messages.unfinished());
        }
        if messages.is_shredded() {
            return Err(Status::resource_exhausted(
                "a message of the request comes in pieces that are too small: send larger ones",
            ));
        }
        Ok(())
    }

    /// Takes note that nothing more of the request is handed on.
    fn end(&mut self) {
        self.has_ended = true;
        self.waiting = None;
        if let Some(call) = &self.call {
            call.end_request();
            call.hold_unfinished(0);
        }
    }

    /// Ends the waiting; gives the reason if the call was given up meanwhile.
    fn go_on(&mut self) -> Option<Status> {
        let (waiting, _) = self.waiting.as_ref()?;
        let mut state = waiting.state();
        state.since = None;
        state.reader = None;
        state.shed.take().map(|shed| shed.status())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.hold_unfinished(0);
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.has_ended {
            return Poll::Ready(None);
        }
        let shed = this.waiting.as_ref().and_then(|(waiting, _)| waiting.state().shed.take());
        if let Some(shed) = shed {
            this.end();
            return Poll::Ready(Some(Err(shed.status())));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            this.wait(cx);
            return Poll::Pending;
        };
        let shed = this.go_on();
        this.has_begun = true;
        let is_whole = !this.ends_with_flag || this.body.is_end_stream();
        let frame = match (frame, shed) {
            (_, Some(status)) => Some(Err(status)),
            // A reset that says NO_ERROR reads like an end (RFC 9113 section 8.1).
            (None, None) if !is_whole => {
                Some(Err(Status::cancelled("caller broke off the request")))
            }
            (frame, None) => frame,
        };
        let read = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |data| this.read(data)),
            _ => Ok(()),
        };
        let frame = read.map_or_else(|status| Some(Err(status)), |()| frame);
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            this.end();
        } else if this.body.is_end_stream()
            && let Some(call) = &this.call
        {
            // A reader that trusts the hint does not ask again.
            call.end_request();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
