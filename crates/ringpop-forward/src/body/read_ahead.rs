//! A response body of which the beginning, or all, was read ahead.
//!
//! Most servers answer a failed unary call with its status in the head, but some send an ordinary
//! head and the status in trailers right behind it. Whether such a call is tried elsewhere depends
//! on what comes first: trailers, or a message. And a call that may be executed twice is only lost
//! with its owner if its caller has a part of the response already, so the response of one is read
//! whole before the caller gets any of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;
use tonic::Status;

use super::reply::lower;
use super::{Kept, ResponseMemory};
use crate::limits::WHOLE_RESPONSE_BYTES;

/// A body and the frames that were read ahead.
#[derive(Debug)]
pub(crate) struct ReadAhead<B> {
    data: SmallVec<[Bytes; 1]>,
    /// How many pieces of `data` were given on.
    given: usize,
    /// The end of the body, if it was read.
    end: Option<End>,
    body: B,
    /// The memory that `data` counts in.
    kept: Option<Kept>,
}

/// How a body ends.
#[derive(Debug)]
enum End {
    Trailers(HeaderMap),
    Plain,
    Broken(Status),
    /// It was given on.
    Given,
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> ReadAhead<B> {
    /// A body of which nothing was read.
    pub(crate) fn unread(response: Response<B>) -> Response<Self> {
        response.map(|body| Self::new(body, None))
    }

    /// Waits for the first frame.
    pub(crate) async fn first(response: Response<B>) -> Response<Self> {
        Self::read(response, None).await
    }

    /// Waits for the whole body, up to [`WHOLE_RESPONSE_BYTES`] and as far as `memory` has room.
    pub(crate) async fn whole(
        response: Response<B>,
        memory: &Arc<ResponseMemory>,
    ) -> Response<Self> {
        Self::read(response, Some(Kept::new(memory))).await
    }

    async fn read(response: Response<B>, kept: Option<Kept>) -> Response<Self> {
        let (head, body) = response.into_parts();
        let mut ahead = Self::new(body, kept);
        std::future::poll_fn(|cx| ahead.poll_ahead(cx)).await;
        Response::from_parts(head, ahead)
    }

    fn new(body: B, kept: Option<Kept>) -> Self {
        Self { data: SmallVec::new(), given: 0, end: None, body, kept }
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let end = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => End::Plain,
                Some(Err(status)) => End::Broken(status),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let goes_on = self.kept.as_mut().is_some_and(|kept| {
                            kept.add(data.len()) && kept.bytes() <= WHOLE_RESPONSE_BYTES
                        });
                        self.data.push(data);
                        if goes_on {
                            continue;
                        }
                        return Poll::Ready(());
                    }
                    Err(frame) => frame.into_trailers().map_or(End::Plain, End::Trailers),
                },
            };
            self.end = Some(end);
            return Poll::Ready(());
        }
    }
}

impl<B> ReadAhead<B> {
    /// The same body as if nothing had come with it.
    pub(crate) fn without_content(self) -> Self {
        Self { data: SmallVec::new(), given: 0, end: Some(End::Plain), ..self }
    }

    /// The trailers, if the body consists of nothing else.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        match &self.end {
            Some(End::Trailers(trailers)) if self.data.is_empty() => Some(trailers),
            _ => None,
        }
    }

    /// Whether the body broke before the caller had anything of it.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.end, Some(End::Broken(_)))
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for ReadAhead<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(data) = this.data.get_mut(this.given) {
            this.given += 1;
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))));
        }
        let Some(end) = &mut this.end else {
            return Pin::new(&mut this.body).poll_frame(cx);
        };
        Poll::Ready(match std::mem::replace(end, End::Given) {
            End::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            End::Broken(status) => Some(Err(status)),
            End::Plain | End::Given => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        let is_given = self.given == self.data.len();
        is_given
            && match &self.end {
                None => self.body.is_end_stream(),
                Some(end) => matches!(end, End::Plain | End::Given),
            }
    }

    fn size_hint(&self) -> SizeHint {
        // Never exact, or hyper would add `content-length` and lose the trailers.
        let mut hint = lower(&self.body);
        let here: usize = self.data.iter().skip(self.given).map(Bytes::len).sum();
        hint.set_lower(hint.lower() + here as u64);
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Gives these frames, and then never another one.
    struct Frames(VecDeque<Option<Result<Frame<Bytes>, Status>>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.pop_front().map_or(Poll::Pending, Poll::Ready)
        }
    }

    fn data(bytes: usize) -> Option<Result<Frame<Bytes>, Status>> {
        Some(Ok(Frame::data(vec![7; bytes].into())))
    }

    fn broken() -> Option<Result<Frame<Bytes>, Status>> {
        Some(Err(Status::unavailable("broken")))
    }

    fn response<const N: usize>(
        frames: [Option<Result<Frame<Bytes>, Status>>; N],
    ) -> Response<Frames> {
        Response::new(Frames(frames.into()))
    }

    fn memory(bytes: usize) -> Arc<ResponseMemory> {
        Arc::new(ResponseMemory::new(bytes))
    }

    #[tokio::test]
    async fn a_response_that_breaks_in_its_message_is_broken_only_if_it_was_to_be_whole() {
        let frames = || response([data(3), data(3), broken()]);
        let memory = memory(1 << 20);
        assert!(ReadAhead::whole(frames(), &memory).await.body().is_broken());
        assert!(!ReadAhead::first(frames()).await.body().is_broken());
        assert_eq!(memory.kept(), 0, "what is gone is not kept");
    }

    #[tokio::test]
    async fn what_was_read_is_given_on_in_order() {
        let memory = memory(1 << 20);
        let trailers = Some(Ok(Frame::trailers(HeaderMap::new())));
        let mut whole = ReadAhead::whole(response([data(1), data(2), trailers]), &memory).await;
        let body = whole.body_mut();
        assert!(body.trailers().is_none(), "a message came before");
        assert!(memory.kept() > 0);
        let mut lengths = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
        {
            lengths.push(frame.unwrap().into_data().map(|data| data.len()).ok());
        }
        assert_eq!(lengths, [Some(1), Some(2), None]);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn long_responses_and_those_beyond_the_common_memory_go_through_as_they_come() {
        let piece = WHOLE_RESPONSE_BYTES / 2;
        let long = response([data(piece), data(piece), data(1), broken()]);
        assert!(!ReadAhead::whole(long, &memory(1 << 30)).await.body().is_broken());
        let full = memory(4);
        assert!(!ReadAhead::whole(response([data(5), broken()]), &full).await.body().is_broken());
    }
}
