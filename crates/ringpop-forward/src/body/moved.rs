//! A stream that ends when its key moves to another owner.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::reply::{in_trailers, lower};
use crate::server::ownership::Lost;
use crate::shared::Shared;

/// gRPC writes before each message whether it is compressed, and its length in four bytes.
const PREFIX_BYTES: usize = 5;

/// A response stream until its key moves. Then it ends with ABORTED, at once or after the message
/// that is half way through, and the rest is dropped, which ends the handler or the call
/// of the owner.
pub(crate) struct UntilMoved<T> {
    /// `None` when it has ended.
    body: Option<Body>,
    lost: Lost,
    shared: Arc<Shared<T>>,
    /// Where messages end; `None` when the end of the call cannot be told in trailers.
    messages: Option<Messages>,
}

impl<T> UntilMoved<T> {
    pub(crate) fn new(body: Body, lost: Lost, shared: Arc<Shared<T>>, is_grpc: bool) -> Self {
        Self { body: Some(body), lost, shared, messages: is_grpc.then(Messages::default) }
    }
}

impl<T> HttpBody for UntilMoved<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        // A client cannot read the status behind half a message.
        if this.messages.as_ref().is_none_or(Messages::is_at_end)
            && let Poll::Ready(owner) = Pin::new(&mut this.lost).poll(cx)
        {
            this.body = None;
            let status = this.shared.moved(owner.as_ref());
            return Poll::Ready(Some(match this.messages {
                Some(_) => in_trailers(&status),
                None => Err(status),
            }));
        }
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            Some(data) => this.messages.iter_mut().for_each(|messages| messages.pass(data)),
            // Trailers, an error, or the end without either: nothing may follow.
            None => this.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(lower).unwrap_or_default()
    }
}

/// Follows messages through a stream of bytes.
#[derive(Debug, Default)]
struct Messages {
    /// Bytes of a prefix that have passed.
    prefix: [u8; PREFIX_BYTES],
    seen: usize,
    /// Bytes of the message that are to come.
    left: usize,
}

impl Messages {
    fn is_at_end(&self) -> bool {
        self.seen == 0 && self.left == 0
    }

    fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(data.len());
                self.left -= passed;
                data = &data[passed..];
                continue;
            }
            let passed = (PREFIX_BYTES - self.seen).min(data.len());
            self.prefix[self.seen..self.seen + passed].copy_from_slice(&data[..passed]);
            self.seen += passed;
            data = &data[passed..];
            if self.seen == PREFIX_BYTES {
                let [_, length @ ..] = self.prefix;
                (self.seen, self.left) = (0, u32::from_be_bytes(length) as usize);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let mut stream = Vec::new();
        let mut ends = vec![0];
        for length in [0_u32, 3, 1, 0, 300] {
            stream.push(0);
            stream.extend(length.to_be_bytes());
            stream.extend(std::iter::repeat_n(7, length as usize));
            ends.push(stream.len());
        }
        for cut in 1..stream.len() {
            let mut messages = Messages::default();
            let mut passed = 0;
            for piece in stream.chunks(cut) {
                messages.pass(piece);
                passed += piece.len();
                assert_eq!(messages.is_at_end(), ends.contains(&passed), "{passed} bytes by {cut}");
            }
        }
    }
}
