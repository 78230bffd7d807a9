//! A connection that is open: its calls, in both directions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Calls, Frames, StreamError};
use crate::channel::{Answer, Call, CallError, Reply, Shared};
use crate::counters::count;
use crate::frame::{
    Args, Assembler, CallRequest, CallResponse, ChecksumKind, ErrorCode, ErrorFrame, Fragment,
    Frame, Kind, Malformed, NO_ID, ResponseCode,
};
use crate::limits::{
    CALLS_MAX, IDLE_TIMEOUT, LINGER_TIMEOUT, MESSAGE_BYTES_MAX, PARTIALS_MAX, REQUEST_TIME_MAX,
    REQUESTS_MAX, SERVICE, WRITE_TIMEOUT, WRITES_MAX,
};

/// One connection. Frames are read and calls kept here; a second task writes, and a peer that is
/// slow to read does not keep this one from reading.
pub(in crate::channel) struct Link {
    shared: Arc<Shared>,
    frames: Frames,
    writes: mpsc::Sender<Vec<Bytes>>,
    /// Own calls that wait for their answers.
    open: HashMap<u32, Open>,
    next_id: u32,
    /// Calls of the peer of which fragments are missing.
    partials: HashMap<u32, Partial>,
    /// Calls of the peer that are being served.
    serving: JoinSet<()>,
    /// When the last frame came.
    active: Instant,
    /// How long no frame may come.
    idle_timeout: Duration,
}

struct Open {
    sent: Instant,
    answer: oneshot::Sender<Result<Reply, CallError>>,
    /// The part of the answer that is there.
    partial: Option<(ResponseCode, Joining)>,
}

struct Partial {
    request: CallRequest,
    checksum: ChecksumKind,
    joining: Joining,
    deadline: Instant,
}

/// Fragments that are being joined, within the bound on all of them.
struct Joining {
    assembler: Assembler,
    held: Option<OwnedSemaphorePermit>,
}

/// Why fragments cannot be joined.
enum JoinError {
    Malformed(Malformed),
    /// All calls together would take too much.
    Full,
}

impl Joining {
    fn new() -> Self {
        Self { assembler: Assembler::new(MESSAGE_BYTES_MAX), held: None }
    }

    /// A complete message needs no room: it is no longer held then than the frame itself.
    fn push(
        &mut self,
        fragment: &Fragment,
        room: &Arc<Semaphore>,
    ) -> Result<Option<Args>, JoinError> {
        let complete = self.assembler.push(fragment).map_err(JoinError::Malformed)?;
        if complete.is_none() {
            let bytes: usize = fragment.chunks.iter().map(Bytes::len).sum();
            // A frame is at most 64 KiB.
            let kib = bytes.div_ceil(1024).max(1) as u32;
            let permit = room.clone().try_acquire_many_owned(kib).map_err(|_| JoinError::Full)?;
            match &mut self.held {
                Some(held) => held.merge(permit),
                None => self.held = Some(permit),
            }
        }
        Ok(complete)
    }
}

impl Link {
    pub(in crate::channel) fn new(
        shared: Arc<Shared>,
        frames: Frames,
        writer: OwnedWriteHalf,
    ) -> Self {
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        tokio::spawn(write(writer, queue));
        Self {
            shared,
            frames,
            writes,
            open: HashMap::new(),
            next_id: 2,
            partials: HashMap::new(),
            serving: JoinSet::new(),
            active: Instant::now(),
            idle_timeout: IDLE_TIMEOUT,
        }
    }

    /// Serves the connection until it ends; own calls come from `calls`. Gives
    /// back a call for which the connection proved dead.
    ///
    /// Once there are no more own calls, the peer's are served on for a while:
    /// it may have chosen this connection for one just now.
    pub(in crate::channel) async fn run(mut self, calls: &mut Calls) -> Option<Call> {
        loop {
            let proceed = tokio::select! {
                frame = self.frames.next() => {
                    self.active = Instant::now();
                    self.take_frame(frame)
                }
                call = next_call(calls) => match call {
                    Some(call) if self.is_dead() => {
                        self.linger();
                        return Some(call);
                    }
                    Some(call) => self.start(call),
                    None => {
                        self.linger();
                        return None;
                    }
                },
                Some(_served) = self.serving.join_next() => true,
                // The peer does not read, or the connection broke.
                () = self.writes.closed() => false,
                () = sleep_until(self.active + self.idle_timeout) => false,
            };
            if !proceed {
                return None;
            }
        }
    }

    /// Whether a caller gave up and nothing at all has come since its call was
    /// sent. A connection through a network that drops packets may stay open
    /// for minutes after the network is well again; a new one works at once.
    fn is_dead(&self) -> bool {
        self.open.values().any(|open| open.answer.is_closed() && open.sent > self.active)
    }

