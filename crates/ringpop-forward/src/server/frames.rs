//! What the frames of an HTTP/2 connection say about its peer, read from their headers as the bytes pass by.
//!
//! A peer may send PING, SETTINGS, PRIORITY and WINDOW_UPDATE frames without end. Each costs its receiver more than its
//! sender, and none is part of a request (RFC 9113 section 10.5). Peers that mean well send them along with requests and
//! responses: a client that measures the path sends a PING for each burst of data, and a WINDOW_UPDATE or two for each
//! frame of data. They are therefore paid for by the frames of requests and responses, and a little by time.

use tokio::time::Instant;

/// How a client begins an HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;

/// Control frames that one frame of a request or response pays for: a PING, and a WINDOW_UPDATE for stream and connection.
const PAID_BY_FRAME: u32 = 4;

/// A connection may send its full allowance again after so many seconds without a request.
const REFILL_SECS: u32 = 10;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// DATA and HEADERS.
    Message,
    /// PRIORITY, SETTINGS, PING and WINDOW_UPDATE.
    Control,
    /// h2 bounds the others by itself.
    Other,
}

impl Kind {
    const fn of(byte: u8) -> Self {
        match byte {
            0x0 | 0x1 => Self::Message,
            0x2 | 0x4 | 0x6 | 0x8 => Self::Control,
            _ => Self::Other,
        }
    }
}

/// Finds the headers of frames in a stream of bytes.
#[derive(Debug, Default)]
struct Scanner {
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Bytes of the payload that are still to come.
    skip: usize,
}

impl Scanner {
    fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Kind)) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER_BYTES - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEADER_BYTES {
                self.filled = 0;
                let [a, b, c, kind, ..] = self.header;
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                each(Kind::of(kind));
            }
        }
    }
}

/// Both directions of a connection.
#[derive(Debug)]
pub(crate) struct FrameMeter {
    received: Scanner,
    sent: Scanner,
    /// Bytes of the preface that have been seen; `None` when the connection does not speak HTTP/2.
    preface: Option<usize>,
    allowance: u32,
    left: u32,
    refilled: Instant,
}

/// A peer sends nothing but control frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flood;

impl FrameMeter {
    /// A peer may send `allowance` control frames in a row.
    pub(crate) fn new(allowance: u32) -> Self {
        Self {
            received: Scanner::default(),
            sent: Scanner::default(),
            preface: Some(0),
            allowance,
            left: allowance,
            refilled: Instant::now(),
        }
    }

    /// Takes note of bytes that the peer sent.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        let Some(seen) = self.preface else { return Ok(()) };
        if seen < PREFACE.len() {
            let taken = (PREFACE.len() - seen).min(bytes.len());
            if bytes[..taken] != PREFACE[seen..seen + taken] {
                self.preface = None;
                return Ok(());
            }
            self.preface = Some(seen + taken);
            bytes = &bytes[taken..];
        }
        let (mut left, mut missing) = (self.left, 0_u32);
        let allowance = self.allowance;
        self.received.feed(bytes, |kind| match kind {
            Kind::Message => left = left.saturating_add(PAID_BY_FRAME).min(allowance),
            Kind::Control if left == 0 => missing = missing.saturating_add(1),
            Kind::Control => left -= 1,
            Kind::Other => {}
        });
        self.left = left;
        if missing == 0 { Ok(()) } else { self.refill(missing) }
    }

    /// Takes note of bytes that were sent to the peer.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.preface.is_none() {
            return;
        }
        let mut messages = 0_u32;
        self.sent.feed(bytes, |kind| messages += u32::from(kind == Kind::Message));
        self.left =
            self.left.saturating_add(messages.saturating_mul(PAID_BY_FRAME)).min(self.allowance);
    }

    /// Pays for `missing` frames by the time that has passed.
    fn refill(&mut self, missing: u32) -> Result<(), Flood> {
        let now = Instant::now();
        let passed = now.duration_since(self.refilled).as_secs_f64();
        let paid = f64::from(self.allowance) * passed / f64::from(REFILL_SECS);
        let paid = paid.min(f64::from(self.allowance)) as u32;
        if paid < missing {
            return Err(Flood);
        }
        self.refilled = now;
        self.left = paid - missing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    const DATA: u8 = 0x0;
    const HEADERS: u8 = 0x1;
    const SETTINGS: u8 = 0x4;
    const PING: u8 = 0x6;
    const WINDOW_UPDATE: u8 = 0x8;

    fn frame(kind: u8, len: usize) -> Vec<u8> {
        let mut frame = (len as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 1]);
        // What would be headers of control frames, were it not payload.
        frame.resize(HEADER_BYTES + len, PING);
        frame
    }

    fn begun() -> FrameMeter {
        let mut meter = FrameMeter::new(100);
        meter.receive(PREFACE).unwrap();
        meter
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_at_the_allowance() {
        for (kind, len) in [(PING, 8), (SETTINGS, 0), (WINDOW_UPDATE, 4), (0x2, 5)] {
            let mut meter = begun();
            for _ in 0..100 {
                assert_eq!(meter.receive(&frame(kind, len)), Ok(()));
            }
            assert_eq!(meter.receive(&frame(kind, len)), Err(Flood), "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_pays_for_some() {
        let mut meter = begun();
        for _ in 0..100 {
            meter.receive(&frame(PING, 8)).unwrap();
        }
        advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            assert_eq!(meter.receive(&frame(PING, 8)), Ok(()));
        }
        assert_eq!(meter.receive(&frame(PING, 8)), Err(Flood));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_responses_pay_for_the_control_frames_that_go_with_them() {
        let mut meter = begun();
        for _ in 0..10_000 {
            meter.receive(&frame(HEADERS, 40)).unwrap();
            meter.send(&frame(DATA, 1000));
            for (kind, len) in [(WINDOW_UPDATE, 4), (WINDOW_UPDATE, 4), (PING, 8)] {
                assert_eq!(meter.receive(&frame(kind, len)), Ok(()));
            }
        }
    }

    #[test]
    fn what_does_not_begin_like_http_2_is_not_looked_at() {
        let mut meter = FrameMeter::new(1);
        meter.receive(b"PUT / HTTP/1.1\r\n\r\n").unwrap();
        for _ in 0..100 {
            assert_eq!(meter.receive(&frame(PING, 8)), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn frames_are_found_wherever_the_bytes_are_cut(
            frames in prop::collection::vec((0..10_u8, 0..40_usize), 0..30), cut in 1..50_usize,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|&(kind, len)| frame(kind, len)).collect();
            let (mut scanner, mut found) = (Scanner::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                scanner.feed(piece, |kind| found.push(kind));
            }
            let expected: Vec<_> = frames.iter().map(|&(kind, _)| Kind::of(kind)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
