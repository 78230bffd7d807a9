//! What a caller gets wrong is its own error: the right status, a message that says what to do, and
//! a node that goes on.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Request, Status};
use tower::Service;

use crate::common::cluster::{Node, Ring, builder, listener, routes};
use crate::common::proxy::Wire;
use crate::common::service::{Ask, ONCE, Seen, TestServer, UNARY};
use crate::common::{eventually, soon};
use ringpop_forward::{ConfigError, H2Config, H2Transport, Key, MissingKey, Routes};

/// Sends raw bytes as the body of a unary call, past any client that would not.
async fn send_raw(
    node: &Node,
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> http::Response<Bytes> {
    let request = http::Request::post(path)
        .header("content-type", content_type)
        .version(http::Version::HTTP_2)
        .body(tonic::body::Body::new(Full::new(body.into())))
        .unwrap();
    let mut door = node.forwarder.client(TestServer(node.handler.clone()));
    let response = door.call(request).await.unwrap();
    let (head, body) = response.into_parts();
    http::Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

async fn status_of(node: &Node, body: impl Into<Bytes>) -> Status {
    let response = send_raw(node, UNARY, "application/grpc", body).await;
    Status::from_header_map(response.headers()).expect("a status in the head")
}

#[tokio::test]
async fn a_missing_key_is_refused_or_handled_here_as_configured() {
    let ring = Ring::default();
    let refusing = Node::start(&ring);
    let status = refusing.client().await.unary(Ask::new("", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("set message field 1 or metadata ringpop-key"), "{status:?}");
    assert_eq!(refusing.forwarder.stats().bad_keys, 1);

    let lenient = Node::start_with(&ring, |builder| builder.missing_key(MissingKey::Local));
    let tell = lenient.client().await.unary(Ask::new("", "")).await.unwrap().into_inner();
    assert_eq!(tell.node, lenient.address);
}

#[tokio::test]
async fn a_key_in_metadata_wins_over_the_message() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&asked.address]);
    ring.set("in-metadata", &[&owner.address]);
    let mut request = Request::new(Ask::new("k", ""));
    request.metadata_mut().insert("ringpop-key", "in-metadata".parse().unwrap());
    let tell = asked.client().await.unary(request).await.unwrap().into_inner();
    assert_eq!(tell.node, owner.address);
}

#[tokio::test]
async fn malformed_messages_are_invalid_arguments() {
    let node = Node::start(&Ring::default());
    let rows: [(&[u8], &str); 5] = [
        (&[0, 0, 0, 0, 2, 0x0a, 9], "field is longer than its message"),
        (&[0, 0, 0, 0, 1, 0x0f], "wire type"),
        (&[9, 0, 0, 0, 0], "compression flag"),
        (&[1, 0, 0, 0, 1, 0], "compressed"),
        (&[0, 0], "routing key is missing"),
    ];
    for (body, expected) in rows {
        let status = status_of(&node, body).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{body:?}");
        assert!(status.message().contains(expected), "{status:?} should say {expected:?}");
    }
    assert_eq!(node.forwarder.stats().bad_keys, 5);
    assert_eq!(node.forwarder.stats().in_flight, 0);
}

