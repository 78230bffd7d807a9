use std::sync::atomic::Ordering::Relaxed;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::frame::{
    Assembler, CallRequest, CallResponse, ChecksumKind, ErrorFrame, Frame, Init, Kind, ResponseCode,
};
use crate::limits::REQUESTS_MAX;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Gives back what it gets; never answers to `/silence`.
struct Echo;

impl Serve for Echo {
    fn serve(&self, _service: String, args: Args) -> Answering {
        Box::pin(async move {
            match &args.arg1[..] {
                b"/silence" => std::future::pending().await,
                b"/error" => Answer::Error(args.arg3),
                b"/refusal" => Answer::Refused(ErrorCode::Declined, "not here".to_owned()),
                _ => Answer::Ok(args.arg3),
            }
        })
    }
}

fn shared(host_port: &str) -> Arc<Shared> {
    Arc::new(Shared::new(host_port.to_owned(), Arc::new(Echo), Arc::default()))
}

/// A listener that echoes; gives where.
async fn echo() -> (String, Arc<Shared>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shared = shared(&address);
    tokio::spawn(listen(listener, shared.clone()));
    (address, shared)
}

fn peers() -> Peers {
    Peers::new(shared("127.0.0.1:1"))
}

type Answered = oneshot::Receiver<Result<Reply, CallError>>;

fn start(peers: &mut Peers, address: &str, endpoint: &'static str, body: Bytes) -> Answered {
    let (answer, answered) = oneshot::channel();
    let ttl = Duration::from_secs(10);
    peers.call(address, Call { endpoint, body, ttl, answer }, true);
    answered
}

async fn call(
    peers: &mut Peers,
    address: &str,
    endpoint: &'static str,
) -> Result<Reply, CallError> {
    start(peers, address, endpoint, "body".into()).await.expect("every call ends")
}

/// A peer whose frames the test writes.
struct Raw {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Raw {
    /// Accepts a connection and its introduction.
    async fn accept(listener: &TcpListener) -> Self {
        let accepted = timeout(DEADLINE, listener.accept()).await;
        let (stream, _) = accepted.expect("a connection comes in time").unwrap();
        let mut raw = Self { stream, buffer: BytesMut::new() };
        let request = raw.next().await.expect("an introduction");
        assert_eq!(Init::decode(&request).unwrap().host_port, "127.0.0.1:1");
        raw.send(&raw.init().encode(Kind::InitResponse, request.id)).await;
        raw
    }

    fn init(&self) -> Init {
        let host_port = self.stream.local_addr().unwrap().to_string();
        Init { version: 2, host_port, process_name: "raw".to_owned() }
    }

    async fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&frame.encode()).await.unwrap();
    }

    async fn next(&mut self) -> Option<Frame> {
        let next = async {
            loop {
                if let Some(frame) = Frame::decode(&mut self.buffer).unwrap() {
                    return Some(frame);
                }
                if self.stream.read_buf(&mut self.buffer).await.unwrap() == 0 {
                    return None;
                }
            }
        };
        timeout(DEADLINE, next).await.expect("a frame comes in time")
    }

    async fn call(&mut self, id: u32, endpoint: &str, ttl_ms: u32) {
        let request = CallRequest { ttl_ms, service: "any".to_owned(), headers: Vec::new() };
        let arg1 = Bytes::copy_from_slice(endpoint.as_bytes());
        let args = Args { arg1, arg3: "from the peer".into(), ..Args::default() };
        for frame in request.encode(id, &args, ChecksumKind::None) {
            self.stream.write_all(&frame).await.unwrap();
        }
    }
}

#[tokio::test]
async fn calls_are_answered_and_share_one_connection() {
    let (address, shared) = echo().await;
    let mut peers = peers();
    let bodies: Vec<Bytes> = [0, 1, 70_000, 1_000_000].map(|n| vec![7; n].into()).into();
    let calls: Vec<Answered> =
        bodies.iter().map(|body| start(&mut peers, &address, "/echo", body.clone())).collect();
    for (answered, body) in calls.into_iter().zip(bodies) {
        assert_eq!(answered.await.unwrap(), Ok(Reply::Ok(body)));
    }
    assert_eq!(call(&mut peers, &address, "/error").await, Ok(Reply::Error("body".into())));
    let refused = CallError::Refused(ErrorCode::Declined, "not here".to_owned());
    assert_eq!(call(&mut peers, &address, "/refusal").await, Err(refused));
    assert_eq!(shared.counters.accepted.load(Relaxed), 1);
    assert_eq!(shared.counters.requests.load(Relaxed), 6);
}

#[tokio::test]
async fn a_peer_that_cannot_be_reached_is_told_apart_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut peers = peers();
    let calls: Vec<Answered> =
        (0..3).map(|_| start(&mut peers, &address, "/echo", Bytes::new())).collect();
    for answered in calls {
        assert!(matches!(answered.await.unwrap(), Err(CallError::NotConnected(_))));
    }
    assert!(matches!(
        call(&mut peers, "no address", "/echo").await,
        Err(CallError::NotConnected(_))
    ));
    assert!(peers.counters().failed_connections.load(Relaxed) >= 2);
}

