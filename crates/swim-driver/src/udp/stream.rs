//! One message on a stream: its length as four bytes, big endian, then its envelope.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use swim_core::Message;
use swim_core::wire::{self, Decoded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::seal::{Seal, Way};
use super::seal_error::SealError;
use crate::limits::{CONNECT_TIMEOUT, STREAM_BYTES_MAX, STREAM_TIMEOUT};

/// Why a message did not pass a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("it did not accept a stream within {} ms", CONNECT_TIMEOUT.as_millis())]
    ConnectTimeout,
    #[error("it accepted a stream and took too long")]
    Late,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a message has {0} bytes, a stream carries at most {STREAM_BYTES_MAX}")]
    TooLong(usize),
    #[error("its message ends early")]
    Truncated,
    #[error("its message cannot be opened: its key or its application is another one")]
    Sealed,
    #[error("its message is malformed: {0}")]
    Malformed(#[from] wire::DecodeError),
    #[error(transparent)]
    Close(#[from] SealError),
}

/// Sends a request and waits until `limit` for its reply.
pub(super) async fn ask(
    to: SocketAddr,
    seal: &Seal,
    request: &Message,
    limit: Duration,
) -> Result<Decoded, StreamError> {
    let mut stream = open(to, seal, request).await?;
    let reply = timeout(limit, read(&mut stream, seal)).await;
    reply.map_err(|_elapsed| StreamError::Late)?
}

/// Sends a message that has no reply.
pub(super) async fn send(
    to: SocketAddr,
    seal: &Seal,
    message: &Message,
) -> Result<(), StreamError> {
    let mut stream = open(to, seal, message).await?;
    Ok(stream.shutdown().await?)
}

async fn open(to: SocketAddr, seal: &Seal, message: &Message) -> Result<TcpStream, StreamError> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await;
    let mut stream = connected.map_err(|_elapsed| StreamError::ConnectTimeout)??;
    stream.set_nodelay(true)?;
    write(&mut stream, seal, message).await?;
    Ok(stream)
}

/// Writes a message.
pub(super) async fn write(
    stream: &mut TcpStream,
    seal: &Seal,
    message: &Message,
) -> Result<(), StreamError> {
    let envelope = seal.close(Way::Stream, &wire::encode(message))?;
    if envelope.len() > STREAM_BYTES_MAX {
        return Err(StreamError::TooLong(envelope.len()));
    }
    // It fits 32 bits.
    let length = (envelope.len() as u32).to_be_bytes();
    let bytes = [&length[..], &envelope].concat();
    let written = timeout(STREAM_TIMEOUT, stream.write_all(&bytes)).await;
    Ok(written.map_err(|_elapsed| StreamError::Late)??)
}

/// Reads a message. Only bytes that have arrived take room, whatever length is announced.
pub(super) async fn read(stream: &mut TcpStream, seal: &Seal) -> Result<Decoded, StreamError> {
    let length = stream.read_u32().await? as usize;
    if length > STREAM_BYTES_MAX {
        return Err(StreamError::TooLong(length));
    }
    let mut envelope = Vec::new();
    stream.take(length as u64).read_to_end(&mut envelope).await?;
    if envelope.len() < length {
        return Err(StreamError::Truncated);
    }
    let message = seal.open(Way::Stream, &envelope).ok_or(StreamError::Sealed)?;
    Ok(wire::decode(&message)?)
}