#[tokio::test]
async fn a_key_that_is_too_long_or_too_late_says_what_to_do() {
    let ring = Ring::default();
    let node = Node::start(&ring);
    let mut client = node.client().await;
    let status = client.unary(Ask::new(&"k".repeat(1 << 20), "")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("at most") || status.message().contains("metadata"),
        "{status:?}"
    );
    let status = client.unary(Ask::new(&"k".repeat(5000), "")).await.unwrap_err();
    assert!(status.message().contains("5000 bytes, at most 4096"), "{status:?}");

    // A message of 100 KiB whose key comes after the payload.
    let mut late = vec![0, 0, 1, 0x86, 0xa8, 0x1a, 0xa0, 0x8d, 0x06];
    late.resize(late.len() + 100_000, 7);
    late.extend([0x0a, 1, b'k', 0x12, 0]);
    let len = (late.len() - 5) as u32;
    late[1..5].copy_from_slice(&len.to_be_bytes());
    // In pieces as the network brings them, or the key would be within reach.
    let mut door = node.forwarder.client(TestServer(node.handler.clone()));
    let pieces: Vec<_> = late
        .chunks(16 << 10)
        .map(Bytes::copy_from_slice)
        .map(Frame::data)
        .map(Ok::<_, Status>)
        .collect();
    let body = tonic::body::Body::new(StreamBody::new(tokio_stream::iter(pieces)));
    let request =
        http::Request::post(UNARY).header("content-type", "application/grpc").body(body).unwrap();
    let response = door.call(request).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("put its field first"), "{status:?}");
}

#[tokio::test]
async fn a_message_above_the_limit_of_the_owner_is_refused_by_the_owner() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address]);
    // It says that it has 80 MiB; the owner takes 64.
    let message = [0, 5, 0, 0, 0, 0x0a, 1, b'k'];
    let response = send_raw(&asked, UNARY, "application/grpc", message.to_vec()).await;
    let status = Status::from_header_map(response.headers()).expect("a status in the head");
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("limit"), "{status:?}");
    asked.client().await.unary(Ask::new("k", "")).await.unwrap();
}

