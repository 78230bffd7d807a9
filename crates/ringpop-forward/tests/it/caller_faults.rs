//! The faults of a caller are the caller's: no owner is blamed for them, and none works for a call
//! that nobody waits for.

use std::sync::atomic::Ordering;

use tonic::Code;

use crate::common::cluster::{Node, Ring, builder, dead_address};
use crate::common::service::{Ask, CHAT, DOWNLOAD, ONCE, Seen, TestClient, TestServer, UPLOAD};
use crate::common::{raw, soon};

/// Metadata that belongs to a connection, or to a body that is not this one, as a handler copies it
/// from an HTTP/1 request.
const COPIED: [(&str, &str); 9] = [
    ("connection", "keep-alive"),
    ("connection", "close, x-mine"),
    ("keep-alive", "timeout=5"),
    ("upgrade", "h2c"),
    ("transfer-encoding", "chunked"),
    ("proxy-connection", "close"),
    ("host", "example.test"),
    ("content-length", "3"),
    ("expect", "100-continue"),
];

fn ask(key: &str, (name, value): (&'static str, &'static str)) -> tonic::Request<Ask> {
    let mut request = tonic::Request::new(Ask::new(key, ""));
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn headers_of_another_connection_go_no_further_through_a_channel() {
    let ring = Ring::default();
    let node = Node::start(&ring);
    ring.set("k", &[&node.address]);
    let channel = builder("client", &ring).build().unwrap().channel();
    let mut client = TestClient::new(channel.clone());
    for header in COPIED {
        let told = soon("call", client.unary_at(ONCE, ask("k", header))).await;
        assert!(told.is_ok(), "{header:?}: {told:?}");
        let seen = node.seen().metadata.lock().unwrap().clone();
        assert!(seen.get(header.0).is_none(), "{header:?} reached the handler");
    }
    let stats = channel.forwarder().stats();
    assert_eq!((stats.retries_never_sent, stats.retries_ambiguous, stats.failed), (0, 0, 0));
}

#[tokio::test]
async fn headers_of_another_connection_go_no_further_through_a_members_own_client() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("here", &[&asked.address]);
    ring.set("there", &[&owner.address]);
    let local = TestServer(asked.handler.clone());
    let mut client = TestClient::new(asked.forwarder.client(local));
    for header in COPIED {
        for key in ["here", "there"] {
            let told = soon("call", client.unary_at(ONCE, ask(key, header))).await;
            assert!(told.is_ok(), "{header:?} {key}: {told:?}");
        }
    }
}

/// Streams are sent in the same way.
#[tokio::test]
async fn streams_may_carry_such_headers_too() {
    let ring = Ring::default();
    let node = Node::start(&ring);
    ring.set("k", &[&node.address]);
    let mut client = TestClient::new(builder("client", &ring).build().unwrap().channel());
    for header in COPIED {
        let mut request = tonic::Request::new(tokio_stream::iter([Ask::new("k", "")]));
        request.metadata_mut().insert(header.0, header.1.parse().unwrap());
        let told = soon("upload", client.upload(request)).await;
        assert!(told.is_ok(), "{header:?}: {told:?}");
    }
}

#[tokio::test]
async fn nothing_is_begun_for_a_call_whose_deadline_has_passed() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("here", &[&asked.address]);
    ring.set("there", &[&owner.address]);
    asked.client().await.unary(Ask::new("there", "")).await.unwrap();
    owner.seen().begun.store(0, Ordering::Release);
    for timeout in ["0n", "1n", "0u", "0S", "00000000H"] {
        for path in [ONCE, UPLOAD, DOWNLOAD, CHAT] {
            for key in ["here", "there"] {
                let (ask, headers) = (Ask::new(key, "1"), [("grpc-timeout", timeout)]);
                let response = raw::call(&asked.address, path, &ask, &headers).await;
                let status = raw::status(response).await;
                assert_eq!(status.code(), Code::DeadlineExceeded, "{timeout} {path} {key}");
            }
        }
    }
    // A later call arrives after all of those.
    asked.client().await.unary(Ask::new("there", "")).await.unwrap();
    assert_eq!((Seen::get(&asked.seen().begun), Seen::get(&owner.seen().begun)), (0, 1));
    let stats = asked.forwarder.stats();
    assert_eq!((stats.deadlines_exceeded, stats.in_flight), (5 * 4 * 2, 0));
}

/// The key in a header is known before the message, which is another way through the code.
#[tokio::test]
async fn nothing_is_begun_when_the_key_is_in_a_header_either() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("here", &[&asked.address]);
    ring.set("there", &[&owner.address]);
    for key in ["here", "there"] {
        let headers = [("grpc-timeout", "0n"), ("ringpop-key", key)];
        let response = raw::call(&asked.address, ONCE, &Ask::new("", ""), &headers).await;
        assert_eq!(raw::status(response).await.code(), Code::DeadlineExceeded, "{key}");
    }
    assert_eq!((Seen::get(&asked.seen().begun), Seen::get(&owner.seen().begun)), (0, 0));
}

#[tokio::test]
async fn attempts_of_the_caller_and_of_members_add_up() {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("first", &[&owner.address]);
    ring.set("second", &[&dead_address(), &owner.address]);
    for (key, callers, expected) in [
        ("first", None, None),
        ("first", Some("2"), Some("2")),
        ("second", None, Some("1")),
        ("second", Some("2"), Some("3")),
        ("second", Some("4294967295"), Some("4294967295")),
        ("second", Some("many"), Some("1")),
    ] {
        let headers: Vec<_> =
            callers.map(|callers| ("grpc-previous-rpc-attempts", callers)).into_iter().collect();
        let response = raw::call(&asked.address, ONCE, &Ask::new(key, ""), &headers).await;
        assert_eq!(raw::status(response).await.code(), Code::Ok);
        let seen = owner.seen().header("grpc-previous-rpc-attempts");
        assert_eq!(seen.as_deref(), expected, "{key} {callers:?}");
    }
}
