//! Header lists have a bound that is the same wherever a key lives, and one that is too large costs
//! its own call only.

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};

use crate::common::cluster::{Layered, Node, Ring, builder};
use crate::common::service::{
    Ask, CHAT, DOWNLOAD, ONCE, Seen, TestClient, TestServer, UNARY, UPLOAD, metadata, next,
};
use crate::common::{eventually, raw, soon};
use ringpop_forward::{
    FORWARD_HEADERS_BYTES, H2Config, H2Transport, HEADER_LIST_BYTES, ServerLimits, incoming,
    server_with,
};

const KINDS: [&str; 3] = ["one", "many", "bin"];

fn ask(key: &str, kind: &str, bytes: usize) -> Request<Ask> {
    let mut request = Request::new(Ask::new(key, ""));
    *request.metadata_mut() = metadata(kind, bytes);
    request
}

/// Two members that take and give header lists up to `bytes`, for which `here` and `there` are keys
/// of the first and second.
struct Pair {
    first: Layered,
    second: Layered,
}

impl Pair {
    fn start(bytes: u32) -> Self {
        let ring = Ring::default();
        let start = || {
            let transport =
                H2Transport::new(H2Config::between_members().header_list_bytes(bytes)).unwrap();
            let limits = ServerLimits::default().header_list_bytes(bytes);
            Layered::start_with(
                &ring,
                |builder| builder.transport(transport),
                move |listener, forwarder, service| async move {
                    let incoming = incoming(listener).limits(&limits).unwrap();
                    let mut server = server_with(&limits).unwrap().layer(forwarder);
                    server.add_service(service).serve_with_incoming(incoming).await
                },
            )
        };
        let (first, second) = (start(), start());
        ring.set("here", &[&first.address, &second.address]);
        ring.set("there", &[&second.address, &first.address]);
        Self { first, second }
    }

    fn begun(&self) -> (u64, u64) {
        (Seen::get(&self.first.handler.seen.begun), Seen::get(&self.second.handler.seen.begun))
    }

    /// A call of somebody else, over the same connection between the two, that ends when it is told
    /// to.
    async fn innocent(&self) -> Innocent {
        let mut client = self.first.client().await;
        let begun = self.begun().1;
        let call =
            tokio::spawn(async move { client.unary_at(ONCE, Ask::new("there", "wait")).await });
        eventually("it runs", || self.begun().1 == begun + 1).await;
        Innocent { call, go: self.second.handler.go.clone() }
    }
}

struct Innocent {
    call: JoinHandle<Result<tonic::Response<crate::common::service::Tell>, Status>>,
    go: std::sync::Arc<tokio::sync::Semaphore>,
}

