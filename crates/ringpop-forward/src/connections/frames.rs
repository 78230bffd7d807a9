//! What the frames of an HTTP/2 connection say about its peer, read from their headers as the bytes
//! pass by.
//!
//! A peer may send PING, SETTINGS, PRIORITY and WINDOW_UPDATE frames without end. Each costs its
//! receiver more than its sender, and none is part of a request (RFC 9113 section 10.5). Peers that
//! mean well send them along with requests and responses: a client that measures the path sends a
//! PING for each burst of data, and a WINDOW_UPDATE or two for each frame of data. They are
//! therefore paid for by the frames of requests and responses, and a little by time.
//!
//! A peer may also begin streams and reset them at once, or begin more than it may, which this side
//! resets (CVE-2023-44487). Each reset is paid for by a response, or by time: a connection that
//! owes resets is not read until it has paid. It is not ended, because a connection of a member
//! carries many callers, of whom some may give up together.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{
    CONTROL_FRAME_SHARE, HEADERS_SHARE, READ_SHARES, RESETS_PER_SECOND, RESETS_UNPAID_MAX,
    SMALL_FRAME_BYTES,
};

/// How a client begins an HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;

/// Control frames that one frame of a request or response pays for: a PING, and a WINDOW_UPDATE for
/// stream and connection.
const PAID_BY_FRAME: u32 = 4;

/// A connection may send its full allowance again after so many seconds without a request.
const REFILL_SECS: u32 = 10;

/// END_STREAM of DATA and HEADERS (RFC 9113 sections 6.1 and 6.2).
const END_STREAM: u8 = 0x1;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Reset,
    /// PRIORITY, SETTINGS, PING and WINDOW_UPDATE.
    Control,
    /// h2 bounds the others by itself.
    Other,
}

impl Kind {
    const fn of(byte: u8) -> Self {
        match byte {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x3 => Self::Reset,
            0x2 | 0x4 | 0x6 | 0x8 => Self::Control,
            _ => Self::Other,
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) kind: Kind,
    pub(super) stream: u32,
    pub(super) length: usize,
    pub(super) ends_stream: bool,
}

impl FrameHead {
    const fn parse(header: [u8; HEADER_BYTES]) -> Self {
        let [a, b, c, kind, flags, s, t, u, v] = header;
        let kind = Kind::of(kind);
        Self {
            kind,
            // The highest bit is reserved (RFC 9113 section 4.1).
            stream: u32::from_be_bytes([s, t, u, v]) & (u32::MAX >> 1),
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            ends_stream: matches!(kind, Kind::Data | Kind::Headers) && flags & END_STREAM != 0,
        }
    }

    /// What reading the frame takes of a task's turn.
    const fn shares(&self) -> u32 {
        match self.kind {
            Kind::Headers => HEADERS_SHARE,
            Kind::Data if self.length >= SMALL_FRAME_BYTES => 0,
            Kind::Data | Kind::Reset | Kind::Control | Kind::Other => CONTROL_FRAME_SHARE,
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
    /// Looks at `bytes` until `each` wants no further header. Gives how many bytes were looked at.
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(FrameHead) -> bool) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let skipped = self.skip.min(rest.len());
            self.skip -= skipped;
            rest = &rest[skipped..];
            let taken = (HEADER_BYTES - self.filled).min(rest.len());
            self.header[self.filled..self.filled + taken].copy_from_slice(&rest[..taken]);
            self.filled += taken;
            rest = &rest[taken..];
            if self.filled == HEADER_BYTES {
                self.filled = 0;
                let head = FrameHead::parse(self.header);
                self.skip = head.length;
                if !each(head) {
                    break;
                }
            }
        }
        bytes.len() - rest.len()
    }
}

/// Resets of streams, in either direction, that no response has paid for yet.
#[derive(Debug)]
struct Resets {
    /// Below zero, the connection owes.
    left: i64,
    refilled: Instant,
}

impl Resets {
    fn pay(&mut self) {
        self.left = (self.left + 1).min(RESETS_UNPAID_MAX);
    }

