//! The rest of an answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::limits::{ANSWER_PIECE_BYTES, ANSWER_PIECE_BYTES_FIRST};

pub(crate) type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// The rest of an answer.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// `None` when it has ended.
    body: Option<Body>,
    /// The rest of a large frame.
    rest: Bytes,
    /// A frame that was read ahead.
    next: Option<Result<Frame<Bytes>, Status>>,
    is_first: bool,
}

impl Content {
    pub(crate) fn new(body: Body) -> Self {
        Self { body: Some(body), rest: Bytes::new(), next: None, is_first: true }
    }

    /// What there is of it, which leaves nothing here.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Whether its body has not ended.
    pub(crate) fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Before the first frame, it is what the body says.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) if self.is_first => body.size_hint(),
            _ => SizeHint::default(),
        }
    }

    /// Bytes that are held, as far as that is known.
    pub(crate) fn bytes(&self) -> usize {
        let data = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, Bytes::len);
        let next = self.next.as_ref().and_then(|next| next.as_ref().ok()).map_or(0, data);
        // The announced length of a forwarded answer is here already.
        let ahead = self.body.as_ref().map_or(0, |body| body.size_hint().lower());
        self.rest.len() + next + usize::try_from(ahead).unwrap_or(usize::MAX / 4)
    }

    /// Whether nothing is left but trailers.
    pub(crate) fn is_done(&self) -> bool {
        let is_data = |next: &Result<Frame<Bytes>, Status>| next.as_ref().is_ok_and(Frame::is_data);
        self.rest.is_empty() && self.body.is_none() && !self.next.as_ref().is_some_and(is_data)
    }

    pub(crate) fn is_end(&self) -> bool {
        let is_end = self.body.as_ref().is_none_or(HttpBody::is_end_stream);
        self.rest.is_empty() && self.next.is_none() && is_end
    }

    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.rest.is_empty() {
            match ready!(self.poll_next(cx)) {
                Some(Ok(frame)) if frame.is_data() => {
                    self.rest = frame.into_data().unwrap_or_default();
                }
                other => return Poll::Ready(other),
            }
        }
        if self.rest.len() <= ANSWER_PIECE_BYTES {
            self.is_first = false;
            let data = std::mem::take(&mut self.rest);
            self.read_ahead(cx);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let size = if self.is_first { ANSWER_PIECE_BYTES_FIRST } else { ANSWER_PIECE_BYTES };
        self.is_first = false;
        let piece = Bytes::copy_from_slice(&self.rest[..size]);
        self.rest.advance(size);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(next));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    /// Looks whether the answer ends here: if so, nothing of it has to be held any more.
    fn read_ahead(&mut self, cx: &mut Context<'_>) {
        if self.next.is_none()
            && let Poll::Ready(next) = self.poll_next(cx)
        {
            self.next = next;
        }
    }
}
