//! What a peer announces in its first SETTINGS frame and h2 does not tell: the largest header list
//! that it takes.
//!
//! A request with a longer one is refused, and many servers end the whole connection for one that
//! is much longer. Hence it is not sent. Servers may announce another figure later; none is known
//! to do so.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::connections::write_through::write_through;

const FRAME_HEADER_BYTES: usize = 9;

/// Identifier and value of one setting (RFC 9113 section 6.5.1).
const SETTING_BYTES: usize = 6;

const SETTINGS_FRAME: u8 = 0x4;

const SETTINGS_MAX_HEADER_LIST_SIZE: u16 = 0x6;

/// The largest header list that a peer takes, as far as it has said so.
#[derive(Clone, Debug)]
pub(crate) struct HeaderListMax(Arc<AtomicU32>);

impl HeaderListMax {
    /// No limit until one is announced (RFC 9113 section 6.5.2).
    fn new() -> Self {
        Self(Arc::new(AtomicU32::new(u32::MAX)))
    }

    pub(crate) fn get(&self) -> usize {
        usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }
}

/// Reads the first frame of a connection as its bytes come in.
#[derive(Debug, Default)]
struct FirstFrame {
    /// The header of the frame, and then the setting that is being read.
    part: [u8; FRAME_HEADER_BYTES],
    filled: usize,
    /// Bytes of settings still to come; `None` before the header is whole.
    left: Option<usize>,
}

impl FirstFrame {
    /// Takes bytes in. Gives whether the frame goes on behind them, and tells `found` each limit in
    /// it.
    fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(u32)) -> bool {
        for &byte in bytes {
            self.part[self.filled] = byte;
            self.filled += 1;
            match &mut self.left {
                None if self.filled == FRAME_HEADER_BYTES => {
                    let [a, b, c, kind, ..] = self.part;
                    self.left = Some(u32::from_be_bytes([0, a, b, c]) as usize);
                    self.filled = 0;
                    if kind != SETTINGS_FRAME {
                        return false;
                    }
                }
                None => {}
                Some(left) => {
                    *left -= 1;
                    if self.filled == SETTING_BYTES {
                        let [i, j, a, b, c, d, ..] = self.part;
                        if u16::from_be_bytes([i, j]) == SETTINGS_MAX_HEADER_LIST_SIZE {
                            found(u32::from_be_bytes([a, b, c, d]));
                        }
                        self.filled = 0;
                    }
                }
            }
            if self.left == Some(0) {
                return false;
            }
        }
        true
    }
}

/// A byte stream from a peer whose first frame is looked at.
#[derive(Debug)]
pub(crate) struct Announced<IO> {
    io: IO,
    /// `None` when it has been read.
    first: Option<FirstFrame>,
    max: HeaderListMax,
}

impl<IO> Announced<IO> {
    pub(crate) fn new(io: IO) -> (Self, HeaderListMax) {
        let max = HeaderListMax::new();
        (Self { io, first: Some(FirstFrame::default()), max: max.clone() }, max)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Announced<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(first) = &mut this.first else {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        };
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buffer);
        let max = &this.max.0;
        if !first.feed(&buffer.filled()[before..], |value| max.store(value, Ordering::Relaxed)) {
            this.first = None;
        }
        read
    }
}

write_through!(Announced, io);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, settings: &[(u16, u32)]) -> Vec<u8> {
        let mut frame = (settings.len() as u32 * 6).to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 0]);
        for (id, value) in settings {
            frame.extend(id.to_be_bytes());
            frame.extend(value.to_be_bytes());
        }
        frame
    }

    fn found(bytes: &[u8], cut: usize) -> (Option<u32>, bool) {
        let (mut first, mut found, mut goes_on) = (FirstFrame::default(), None, true);
        for piece in bytes.chunks(cut) {
            if goes_on {
                goes_on = first.feed(piece, |value| found = Some(value));
            }
        }
        (found, goes_on)
    }

    #[test]
    fn the_limit_is_found_in_the_first_frame_only() {
        let settings = [(3, 100), (6, 8192), (4, 65_535)];
        let later = frame(SETTINGS_FRAME, &[(6, 1)]);
        for cut in 1..40 {
            let bytes = [frame(SETTINGS_FRAME, &settings), later.clone()].concat();
            assert_eq!(found(&bytes, cut), (Some(8192), false));
            let bytes = [frame(SETTINGS_FRAME, &[]), later.clone()].concat();
            assert_eq!(found(&bytes, cut), (None, false));
            let bytes = [frame(6, &settings), later.clone()].concat();
            assert_eq!(found(&bytes, cut), (None, false), "that is no HTTP/2 server");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, cut in 1..50_usize) {
            let _ = found(&bytes, cut);
        }
    }
}
