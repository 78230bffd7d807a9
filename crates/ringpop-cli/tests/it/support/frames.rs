//! An HTTP/2 client that keeps to no limit: it writes frames, and reads only to answer what keeps
//! its connection open.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;

const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;

const INITIAL_WINDOW_SIZE: u8 = 0x4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header block of a gRPC request, without any compression (RFC 7541 section 6.2.2).
pub(crate) fn header_block(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let path = format!("/ringpop.demo.v1.Kv/{method}");
    let ordinary = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path.as_str()),
        (":authority", "victim"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in ordinary.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("texts are short"));
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A message with a key and nothing else, as gRPC frames it.
pub(crate) fn message(key: &str) -> Vec<u8> {
    let length = u8::try_from(key.len()).expect("keys are short");
    let mut message = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    message.extend(key.as_bytes());
    message
}

/// The first bytes of a message that is said to have so many, as gRPC frames it: a key, and a part
/// of a value.
pub(crate) fn beginning(length: usize, bytes: usize) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(u32::try_from(length).expect("messages are short").to_be_bytes());
    // The key `half`, and a value (tag 2) that takes all the rest.
    message.extend([0x0a, 4, b'h', b'a', b'l', b'f', 0x12, 0xff, 0xff, 0x3f]);
    message.resize(bytes, 0);
    message
}

/// A connection to the victim.
pub(crate) struct Frames {
    writer: OwnedWriteHalf,
    reader: JoinHandle<()>,
    pub(crate) next_stream: u32,
}

impl Frames {
    /// Opens one on which every stream has room for so many bytes of an answer.
    pub(crate) async fn open(address: &str, window: u32) -> std::io::Result<Self> {
        let (reader, mut writer) = TcpStream::connect(address).await?.into_split();
        let [a, b, c, d] = window.to_be_bytes();
        let settings = frame(SETTINGS, 0, 0, &[0, INITIAL_WINDOW_SIZE, a, b, c, d]);
        writer.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()).await?;
        writer.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
        let reader = tokio::spawn(drain(reader));
        Ok(Self { writer, reader, next_stream: 1 })
    }

    /// Writes frames, and fails when the victim has ended the connection.
    pub(crate) async fn write(&mut self, frames: &[u8]) -> std::io::Result<()> {
        if self.reader.is_finished() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        // A victim that does not read is not waited for.
        match tokio::time::timeout(Duration::from_secs(1), self.writer.write_all(frames)).await {
            Ok(written) => written,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }

    /// Begins a call, with its message if it has one.
    pub(crate) fn call(&mut self, block: &[u8], message: Option<&[u8]>) -> Vec<u8> {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut frames = frame(HEADERS, END_HEADERS, stream, block);
        if let Some(message) = message {
            frames.extend(frame(DATA, END_STREAM, stream, message));
        }
        frames
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn drain(mut reader: OwnedReadHalf) {
    let mut buffer = vec![0; 64 << 10];
    while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