    /// Serves the peer until it has been silent for a while.
    fn linger(mut self) {
        self.idle_timeout = LINGER_TIMEOUT;
        self.active = Instant::now();
        tokio::spawn(async move { Box::pin(self.run(&mut None)).await });
    }

    /// Starts an own call. `false` ends the connection.
    pub(in crate::channel) fn start(&mut self, call: Call) -> bool {
        // A caller that no longer waits for an answer has let the other end go.
        self.open.retain(|_, open| !open.answer.is_closed());
        if self.open.len() >= CALLS_MAX {
            let _ = call.answer.send(Err(CallError::TooMany));
            return true;
        }
        let headers = [("as", "raw"), ("cn", SERVICE)];
        let request = CallRequest {
            ttl_ms: u32::try_from(call.ttl.as_millis()).unwrap_or(u32::MAX).max(1),
            service: SERVICE.to_owned(),
            headers: headers.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        let args = Args {
            arg1: Bytes::from_static(call.endpoint.as_bytes()),
            arg2: Bytes::from_static(b"null"),
            arg3: call.body,
        };
        let id = self.next_id;
        self.next_id = if id >= NO_ID - 1 { 2 } else { id + 1 };
        self.open.insert(id, Open { sent: Instant::now(), answer: call.answer, partial: None });
        self.write(request.encode(id, &args, ChecksumKind::Crc32c))
    }

    /// `false` ends the connection.
    fn take_frame(&mut self, frame: Result<Option<Frame>, StreamError>) -> bool {
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => return false,
            Err(error) => {
                tracing::debug!(%error, "a connection broke");
                if let StreamError::Malformed(malformed) = error {
                    count(&self.shared.counters.malformed_frames);
                    self.say(NO_ID, ErrorCode::Fatal, malformed.0);
                }
                return false;
            }
        };
        match frame.kind {
            Kind::CallRequest => self.on_request(&frame),
            Kind::CallRequestContinue => self.on_more_request(&frame),
            Kind::CallResponse => self.on_response(&frame),
            Kind::CallResponseContinue => self.on_more_response(&frame),
            Kind::PingRequest => {
                self.write(vec![Frame::empty(Kind::PingResponse, frame.id).encode()])
            }
            Kind::Error => self.on_error(&frame),
            Kind::PingResponse | Kind::Cancel | Kind::Claim => true,
            Kind::InitRequest | Kind::InitResponse | Kind::Unknown(_) => {
                count(&self.shared.counters.malformed_frames);
                true
            }
        }
    }

    // --- Calls of the peer ---

    fn on_request(&mut self, frame: &Frame) -> bool {
        count(&self.shared.counters.requests);
        let (request, fragment) = match CallRequest::decode(frame) {
            Ok(decoded) => decoded,
            Err(malformed) => return self.refuse_malformed(frame.id, malformed),
        };
        if self.serving.len() >= REQUESTS_MAX {
            return self.refuse_busy(frame.id);
        }
        let checksum = fragment.checksum.kind;
        let mut joining = Joining::new();
        match joining.push(&fragment, &self.shared.assembling) {
            Ok(Some(args)) => self.serve(frame.id, request, checksum, args),
            Ok(None) => {
                let now = Instant::now();
                self.partials.retain(|_, partial| partial.deadline > now);
                if self.partials.len() >= PARTIALS_MAX {
                    return self.refuse_busy(frame.id);
                }
                let deadline = now + time_of(&request);
                let partial = Partial { request, checksum, joining, deadline };
                self.partials.insert(frame.id, partial);
                return true;
            }
            Err(JoinError::Malformed(malformed)) => {
                return self.refuse_malformed(frame.id, malformed);
            }
            Err(JoinError::Full) => return self.refuse_busy(frame.id),
        }
        true
    }

    /// A fragment of a call that was refused, or whose time is over, belongs to
    /// nothing and is dropped: its first frame was answered already.
    fn on_more_request(&mut self, frame: &Frame) -> bool {
        let Some(mut partial) = self.partials.remove(&frame.id) else { return true };
        let pushed = Fragment::decode(frame)
            .map_err(JoinError::Malformed)
            .and_then(|fragment| partial.joining.push(&fragment, &self.shared.assembling));
        match pushed {
            Ok(Some(args)) => self.serve(frame.id, partial.request, partial.checksum, args),
            Ok(None) => {
                self.partials.insert(frame.id, partial);
            }
            Err(JoinError::Malformed(malformed)) => {
                return self.refuse_malformed(frame.id, malformed);
            }
            Err(JoinError::Full) => return self.refuse_busy(frame.id),
        }
        true
    }