    /// How long it takes until time has paid the debt.
    fn owed(&mut self) -> Option<Duration> {
        if self.left >= 0 {
            return None;
        }
        let now = Instant::now();
        let passed = now.duration_since(self.refilled);
        let paid = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let paid = paid.saturating_mul(RESETS_PER_SECOND) / 1000;
        if paid > 0 {
            self.refilled = now;
            self.left = self.left.saturating_add(paid).min(RESETS_UNPAID_MAX);
        }
        let owed = u64::try_from(-self.left).ok().filter(|owed| *owed > 0)?;
        Some(Duration::from_millis(owed * 1000 / RESETS_PER_SECOND.unsigned_abs() + 1))
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
    resets: Resets,
}

/// A peer sends nothing but control frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flood;

/// How much of what a peer sent is handed on in this turn of the connection's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The bytes that are handed on; the rest waits for the next turn.
    pub(crate) bytes: usize,
    /// Units of the task's budget that reading them takes.
    pub(crate) shares: u32,
}

impl FrameMeter {
    /// A peer may send `allowance` control frames in a row.
    pub(crate) fn new(allowance: u32) -> Self {
        let now = Instant::now();
        Self {
            received: Scanner::default(),
            sent: Scanner::default(),
            preface: Some(0),
            allowance,
            left: allowance,
            refilled: now,
            resets: Resets { left: RESETS_UNPAID_MAX, refilled: now },
        }
    }

