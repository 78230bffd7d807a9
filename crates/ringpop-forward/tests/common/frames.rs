//! Frames of HTTP/2, byte by byte, for callers that keep to no rule.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::raw::framed;
use super::service::Ask;

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a gRPC request without any compression (RFC 7541 section 6.2.2).
pub fn headers(stream: u32, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "victim"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A whole request with one message.
pub fn request(stream: u32, path: &str, ask: &Ask) -> Vec<u8> {
    [headers(stream, path), frame(DATA, END_STREAM, stream, &framed(ask))].concat()
}

/// A request that is given up at once, for no reason (CANCEL).
pub fn given_up(stream: u32, path: &str) -> Vec<u8> {
    [headers(stream, path), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
}

/// A connection that has begun.
pub async fn open(address: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    connection.write_all(&frame(0x4, 0, 0, &[])).await.unwrap();
    connection
}
