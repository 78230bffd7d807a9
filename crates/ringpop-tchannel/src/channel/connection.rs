//! How connections begin: opening, introducing, and handing over to the
//! [`Link`].

mod link;

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::link::Link;
use super::{Call, Shared};
use crate::counters::count;
use crate::frame::{ErrorCode, ErrorFrame, Frame, Init, Kind, Malformed, NO_ID, VERSION};
use crate::limits::{CONNECT_TIMEOUT, INIT_TIMEOUT};

/// The id of our own introduction.
const INIT_ID: u32 = 1;

/// The frames that arrive on a connection.
#[derive(Debug)]
pub(super) struct Frames {
    reader: OwnedReadHalf,
    buffer: BytesMut,
}

impl Frames {
    /// The next frame; `None` at the end of the stream. May be dropped while it
    /// waits without losing anything.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, StreamError> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the peer took too long")]
    Slow,
    #[error("the peer closed the connection during the introduction")]
    Closed,
    #[error("{0}")]
    Refused(String),
}

/// Serves a connection that a peer opened, until it ends.
pub(super) async fn accept(stream: TcpStream, shared: Arc<Shared>) {
    match timeout(INIT_TIMEOUT, introduced(stream, &shared)).await {
        Ok(Ok(link)) => {
            count(&shared.counters.accepted);
            // No own calls: none is given back.
            let _ = link.run(&mut None).await;
        }
        Ok(Err(error)) => {
            count(&shared.counters.failed_introductions);
            tracing::debug!(%error, "a connection brought no introduction");
        }
        Err(_elapsed) => {
            count(&shared.counters.failed_introductions);
            tracing::debug!("a connection brought no introduction in time");
        }
    }
}

/// Waits for the introduction of a peer and answers it.
async fn introduced(stream: TcpStream, shared: &Arc<Shared>) -> Result<Link, StreamError> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut frames = Frames { reader, buffer: BytesMut::new() };
    let checked = match frames.next().await {
        Ok(Some(frame)) if frame.kind == Kind::InitRequest => check(&frame).map(|()| frame.id),
        Ok(Some(_)) => Err("the first frame is no init request".to_owned()),
        Ok(None) => return Err(StreamError::Closed),
        Err(StreamError::Malformed(malformed)) => Err(malformed.to_string()),
        Err(error) => return Err(error),
    };
    match checked {
        Ok(id) => {
            let answer = own_init(shared).encode(Kind::InitResponse, id);
            writer.write_all(&answer.encode()).await?;
            Ok(Link::new(shared.clone(), frames, writer))
        }
        Err(message) => {
            let error = ErrorFrame { code: ErrorCode::Fatal, message: message.clone() };
            writer.write_all(&error.encode(NO_ID).encode()).await?;
            // Nothing more is sent: the peer reads this before it finds the end.
            writer.shutdown().await?;
            Err(StreamError::Refused(message))
        }
    }
}

/// Refuses a connection because enough are served.
pub(super) async fn refuse(mut stream: TcpStream) {
    let message = "enough connections are served; come back later".to_owned();
    let error = ErrorFrame { code: ErrorCode::Busy, message };
    let told = async {
        stream.write_all(&error.encode(NO_ID).encode()).await?;
        stream.shutdown().await
    };
    if let Ok(Err(error)) = timeout(INIT_TIMEOUT, told).await {
        tracing::debug!(%error, "a refused connection was gone already");
    }
}

/// Opens a connection to a peer and introduces this process.
pub(super) async fn connect(address: &str, shared: &Arc<Shared>) -> Result<Link, StreamError> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_elapsed| StreamError::Slow)??;
    timeout(INIT_TIMEOUT, introduce(stream, shared)).await.map_err(|_elapsed| StreamError::Slow)?
}

async fn introduce(stream: TcpStream, shared: &Arc<Shared>) -> Result<Link, StreamError> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut frames = Frames { reader, buffer: BytesMut::new() };
    let request = own_init(shared).encode(Kind::InitRequest, INIT_ID);
    writer.write_all(&request.encode()).await?;
    let frame = frames.next().await?.ok_or(StreamError::Closed)?;
    match frame.kind {
        Kind::InitResponse if frame.id == INIT_ID => check(&frame).map_err(StreamError::Refused)?,
        Kind::Error => return Err(StreamError::Refused(ErrorFrame::decode(&frame)?.message)),
        _ => return Err(Malformed("the answer to an introduction is none").into()),
    }
    Ok(Link::new(shared.clone(), frames, writer))
}

fn own_init(shared: &Shared) -> Init {
    Init {
        version: VERSION,
        host_port: shared.host_port.clone(),
        process_name: shared.process_name.clone(),
    }
}

/// Checks the introduction of a peer. Where it listens is not used: who may
/// say of itself what it likes must not be called in another's place. Own calls
/// go over connections that this process opened.
fn check(frame: &Frame) -> Result<(), String> {
    let init = Init::decode(frame).map_err(|malformed| malformed.to_string())?;
    if init.version != VERSION {
        return Err(format!("version {} is not spoken here, only {VERSION} is", init.version));
    }
    Ok(())
}

/// Own calls that come to a connection; none to one that a peer opened.
pub(super) type Calls = Option<mpsc::Receiver<Call>>;