#[tokio::test]
async fn an_http_1_client_is_turned_away_and_the_node_goes_on() {
    let ring = Ring::default();
    let node = Node::start(&ring);
    ring.set("k", &[&node.address]);
    let mut stream = tokio::net::TcpStream::connect(&node.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An end of the connection is what HTTP/1 understands; how it is put is up to the server.
    let _ = soon("the connection ends", stream.read_to_end(&mut answer)).await;
    node.client().await.unary(Ask::new("k", "")).await.unwrap();
}

#[tokio::test]
async fn a_key_that_nobody_owns_is_unavailable() {
    let node = Node::start_with(&Ring::default(), |builder| {
        builder.policy(ringpop_forward::Policy::default().max_attempts(1))
    });
    let status = node.client().await.unary(Ask::new("k", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("no owner is known for the key"), "{status:?}");
    assert_eq!(node.forwarder.stats().failed, 1);
}

#[tokio::test]
async fn plain_http_is_routed_by_its_head_and_answered_in_http() {
    let ring = Ring::default();
    let by_path =
        || Routes::new().any_head(|head| head.uri.path().strip_prefix("/users/").map(Key::from));
    let asked = Node::start_with(&ring, |builder| builder.routes(by_path()));
    ring.set("7", &[&crate::common::cluster::dead_address()]);
    let response = send_raw(&asked, "/users/7", "application/json", "{}").await;
    assert_eq!(response.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(response.body()).contains("no attempt is left"));
    let long = format!("/users/{}", "7".repeat(5000));
    let response = send_raw(&asked, &long, "application/json", "{}").await;
    assert_eq!(response.status(), http::StatusCode::BAD_REQUEST);
}

/// A peer that accepts connections and speaks as told.
async fn strange_peer(greeting: &'static [u8]) -> String {
    let (listener, address) = listener();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(greeting).await;
                let mut sink = [0; 1024];
                while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

#[tokio::test]
async fn an_owner_that_answers_garbage_is_passed_over() {
    let ring = Ring::default();
    let (asked, second) = (Node::start(&ring), Node::start(&ring));
    let garbage = strange_peer(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    ring.set("k", &[&garbage, &second.address]);
    let mut client = asked.client().await;
    let tell = soon("call", client.unary(Ask::new("k", ""))).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
    // Whether it was executed is unknown, so a call that must not run twice ends here, with a
    // reason.
    let status = soon("call", client.unary_at(ONCE, Ask::new("k", ""))).await;
    if let Err(status) = status {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("may have been executed"), "{status:?}");
    }
}

#[tokio::test]
async fn an_owner_that_accepts_and_says_nothing_costs_one_connect_timeout()
-> Result<(), ConfigError> {
    let ring = Ring::default();
    let silent = strange_peer(b"").await;
    let second = Node::start(&ring);
    ring.set("k", &[&silent, &second.address]);
    let (listener, address) = listener();
    let transport =
        H2Transport::new(H2Config::default().connect_timeout(Duration::from_millis(100)))?;
    let asked = Node::start_on(listener, &address, builder(&address, &ring).transport(transport));
    let tell = soon("call", asked.client().await.unary_at(ONCE, Ask::new("k", ""))).await.unwrap();
    assert_eq!(tell.into_inner().node, second.address);
    assert_eq!(asked.forwarder.stats().dial_failures, 1);
    Ok(())
}

#[tokio::test]
async fn an_owner_that_stops_answering_pings_is_given_up() -> Result<(), ConfigError> {
    // The first owner does not know of the wire before it.
    let (ring, own) = (Ring::default(), Ring::default());
    let (first, second) = (Node::start(&own), Node::start(&ring));
    let wire = Wire::to(&first.address).await;
    ring.set("k", &[&wire.address, &second.address]);
    own.set("k", &[&first.address]);
    let short = Duration::from_millis(100);
    let config = H2Config::default()
        .keepalive_interval(short)
        .keepalive_timeout(short)
        .connect_timeout(short);
    let (listener, address) = listener();
    let asked = Node::start_on(
        listener,
        &address,
        builder(&address, &ring).transport(H2Transport::new(config)?),
    );
    let mut client = asked.client().await;
    // The call gets to the first owner, and then the wire is held.
    let call = tokio::spawn(async move { client.unary(Ask::new("k", "wait")).await });
    eventually("the first owner works", || Seen::get(&first.seen().begun) == 1).await;
    wire.hold();
    second.handler.go.add_permits(1);
    let tell = soon("call", call).await.unwrap().unwrap();
    assert_eq!(tell.into_inner().node, second.address);
    let stats = asked.forwarder.stats();
    assert_eq!((stats.retries_ambiguous, stats.pings_unanswered), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_owner_that_swallows_packets_costs_one_connect_timeout() -> Result<(), ConfigError> {
    let ring = Ring::default();
    let second = Node::start(&ring);
    // A listener with a full backlog drops further SYNs, as a host that is gone does.
    let (full, black_hole) = full_backlog();
    ring.set("k", &[&black_hole, &second.address]);
    let (listener, address) = listener();
    let transport =
        H2Transport::new(H2Config::default().connect_timeout(Duration::from_millis(100)))?;
    let asked = Node::start_on(listener, &address, builder(&address, &ring).transport(transport));
    let mut client = asked.client().await;
    let tell = soon("call", client.unary_at(ONCE, Ask::new("k", ""))).await.unwrap().into_inner();
    assert_eq!(tell.node, second.address);
    let dials = asked.forwarder.stats().dial_failures;
    assert_eq!(dials, 1);
    drop(full);
    Ok(())
}

/// A listening address that answers no further SYN, and what keeps it so.
fn full_backlog() -> (Vec<Box<dyn Send>>, String) {
    let (listener, address) = listener();
    let mut held: Vec<Box<dyn Send>> = vec![Box::new(listener)];
    let target = address.parse().unwrap();
    for _ in 0..10_000 {
        match std::net::TcpStream::connect_timeout(&target, Duration::from_millis(200)) {
            Ok(stream) => held.push(Box::new(stream)),
            Err(_) => return (held, address),
        }
    }
    panic!("the backlog does not fill up");
}

#[tokio::test]
async fn a_route_table_with_a_mistake_does_not_build() {
    let ring = Ring::default();
    let result = builder("n", &ring).routes(routes().field(UNARY, &[2])).build();
    assert_eq!(result.unwrap_err(), ConfigError::RouteTwice { path: UNARY.into() });
}