    fn serve(&mut self, id: u32, request: CallRequest, checksum: ChecksumKind, args: Args) {
        let limit = time_of(&request);
        let (shared, writes) = (self.shared.clone(), self.writes.clone());
        let answering = shared.serve.serve(request.service, args);
        self.serving.spawn(async move {
            let answer = timeout(limit, answering).await.unwrap_or_else(|_elapsed| {
                count(&shared.counters.refused_late);
                Answer::Refused(ErrorCode::Timeout, "no answer in time".to_owned())
            });
            // The connection may be gone; the caller notices that by itself.
            let _ = writes.send(encode(id, answer, checksum)).await;
        });
    }

    fn refuse_malformed(&self, id: u32, malformed: Malformed) -> bool {
        count(&self.shared.counters.refused_malformed);
        self.say(id, ErrorCode::BadRequest, malformed.0)
    }

    fn refuse_busy(&self, id: u32) -> bool {
        count(&self.shared.counters.refused_busy);
        self.say(id, ErrorCode::Busy, "too many calls are under way")
    }

    // --- Answers to own calls ---

    fn on_response(&mut self, frame: &Frame) -> bool {
        let Some(open) = self.open.get_mut(&frame.id) else { return true };
        let mut joining = Joining::new();
        let pushed = CallResponse::decode(frame).map_err(JoinError::Malformed).and_then(
            |(response, fragment)| {
                let complete = joining.push(&fragment, &self.shared.assembling)?;
                Ok((response.code, complete))
            },
        );
        match pushed {
            Ok((code, Some(args))) => self.end(frame.id, Ok((code, args))),
            Ok((code, None)) => open.partial = Some((code, joining)),
            Err(error) => self.end(frame.id, Err(error)),
        }
        true
    }

    fn on_more_response(&mut self, frame: &Frame) -> bool {
        let Some(open) = self.open.get_mut(&frame.id) else { return true };
        let Some((code, joining)) = &mut open.partial else { return true };
        let code = *code;
        let pushed = Fragment::decode(frame)
            .map_err(JoinError::Malformed)
            .and_then(|fragment| joining.push(&fragment, &self.shared.assembling));
        match pushed {
            Ok(Some(args)) => self.end(frame.id, Ok((code, args))),
            Ok(None) => {}
            Err(error) => self.end(frame.id, Err(error)),
        }
        true
    }

    fn end(&mut self, id: u32, result: Result<(ResponseCode, Args), JoinError>) {
        let Some(open) = self.open.remove(&id) else { return };
        let result = match result {
            Ok((ResponseCode::Ok, args)) => Ok(Reply::Ok(args.arg3)),
            Ok((ResponseCode::Error, args)) => Ok(Reply::Error(args.arg3)),
            Err(JoinError::Malformed(malformed)) => Err(malformed.into()),
            Err(JoinError::Full) => Err(CallError::TooMany),
        };
        // The caller may have given up.
        let _ = open.answer.send(result);
    }

    fn on_error(&mut self, frame: &Frame) -> bool {
        let error = ErrorFrame::decode(frame);
        if frame.id == NO_ID {
            return false;
        }
        let Some(open) = self.open.remove(&frame.id) else { return true };
        let _ = open.answer.send(match error {
            Ok(ErrorFrame { code, message }) => Err(CallError::Refused(code, message)),
            Err(malformed) => Err(malformed.into()),
        });
        true
    }

    // --- Writing ---

    fn say(&self, id: u32, code: ErrorCode, message: &str) -> bool {
        let error = ErrorFrame { code, message: message.to_owned() };
        self.write(vec![error.encode(id).encode()])
    }

    /// `false` when the peer does not read: the connection is over then.
    fn write(&self, frames: Vec<Bytes>) -> bool {
        match self.writes.try_send(frames) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for (_, open) in self.open.drain() {
            let _ = open.answer.send(Err(CallError::Closed));
        }
    }
}

async fn next_call(calls: &mut Calls) -> Option<Call> {
    match calls {
        Some(calls) => calls.recv().await,
        None => std::future::pending().await,
    }
}

/// How long a call of the peer is served.
fn time_of(request: &CallRequest) -> Duration {
    Duration::from_millis(request.ttl_ms.into()).min(REQUEST_TIME_MAX)
}

fn encode(id: u32, answer: Answer, checksum: ChecksumKind) -> Vec<Bytes> {
    let (code, body) = match answer {
        Answer::Ok(body) => (ResponseCode::Ok, body),
        Answer::Error(body) => (ResponseCode::Error, body),
        Answer::Refused(code, message) => {
            return vec![ErrorFrame { code, message }.encode(id).encode()];
        }
    };
    let headers = vec![("as".to_owned(), "raw".to_owned())];
    let args = Args { arg3: body, ..Args::default() };
    CallResponse { code, headers }.encode(id, &args, checksum)
}

/// Writes what comes until the connection is dropped or breaks.
async fn write(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<Bytes>>) {
    while let Some(frames) = queue.recv().await {
        for frame in frames {
            match timeout(WRITE_TIMEOUT, writer.write_all(&frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}