impl Innocent {
    async fn ends_well(self) {
        self.go.add_permits(1);
        soon("the innocent call", self.call).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_the_first_member_takes_its_owner_takes_too() {
    let pair = Pair::start(HEADER_LIST_BYTES);
    let mut client = pair.first.client().await;
    for kind in KINDS {
        let mut takes = async |key, bytes| match client.unary_at(ONCE, ask(key, kind, bytes)).await
        {
            Ok(_) => true,
            Err(status) if status.code() == Code::ResourceExhausted => false,
            Err(status) => panic!("{kind} {key} {bytes}: {status:?}"),
        };
        let (mut taken, mut refused) = (0, HEADER_LIST_BYTES as usize);
        while refused - taken > 1 {
            let middle = usize::midpoint(taken, refused);
            *if takes("here", middle).await { &mut taken } else { &mut refused } = middle;
        }
        assert!(taken > HEADER_LIST_BYTES as usize * 9 / 10, "{kind}: {taken}");
        assert!(takes("there", taken).await, "{kind}: the owner refuses {taken} bytes");
        assert!(!takes("there", refused).await, "{kind}: the key decides what is taken");
    }
    assert_eq!(pair.begun().1, 3);
}

/// Beyond the bound, a request is refused whether its key is here or elsewhere, and before anything
/// is done for it.
#[tokio::test]
async fn more_than_the_bound_is_refused_by_the_first_member() {
    let pair = Pair::start(HEADER_LIST_BYTES);
    let mut client = pair.first.client().await;
    for kind in KINDS {
        for key in ["here", "there"] {
            // Not so much that the server's HTTP/2 answers by itself.
            let bytes = (HEADER_LIST_BYTES + FORWARD_HEADERS_BYTES / 2) as usize;
            for method in [UNARY, ONCE] {
                let status = client.unary_at(method, ask(key, kind, bytes)).await.unwrap_err();
                assert_eq!(status.code(), Code::ResourceExhausted, "{kind} {key}: {status:?}");
                assert!(status.message().contains("header_list_bytes"), "{status:?}");
            }
            let stream = Request::new(tokio_stream::iter([Ask::new(key, "")]));
            let mut stream = stream;
            *stream.metadata_mut() = metadata(kind, bytes);
            let status = client.upload(stream).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted, "{kind} {key}: {status:?}");
        }
    }
    assert_eq!(pair.begun(), (0, 0));
}

#[tokio::test]
async fn a_plain_http_request_that_is_too_large_is_answered_431() {
    let pair = Pair::start(HEADER_LIST_BYTES);
    let large = "1".repeat(HEADER_LIST_BYTES as usize);
    let mut sender = raw::connect(&pair.first.address).await;
    for method in [UPLOAD, DOWNLOAD, CHAT, "/elsewhere"] {
        let mut request = raw::request(&pair.first.address, method);
        request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        request.headers_mut().insert("x-large", large.parse().unwrap());
        sender = sender.ready().await.unwrap();
        let response = sender.send_request(request, true).unwrap().0;
        assert_eq!(soon("answer", response).await.unwrap().status(), 431);
    }
}

/// Calls that begin in a process have no server before them that bounds their metadata. One with
/// much more than the owner takes would end the connection that others use, too.
#[tokio::test]
async fn a_request_larger_than_its_owner_takes_is_not_sent_and_blames_nobody() {
    let pair = Pair::start(HEADER_LIST_BYTES);
    let own = TestServer(pair.first.handler.clone());
    let mut client = TestClient::new(pair.first.forwarder.client(own));
    client.unary_at(ONCE, Ask::new("there", "")).await.unwrap();
    let innocent = pair.innocent().await;
    let begun = pair.begun();
    for kind in KINDS {
        for bytes in [30_000, 120_000] {
            for method in [UNARY, ONCE] {
                let status = client.unary_at(method, ask("there", kind, bytes)).await.unwrap_err();
                assert_eq!(status.code(), Code::ResourceExhausted, "{kind} {bytes}: {status:?}");
            }
        }
    }
    assert_eq!(pair.begun(), begun, "neither owner is asked");
    innocent.ends_well().await;
    let stats = pair.first.forwarder.stats();
    assert_eq!((stats.header_lists_exceeded, stats.dial_failures, stats.connections), (12, 0, 1));
    assert_eq!(
        (stats.retries_never_sent, stats.retries_refused, stats.retries_ambiguous),
        (0, 0, 0)
    );
}

/// A handler has run, and answers more than is taken: once, without doubt about whose fault it is.
#[tokio::test]
async fn a_response_that_is_too_large_is_told_once_and_costs_no_other_call() {
    let pair = Pair::start(HEADER_LIST_BYTES);
    let mut client = pair.first.client().await;
    client.unary_at(ONCE, Ask::new("there", "")).await.unwrap();
    let innocent = pair.innocent().await;
    let (before, mut asked) = (pair.begun().1, 0);
    for bytes in [17_000, 60_000, 200_000] {
        for (outcome, expected) in [("ok", Code::ResourceExhausted), ("fail", Code::Aborted)] {
            for kind in ["one", "many", "bin", "message"] {
                if (outcome, kind) == ("ok", "message") {
                    continue;
                }
                // Idempotent, so an outcome in doubt would be tried at the next owner.
                let order = format!("metadata {outcome} {kind} {bytes}");
                let told = client.unary_at(UNARY, Ask::new("there", &order)).await;
                let status = told.unwrap_err();
                assert_eq!(status.code(), expected, "{order}: {status:?}");
                assert!(status.message().contains("header_list_bytes"), "{order}: {status:?}");
                asked += 1;
            }
        }
    }
    assert_eq!(pair.begun(), (0, before + asked));
    innocent.ends_well().await;
    let stats = pair.first.forwarder.stats();
    assert_eq!((stats.header_lists_exceeded, stats.retries_ambiguous), (asked, 0));
    assert_eq!((stats.rerouted, stats.connections), (0, 1));
}

#[tokio::test]
async fn trailers_that_are_too_large_leave_their_status() {
    let pair = Pair::start(HEADER_LIST_BYTES);
    let mut client = pair.first.client().await;
    for bytes in [17_000, 60_000, 200_000] {
        for kind in ["one", "many", "bin", "message"] {
            for count in [0, 2] {
                let order = format!("{count} then metadata fail {kind} {bytes}");
                let mut tells =
                    client.download(Ask::new("there", &order)).await.unwrap().into_inner();
                for _ in 0..count {
                    next(&mut tells).await.unwrap().unwrap();
                }
                let status = next(&mut tells).await.unwrap().unwrap_err();
                assert_eq!(status.code(), Code::Aborted, "{order}: {status:?}");
                let text = if kind == "message" { "mmmmmm" } else { "told to fail" };
                assert!(status.message().starts_with(text), "{order}: {status:?}");
                assert!(status.message().len() < 2000, "{order}: {status:?}");
            }
        }
    }
    assert_eq!(pair.first.forwarder.stats().connections, 1);
}

#[tokio::test]
async fn the_bound_can_be_set_for_both_directions() {
    let bytes = 128 << 10;
    let pair = Pair::start(bytes);
    let endpoint: tonic::transport::Endpoint =
        format!("http://{}", pair.first.address).parse().unwrap();
    let endpoint = endpoint.http2_max_header_list_size(2 * bytes);
    let mut client = TestClient::new(endpoint.connect().await.unwrap());
    for kind in KINDS {
        for key in ["here", "there"] {
            let mut request = ask(key, kind, 100_000);
            request.get_mut().order = format!("metadata ok {kind} 100000");
            let told = client.unary_at(ONCE, request).await.unwrap();
            assert!(!told.metadata().is_empty());
        }
    }
    let small = Pair::start(4096);
    let mut client = small.first.client().await;
    let status = client.unary(ask("there", "one", 4096)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

/// An HTTP response has no status that could be left of it.
#[tokio::test]
async fn a_plain_http_response_that_is_too_large_is_a_bad_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(io).await.unwrap();
        while let Some(request) = connection.accept().await {
            let (_, mut respond) = request.unwrap();
            let head = http::Response::builder().header("x-page", "1".repeat(20_000));
            respond.send_response(head.body(()).unwrap(), true).unwrap();
        }
    });
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&address, &second.address]);
    let mut request = raw::request(&asked.address, DOWNLOAD);
    request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let mut sender = raw::connect(&asked.address).await;
    let (response, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(raw::framed(&Ask::new("k", "")), true).unwrap();
    assert_eq!(soon("answer", response).await.unwrap().status(), 502);
    assert_eq!(Seen::get(&second.seen().begun), 0);
}

/// An owner that this crate has not written, whose bound is its own.
#[tokio::test]
async fn what_an_owner_announces_is_heeded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        let mut server = h2::server::Builder::new();
        let mut connection =
            server.max_header_list_size(1000).handshake::<_, bytes::Bytes>(io).await.unwrap();
        while let Some(request) = connection.accept().await {
            let (_, mut respond) = request.unwrap();
            let head = http::Response::builder().header("content-type", "application/grpc");
            let head = head.header("grpc-status", "5");
            respond.send_response(head.body(()).unwrap(), true).unwrap();
        }
    });
    let ring = Ring::default();
    let second = Node::start(&ring);
    ring.set("k", &[&address, &second.address]);
    let channel = builder("client", &ring).build().unwrap().channel();
    let mut client = TestClient::new(channel.clone());
    let status = soon("call", client.unary(Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    for bytes in [2000, 10_000] {
        let status = soon("call", client.unary(ask("k", "many", bytes))).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    }
    let status = soon("call", client.unary(Ask::new("k", ""))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    assert_eq!(Seen::get(&second.seen().begun), 0);
    assert_eq!(channel.forwarder().stats().connections, 1);
}
