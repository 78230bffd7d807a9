//! What a request from the network may do to a node, together with the answers of the owners that
//! it is sent to.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use prost::Message;
use ringpop_forward::{Divergence, Forwarder, KEY_BYTES_MAX, MissingKey, Policy, Routes, Schedule};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_layer::Layer;
use tower_service::Service;

use super::input::Input;
use super::peers::{Answer, Attempt, Peers, Table};

/// The methods: which field has the key, whether one message is all, and whether it may run twice.
const METHODS: [(&str, &[u32], bool, bool); 5] = [
    ("/t.T/Read", &[1], true, true),
    ("/t.T/Write", &[1], true, false),
    ("/t.T/Stream", &[1], false, false),
    ("/t.T/Nested", &[2, 1], true, true),
    ("/t.T/Header", &[], false, true),
];

/// Owners of a key, as the table has them.
const OWNERS_MAX: usize = 4;

/// Attempts of a call, and hops of its journey.
const ATTEMPTS_MAX: u32 = 4;

/// Longest hop header.
const HOP_BYTES_MAX: usize = 512;

/// A message as its owner would decode it.
#[derive(Clone, PartialEq, Message)]
struct Keyed {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    inner: Option<Inner>,
}

#[derive(Clone, PartialEq, Message)]
struct Inner {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Handled in this process.
    Here,
    /// Sent so often.
    There(usize),
    /// Answered without either.
    Refused(i32),
}

/// The handler of this process: answers at once, and remembers what it got.
#[derive(Clone, Default)]
struct Handler(Arc<Mutex<Vec<Option<Vec<u8>>>>>);

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let got = Arc::clone(&self.0);
        Box::pin(async move {
            let body = request.into_body().collect().await;
            let body = body.ok().map(|all| all.to_bytes().to_vec());
            got.lock().expect("nobody panics with it").push(body);
            Ok(Status::ok("").into_http())
        })
    }
}

/// Makes the call that the bytes say.
///
/// # Panics
///
/// When what becomes of it is not what it should be.
pub fn check(bytes: &[u8]) -> End {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime without input and output").block_on(call(Input(bytes)))
}

async fn call(mut input: Input<'_>) -> End {
    let (path, field, _, idempotent) = METHODS[usize::from(input.byte()) % METHODS.len()];
    let table = Table::from(&mut input);
    let (peers, handler) = (Peers::default(), Handler::default());
    let forwarder = forwarder(&mut input, &table, &peers);
    let mut request = Request::post(path).body(()).expect("it is a path");
    *request.headers_mut() = input.headers();
    if input.byte() > 0 {
        *request.version_mut() = Version::HTTP_2;
        let grpc = http::HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    }
    let body = input.body();
    let script = (0..ATTEMPTS_MAX + 1).map(|_| Answer::from(&mut input)).collect();
    *peers.script.lock().expect("nobody panics with it") = script;

    let (head, whole) = (request.headers().clone(), body.whole());
    let may_run_twice = idempotent || head.contains_key("ringpop-idempotent");
    let request = request.map(|()| Body::new(body));
    let mut layer = forwarder.layer().layer(handler.clone());
    let Ok(response) = layer.call(request).await;
    let status =
        Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    // To its end, however that is.
    let _ = response.into_body().collect().await;
    drop(layer);

    let stats = forwarder.stats();
    assert_eq!((stats.in_flight, stats.replay_bytes), (0, 0), "something is left behind");
    let handled = handler.0.lock().expect("nobody panics with it").clone();
    let attempts = std::mem::take(&mut *peers.attempts.lock().expect("nobody panics with it"));
    check_attempts(&attempts, whole.as_deref(), may_run_twice, !handled.is_empty());
    for got in handled.iter().flatten() {
        assert_eq!(Some(got), whole.as_ref(), "the handler got another request");
    }
    let has_key_header = head.contains_key("ringpop-key") || head.contains_key("ringpop-key-bin");
    if !field.is_empty() && !has_key_header {
        let asked = table.asked.lock().expect("nobody panics with it").clone();
        check_key(field, whole.as_deref(), &head, &asked);
    }
    match (handled.len(), attempts.len()) {
        (0, 0) => End::Refused(status.into()),
        (0, attempts) => End::There(attempts),
        (1, _) => End::Here,
        (handled, _) => panic!("handled {handled} times"),
    }
}

