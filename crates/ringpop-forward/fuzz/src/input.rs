//! Input taken apart: numbers, pieces of bytes, headers and bodies. At its end everything is zero
//! or empty.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use tonic::{Code, Status};

/// The headers that somebody on the way reads.
const HEADERS: [&str; 16] = [
    "ringpop-fwd",
    "ringpop-key",
    "ringpop-key-bin",
    "ringpop-idempotent",
    "ringpop-explain",
    "ringpop-refused",
    "ringpop-view",
    "ringpop-keys-diverged",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-status",
    "grpc-message",
    "grpc-retry-pushback-ms",
    "grpc-previous-rpc-attempts",
    "connection",
    "te",
];

/// The rest of the input.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// Bytes behind their length, which is one byte or, from 0xc0 on, two.
    pub fn piece(&mut self) -> Bytes {
        let len = match self.byte() {
            long @ 0xc0.. => usize::from(long & 0x3f) << 8 | usize::from(self.byte()),
            short => short.into(),
        };
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        Bytes::copy_from_slice(piece)
    }

    /// Up to eight headers; those that no header can be are left out.
    pub fn headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for _ in 0..self.byte() % 9 {
            let name = HEADERS[usize::from(self.byte()) % HEADERS.len()];
            if let Ok(value) = HeaderValue::from_bytes(&self.piece()) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers
    }

    /// A body of up to four pieces that ends well, with trailers, or broken.
    pub fn body(&mut self) -> Pieces {
        let frames = (0..self.byte() % 5).map(|_| Ok(Frame::data(self.piece())));
        let mut frames: VecDeque<_> = frames.collect();
        match self.byte() % 4 {
            0 => {}
            1 => frames.push_back(Ok(Frame::trailers(self.headers()))),
            2 => frames.push_back(Err(Code::Cancelled)),
            _ => frames.push_back(Err(Code::Unavailable)),
        }
        Pieces(frames)
    }
}

/// A body that is here whole.
#[derive(Debug, Default)]
pub struct Pieces(VecDeque<Result<Frame<Bytes>, Code>>);

impl Pieces {
    /// Its data in one piece; `None` when it does not end well.
    pub fn whole(&self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        for frame in &self.0 {
            match frame {
                Ok(frame) => all.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Err(_) => return None,
            }
        }
        Some(all)
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = self.0.pop_front();
        Poll::Ready(frame.map(|frame| frame.map_err(|code| Status::new(code, "broke off"))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}