#[tokio::test]
async fn a_peer_calls_over_the_connection_that_was_opened_to_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut peers = peers();
    let own = start(&mut peers, &address, "/own", "mine".into());
    let mut raw = Raw::accept(&listener).await;
    let request = raw.next().await.unwrap();
    // The same number in both directions belongs to two calls.
    raw.call(request.id, "/theirs", 1000).await;
    let answer = raw.next().await.unwrap();
    assert_eq!((answer.kind, answer.id), (Kind::CallResponse, request.id));
    let (response, fragment) = CallResponse::decode(&answer).unwrap();
    assert_eq!(response.code, ResponseCode::Ok);
    let args = Assembler::new(100).push(&fragment).unwrap().unwrap();
    assert_eq!(args.arg3, "from the peer");
    let response = CallResponse { code: ResponseCode::Ok, headers: Vec::new() };
    let args = Args { arg3: "yours".into(), ..Args::default() };
    for frame in response.encode(request.id, &args, ChecksumKind::Crc32) {
        raw.stream.write_all(&frame).await.unwrap();
    }
    assert_eq!(own.await.unwrap(), Ok(Reply::Ok("yours".into())));
}

#[tokio::test]
async fn calls_end_with_their_connection_and_the_next_opens_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut peers = peers();
    let lost = start(&mut peers, &address, "/echo", Bytes::new());
    let mut raw = Raw::accept(&listener).await;
    raw.next().await.unwrap();
    drop(raw);
    assert_eq!(lost.await.unwrap(), Err(CallError::Closed));
    let _next = start(&mut peers, &address, "/echo", Bytes::new());
    let mut raw = Raw::accept(&listener).await;
    assert_eq!(raw.next().await.unwrap().kind, Kind::CallRequest);
}

/// A connection through a network that drops packets stays open for long.
#[tokio::test]
async fn a_connection_on_which_nothing_comes_back_is_replaced_but_still_served() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut peers = peers();
    let given_up = start(&mut peers, &address, "/echo", Bytes::new());
    let mut former = Raw::accept(&listener).await;
    former.next().await.unwrap();
    drop(given_up);
    let _next = start(&mut peers, &address, "/echo", Bytes::new());
    let mut raw = Raw::accept(&listener).await;
    assert_eq!(raw.next().await.unwrap().kind, Kind::CallRequest);
    former.call(9, "/theirs", 1000).await;
    assert_eq!(former.next().await.unwrap().kind, Kind::CallResponse);
}

#[tokio::test]
async fn an_answer_that_is_broken_ends_its_call_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut peers = peers();
    let one = start(&mut peers, &address, "/echo", Bytes::new());
    let mut raw = Raw::accept(&listener).await;
    let first = raw.next().await.unwrap();
    raw.send(&Frame { kind: Kind::CallResponse, id: first.id, body: "short".into() }).await;
    assert!(matches!(one.await.unwrap(), Err(CallError::Malformed(_))));
    let two = start(&mut peers, &address, "/echo", Bytes::new());
    let second = raw.next().await.unwrap();
    let busy = ErrorFrame { code: ErrorCode::Busy, message: "later".to_owned() };
    raw.send(&busy.encode(second.id)).await;
    assert_eq!(two.await.unwrap(), Err(CallError::Refused(ErrorCode::Busy, "later".to_owned())));
}

async fn introduced(address: &str) -> Raw {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut raw = Raw { stream, buffer: BytesMut::new() };
    raw.send(&raw.init().encode(Kind::InitRequest, 1)).await;
    assert_eq!(raw.next().await.unwrap().kind, Kind::InitResponse);
    raw
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_so() {
    let (address, shared) = echo().await;
    let mut raw = introduced(&address).await;
    raw.call(5, "/silence", 20).await;
    let error = raw.next().await.unwrap();
    assert_eq!((error.id, ErrorFrame::decode(&error).unwrap().code), (5, ErrorCode::Timeout));
    assert_eq!(shared.counters.refused_late.load(Relaxed), 1);
}

#[tokio::test]
async fn calls_that_are_served_at_once_are_bounded() {
    let (address, shared) = echo().await;
    let mut raw = introduced(&address).await;
    let most = u32::try_from(REQUESTS_MAX).unwrap();
    for id in 0..=most {
        raw.call(10 + id, "/silence", 20_000).await;
    }
    let error = raw.next().await.unwrap();
    let code = ErrorFrame::decode(&error).unwrap().code;
    assert_eq!((error.id, code), (10 + most, ErrorCode::Busy));
    assert_eq!(shared.counters.refused_busy.load(Relaxed), 1);
}

#[tokio::test]
async fn the_peer_that_was_called_least_recently_makes_room() {
    let (address, _shared) = echo().await;
    let mut peers = peers();
    call(&mut peers, &address, "/echo").await.unwrap();
    for i in 0..crate::limits::PEERS_MAX {
        drop(start(&mut peers, &format!("no address {i}"), "/echo", Bytes::new()));
    }
    assert_eq!(peers.len(), crate::limits::PEERS_MAX);
    assert!(!peers.knows(&address) && peers.knows("no address 0"));
}
