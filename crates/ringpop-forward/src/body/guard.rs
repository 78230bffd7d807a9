//! Makes a broken-off upload an error.
//!
//! tonic reads a request body that ends with the error CANCELLED as the regular end of the stream, so a handler answers
//! as if half of an upload were all of it. Behind a forwarder it would be worse: the forwarder would turn the reset into
//! a regular end. The guard turns both, the error and an end without END_STREAM, into ABORTED.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Version;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

/// A request body that ends regularly only if its sender ended it.
#[derive(Debug)]
pub(crate) struct Guard {
    body: Body,
    /// HTTP/1 has no END_STREAM to ask for, and bodies made in this process report no end ahead of time; for them a
    /// regular end is a regular end.
    ends_with_flag: bool,
    done: bool,
}

impl Guard {
    /// Guards a body that a server received over `version`.
    pub(crate) fn received(body: Body, version: Version) -> Self {
        Self { body, ends_with_flag: version == Version::HTTP_2, done: false }
    }

    /// Takes a body that was made in this process, where nothing can cut it off unseen.
    pub(crate) fn made_here(body: Body) -> Self {
        Self { body, ends_with_flag: false, done: false }
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
        let broken_off = match &frame {
            Some(Err(status)) => status.code() == Code::Cancelled,
            _ => self.ends_with_flag && !self.body.is_end_stream(),
        };
        if broken_off {
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

    /// Yields one frame, then ends as told.
    struct Upload {
        frame: Option<Bytes>,
        end: Option<Status>,
        flagged: bool,
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

        fn is_end_stream(&self) -> bool {
            self.frame.is_none() && self.flagged
        }
    }

    async fn read(version: Version, end: Option<Status>, flagged: bool) -> Result<usize, Code> {
        let upload = Upload { frame: Some(Bytes::from_static(b"half")), end, flagged };
        let guard = Guard::received(Body::new(upload), version);
        guard.collect().await.map(|all| all.to_bytes().len()).map_err(|status| status.code())
    }

    #[tokio::test]
    async fn a_broken_off_upload_is_aborted() {
        let cancelled = || Some(Status::cancelled("reset"));
        assert_eq!(read(Version::HTTP_2, cancelled(), false).await, Err(Code::Aborted));
        assert_eq!(read(Version::HTTP_11, cancelled(), false).await, Err(Code::Aborted));
        assert_eq!(read(Version::HTTP_2, None, false).await, Err(Code::Aborted));
    }

    #[tokio::test]
    async fn a_regular_end_and_other_errors_stay_what_they_are() {
        assert_eq!(read(Version::HTTP_2, None, true).await, Ok(4));
        assert_eq!(read(Version::HTTP_11, None, false).await, Ok(4));
        let broken = Some(Status::internal("broken"));
        assert_eq!(read(Version::HTTP_2, broken, false).await, Err(Code::Internal));
    }
}
