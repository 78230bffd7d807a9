//! Bytes of requests that have come in on a connection and were not read by their handlers.
//!
//! HTTP/2 holds them, up to the window of each stream, and does not tell how many there are. They
//! are counted here: what arrives, from the headers of frames, and what handlers read, by
//! [`Upload`](super::upload::Upload). A frame counts by what holding it costs, so small ones
//! are not cheap.

use std::collections::HashMap;
use std::sync::Arc;

use super::frames::{FrameHead, Kind};
use super::registry::connection::Connection;
use crate::limits::{HELD_FRAME_BYTES_MIN, STREAMS_COUNTED_MAX};

/// What it costs to hold a frame with so many bytes of data.
pub(super) const fn cost(bytes: usize) -> usize {
    if bytes > HELD_FRAME_BYTES_MIN { bytes } else { HELD_FRAME_BYTES_MIN }
}

/// The streams of a connection that are open, with the bytes of their requests that came.
#[derive(Debug)]
pub(super) struct Inflow {
    connection: Arc<Connection>,
    streams: HashMap<u32, Stream>,
    last_stream: u32,
}

#[derive(Debug)]
struct Stream {
    received: usize,
    request_has_ended: bool,
}

impl Inflow {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, streams: HashMap::new(), last_stream: 0 }
    }

    /// Takes note of a frame of the peer.
    pub(super) fn receive(&mut self, head: &FrameHead) {
        match head.kind {
            Kind::Headers if head.stream > self.last_stream => {
                self.last_stream = head.stream;
                if !head.ends_stream && self.streams.len() < STREAMS_COUNTED_MAX {
                    let stream = Stream { received: 0, request_has_ended: false };
                    self.streams.insert(head.stream, stream);
                }
            }
            Kind::Headers | Kind::Data => {
                let Some(stream) = self.streams.get_mut(&head.stream) else { return };
                stream.request_has_ended |= head.ends_stream;
                if head.kind == Kind::Data && head.length > 0 {
                    stream.received += self.connection.hold_request(cost(head.length));
                }
            }
            Kind::Reset => self.close(head.stream),
            Kind::Control | Kind::Other => {}
        }
    }

    /// Takes note of a frame of this server.
    pub(super) fn send(&mut self, head: &FrameHead) {
        let request_has_ended =
            || self.streams.get(&head.stream).is_some_and(|stream| stream.request_has_ended);
        // A response that ends before its request does is followed by a reset, once nobody reads
        // the request any more.
        if head.kind == Kind::Reset || head.ends_stream && request_has_ended() {
            self.close(head.stream);
        }
    }

    fn close(&mut self, stream: u32) {
        if let Some(stream) = self.streams.remove(&stream) {
            self.connection.release_request(stream.received);
        }
    }
}

impl Drop for Inflow {
    fn drop(&mut self) {
        let received = self.streams.values().map(|stream| stream.received).sum();
        self.connection.release_request(received);
    }
}