fn forwarder(input: &mut Input<'_>, table: &Table, peers: &Peers) -> Forwarder<Peers> {
    let routes = METHODS.iter().fold(Routes::new(), |routes, &(path, field, unary, idempotent)| {
        let routes = if field.is_empty() { routes.header(path) } else { routes.field(path, field) };
        let routes = if unary { routes.unary() } else { routes };
        if idempotent { routes.idempotent() } else { routes }
    });
    let settings = input.byte();
    let divergence = match settings & 3 {
        0 => Divergence::Accept,
        1 => Divergence::Refuse,
        _ => Divergence::AcceptOwned,
    };
    let missing = if settings & 4 > 0 { MissingKey::Local } else { MissingKey::Refuse };
    let trusts = settings & 8 > 0;
    let policy = Policy::default().max_attempts(ATTEMPTS_MAX).schedule(Schedule::new([]));
    Forwarder::builder(table.clone())
        .transport(peers.clone())
        .name("me:1")
        .routes(routes)
        .policy(policy)
        .divergence(divergence)
        .missing_key(missing)
        .replay_limit(if settings & 16 > 0 { 8 } else { 64 << 10 })
        .replay_memory(if settings & 32 > 0 { 16 } else { 64 << 20 })
        .trust_hop_headers(move |_| trusts)
        .build()
        .expect("the settings are in range")
}

/// What the owners saw of the request.
fn check_attempts(attempts: &[Attempt], whole: Option<&[u8]>, may_run_twice: bool, handled: bool) {
    // Owners that were not reached are walked past, all of them in each round.
    let reached = attempts.iter().filter(|attempt| attempt.body.is_some()).count();
    assert!(reached <= ATTEMPTS_MAX as usize, "{reached} attempts");
    assert!(attempts.len() <= OWNERS_MAX * ATTEMPTS_MAX as usize, "{} owners", attempts.len());
    let (last, before) = match attempts.split_last() {
        Some((last, before)) if !handled => (Some(last), before),
        _ => (None, attempts),
    };
    for attempt in before {
        assert!(may_run_twice || !attempt.may_be_executed, "sent again: {attempt:?}");
    }
    for attempt in before.iter().chain(last) {
        if let Some(body) = &attempt.body {
            assert_eq!(Some(&body[..]), whole, "an owner got another request");
        }
        let headers = attempt.head.headers();
        let hop = headers.get("ringpop-fwd").expect("members say how far a request came");
        assert!(hop.len() <= HOP_BYTES_MAX && hop.as_bytes().starts_with(b"1;h="), "{hop:?}");
        assert_eq!(headers.get_all("ringpop-fwd").iter().count(), 1);
        assert!(!headers.contains_key("connection") || attempt.head.version() == Version::HTTP_2);
    }
}

/// Whether every key that was looked up is the one that a decoder finds.
fn check_key(field: &[u32], whole: Option<&[u8]>, head: &http::HeaderMap, asked: &[Bytes]) {
    let Some([0, a, b, c, d, rest @ ..]) = whole else { return };
    let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    let Some(message) = rest.get(..len) else { return };
    let Ok(message) = Keyed::decode(message) else { return };
    let key = match field {
        [1] => message.key,
        _ => message.inner.unwrap_or_default().key,
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        assert!(key.is_empty() || asked.is_empty(), "a key that is too long was looked up");
        return;
    }
    // A request with too many hops is refused without a look at the key.
    assert!(!asked.is_empty() || head.contains_key("ringpop-fwd"), "a key was not found");
    for asked in asked {
        assert_eq!(asked.as_ref(), key, "another key was looked up");
    }
}