    /// Takes note of bytes that the peer sent, as far as this turn may take them, and tells `each`
    /// frame among them.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(FrameHead),
    ) -> Result<Turn, Flood> {
        let Some(seen) = self.preface else { return Ok(Turn { bytes: bytes.len(), shares: 0 }) };
        let preface = (PREFACE.len() - seen).min(bytes.len());
        if bytes[..preface] != PREFACE[seen..seen + preface] {
            self.preface = None;
            return Ok(Turn { bytes: bytes.len(), shares: 0 });
        }
        self.preface = Some(seen + preface);
        let (mut left, mut missing, mut shares) = (self.left, 0_u32, 0_u32);
        let (allowance, resets) = (self.allowance, &mut self.resets);
        let taken = self.received.feed(&bytes[preface..], |head| {
            match head.kind {
                Kind::Data | Kind::Headers => {
                    left = left.saturating_add(PAID_BY_FRAME).min(allowance);
                }
                Kind::Control if left == 0 => missing = missing.saturating_add(1),
                Kind::Control => left -= 1,
                Kind::Reset => resets.left -= 1,
                Kind::Other => {}
            }
            each(head);
            shares += head.shares();
            shares < READ_SHARES
        });
        self.left = left;
        if missing > 0 {
            self.refill(missing)?;
        }
        Ok(Turn { bytes: preface + taken, shares })
    }

    /// Takes note of bytes that were sent to the peer, and tells `each` frame among them.
    pub(crate) fn send(&mut self, bytes: &[u8], mut each: impl FnMut(FrameHead)) {
        if self.preface.is_none() {
            return;
        }
        let (mut messages, resets) = (0_u32, &mut self.resets);
        self.sent.feed(bytes, |head| {
            match head.kind {
                Kind::Data => messages += 1,
                Kind::Headers => {
                    messages += 1;
                    resets.pay();
                }
                Kind::Reset => resets.left -= 1,
                Kind::Control | Kind::Other => {}
            }
            each(head);
            true
        });
        self.left =
            self.left.saturating_add(messages.saturating_mul(PAID_BY_FRAME)).min(self.allowance);
    }

    /// How long the connection is not to be read, because of the resets that it owes.
    pub(crate) fn owed(&mut self) -> Option<Duration> {
        self.resets.owed()
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
    const RST_STREAM: u8 = 0x3;
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
        meter.receive(PREFACE, |_| {}).unwrap();
        meter
    }

    fn receive(meter: &mut FrameMeter, bytes: &[u8]) -> Result<(), Flood> {
        meter.receive(bytes, |_| {}).map(|_| ())
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_at_the_allowance() {
        for (kind, len) in [(PING, 8), (SETTINGS, 0), (WINDOW_UPDATE, 4), (0x2, 5)] {
            let mut meter = begun();
            for _ in 0..100 {
                assert_eq!(receive(&mut meter, &frame(kind, len)), Ok(()));
            }
            assert_eq!(receive(&mut meter, &frame(kind, len)), Err(Flood), "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_pays_for_some() {
        let mut meter = begun();
        for _ in 0..100 {
            receive(&mut meter, &frame(PING, 8)).unwrap();
        }
        advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            assert_eq!(receive(&mut meter, &frame(PING, 8)), Ok(()));
        }
        assert_eq!(receive(&mut meter, &frame(PING, 8)), Err(Flood));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_responses_pay_for_the_control_frames_that_go_with_them() {
        let mut meter = begun();
        for _ in 0..10_000 {
            receive(&mut meter, &frame(HEADERS, 40)).unwrap();
            meter.send(&frame(DATA, 1000), |_| {});
            for (kind, len) in [(WINDOW_UPDATE, 4), (WINDOW_UPDATE, 4), (PING, 8)] {
                assert_eq!(receive(&mut meter, &frame(kind, len)), Ok(()));
            }
        }
    }

    /// However much a peer sends at a time, one turn begins few streams, and nothing is lost.
    #[tokio::test(start_paused = true)]
    async fn a_turn_takes_few_frames_and_the_next_ones_the_rest() {
        for (kind, length) in [(HEADERS, 20), (RST_STREAM, 4), (DATA, 1), (0x9, 3)] {
            let bytes = frame(kind, length).repeat(1000);
            let (mut meter, mut rest, mut most) = (begun(), &bytes[..], 0);
            let mut found = 0;
            while !rest.is_empty() {
                let before = found;
                let turn = meter.receive(rest, |_| found += 1).unwrap();
                assert!(turn.bytes > 0);
                assert!(turn.shares < READ_SHARES + HEADERS_SHARE);
                most = most.max(found - before);
                rest = &rest[turn.bytes..];
            }
            assert_eq!(found, 1000);
            let limit = if kind == HEADERS { READ_SHARES / HEADERS_SHARE } else { READ_SHARES };
            assert!(most <= limit as usize + 1, "{most} frames of kind {kind} in one turn");
        }
        // Ordinary data is not cut.
        let (mut meter, bytes) = (begun(), frame(DATA, 16 << 10).repeat(50));
        assert_eq!(receive(&mut meter, &bytes), Ok(()));
        assert_eq!(meter.receive(&bytes, |_| {}), Ok(Turn { bytes: bytes.len(), shares: 0 }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_owes_resets_pays_with_time() {
        for is_sent in [false, true] {
            let mut meter = begun();
            let reset = |meter: &mut FrameMeter| {
                if is_sent {
                    meter.send(&frame(RST_STREAM, 4), |_| {});
                } else {
                    receive(meter, &frame(RST_STREAM, 4)).unwrap();
                }
            };
            for _ in 0..RESETS_UNPAID_MAX {
                reset(&mut meter);
            }
            assert_eq!(meter.owed(), None, "so many callers may give up together");
            advance(Duration::from_millis(1)).await;
            for _ in 0..2 * RESETS_PER_SECOND {
                reset(&mut meter);
            }
            let owed = meter.owed().unwrap();
            assert!(owed > Duration::from_millis(900), "{owed:?}");
            advance(owed / 2).await;
            assert!(meter.owed().is_some());
            advance(owed).await;
            assert_eq!(meter.owed(), None);
        }
    }

    /// A client that hedges gives up half of its calls, and a member asks for what its callers give
    /// up.
    #[tokio::test(start_paused = true)]
    async fn responses_pay_for_resets() {
        let mut meter = begun();
        for _ in 0..10 * RESETS_UNPAID_MAX {
            receive(&mut meter, &frame(HEADERS, 40)).unwrap();
            receive(&mut meter, &frame(RST_STREAM, 4)).unwrap();
            meter.send(&frame(HEADERS, 40), |_| {});
            assert_eq!(meter.owed(), None);
        }
    }

    #[test]
    fn what_does_not_begin_like_http_2_is_not_looked_at() {
        let mut meter = FrameMeter::new(1);
        receive(&mut meter, b"PUT / HTTP/1.1\r\n\r\n").unwrap();
        for _ in 0..100 {
            assert_eq!(receive(&mut meter, &frame(PING, 8)), Ok(()));
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
                scanner.feed(piece, |head| {
                    found.push((head.kind, head.length, head.stream));
                    true
                });
            }
            let expected: Vec<_> =
                frames.iter().map(|&(kind, length)| (Kind::of(kind), length, 1)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
