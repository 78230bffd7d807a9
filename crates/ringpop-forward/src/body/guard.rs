//! Makes a broken-off upload an error.
//!
//! tonic reads a request body that ends with the error CANCELLED as the regular end of the stream,
//! so a handler answers as if half of an upload were all of it. Behind a forwarder it would be
//! worse: the forwarder would turn the reset into a regular end. The guard turns the error into
//! ABORTED. An end without an error is a regular end: `is_end_stream` is a hint that layers around
//! a body need not pass on. A reset that reads like an end becomes an error where the body comes
//! from the network, in [`server`](crate::connections).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

/// A request body that ends regularly only if its sender ended it.
#[derive(Debug)]
pub(crate) struct Guard {
    body: Body,
    done: bool,
}

impl Guard {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, done: false }
    }
}

impl HttpBody for Guard {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = frame {
            self.done = frame.is_trailers();
            return Poll::Ready(Some(Ok(frame)));
        }
        self.done = true;
        if matches!(&frame, Some(Err(status)) if status.code() == Code::Cancelled) {
            return Poll::Ready(Some(Err(Status::aborted("caller broke off the request"))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Yields one frame, then ends as told, and hints at nothing.
    struct Upload {
        frame: Option<Bytes>,
        end: Option<Status>,
    }

    impl HttpBody for Upload {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            match self.frame.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => Poll::Ready(self.end.take().map(Err)),
            }
        }
    }

    async fn read(end: Option<Status>) -> Result<usize, Code> {
        let upload = Upload { frame: Some(Bytes::from_static(b"half")), end };
        let guard = Guard::new(Body::new(upload));
        guard.collect().await.map(|all| all.to_bytes().len()).map_err(|status| status.code())
    }

    #[tokio::test]
    async fn a_broken_off_upload_is_aborted() {
        assert_eq!(read(Some(Status::cancelled("reset"))).await, Err(Code::Aborted));
    }

    #[tokio::test]
    async fn a_regular_end_and_other_errors_stay_what_they_are() {
        assert_eq!(read(None).await, Ok(4));
        assert_eq!(read(Some(Status::internal("broken"))).await, Err(Code::Internal));
    }
}
