//! A response body whose first frame was read ahead.
//!
//! Most servers answer a failed unary call with its status in the head, but some send an ordinary head and the status in
//! trailers right behind it. Whether such a call is tried elsewhere depends on what comes first: trailers, or a message.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

type Read = Option<Result<Frame<Bytes>, Status>>;

/// A body with its first frame at hand, if it was read.
#[derive(Debug)]
pub(crate) struct Early<B> {
    /// `None` when nothing was read; a body that turned out to be empty has read its end.
    first: Option<Read>,
    body: B,
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Early<B> {
    /// A body of which nothing was read.
    pub(crate) fn unread(response: Response<B>) -> Response<Self> {
        response.map(|body| Self { first: None, body })
    }

    /// Waits for the first frame.
    pub(crate) async fn read(response: Response<B>) -> Response<Self> {
        let (head, mut body) = response.into_parts();
        let first = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        Response::from_parts(head, Self { first: Some(first), body })
    }
}

impl<B> Early<B> {
    /// The same body as if nothing had come with it.
    pub(crate) fn without_content(self) -> Self {
        Self { first: Some(None), ..self }
    }

    /// The trailers, if the body consists of nothing else.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.first.as_ref()?.as_ref()?.as_ref().ok()?.trailers_ref()
    }

    /// Whether the body broke before anything of it arrived.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.first, Some(Some(Err(_))))
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for Early<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.first.take() {
            Some(None) => {
                // The end stays the end.
                self.first = Some(None);
                Poll::Ready(None)
            }
            Some(first) => Poll::Ready(first),
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.first {
            None => self.body.is_end_stream(),
            Some(first) => first.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // Never exact, or hyper would add `content-length` and lose the trailers.
        SizeHint::default()
    }
}
