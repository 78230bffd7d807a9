//! Time runs out in one place, with the right status, and every process that works on the call is
//! told.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::{Code, Status};
use tower::Service;

use crate::common::cluster::{Node, Ring};
use crate::common::raw;
use crate::common::service::{Ask, DOWNLOAD, ONCE, Seen, TestServer, UNARY, next, within};
use crate::common::{eventually, soon};

fn pair() -> (Node, Node) {
    let ring = Ring::default();
    let (asked, owner) = (Node::start(&ring), Node::start(&ring));
    ring.set("k", &[&owner.address, &asked.address]);
    ring.set("mine", &[&asked.address]);
    (asked, owner)
}

#[tokio::test]
async fn the_owner_gets_what_is_left() {
    let (asked, owner) = pair();
    asked.client().await.unary(within(Ask::new("k", ""), Duration::from_secs(5))).await.unwrap();
    let left = owner.seen().header("grpc-timeout").unwrap();
    let micros: u64 = left.strip_suffix('u').unwrap().parse().unwrap();
    assert!(micros < 5_000_000, "{left}");
    asked.client().await.unary(Ask::new("k", "")).await.unwrap();
    assert_eq!(owner.seen().header("grpc-timeout"), None, "no deadline is invented");
}

#[tokio::test]
async fn a_timeout_that_is_none_is_ignored_and_counted() {
    let (asked, _owner) = pair();
    for timeout in ["soon", "1.5S", "123456789S"] {
        let response =
            raw::call(&asked.address, ONCE, &Ask::new("k", ""), &[("grpc-timeout", timeout)]).await;
        assert_eq!(raw::status(response).await.code(), Code::Ok);
    }
    assert_eq!(asked.forwarder.stats().bad_timeouts, 3);
}

const IN_300_MS: [(&str, &str); 1] = [("grpc-timeout", "300m")];

#[tokio::test]
async fn a_passed_deadline_is_answered_as_such_and_the_owner_stops() {
    let (asked, owner) = pair();
    let response = raw::call(&asked.address, ONCE, &Ask::new("k", "hang"), &IN_300_MS).await;
    assert_eq!(raw::status(response).await.code(), Code::DeadlineExceeded);
    eventually("the owner's handler is dropped", || Seen::get(&owner.seen().cancelled) == 1).await;
    let stats = asked.forwarder.stats();
    assert_eq!((stats.failed, stats.in_flight), (1, 0));
}

#[tokio::test]
async fn a_message_that_never_comes_is_not_waited_for_longer() {
    let (asked, _owner) = pair();
    let never = tonic::body::Body::new(StreamBody::new(tokio_stream::pending::<
        Result<Frame<Bytes>, Status>,
    >()));
    let request = http::Request::post(UNARY)
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "100m")
        .body(never)
        .unwrap();
    let mut door = asked.forwarder.client(TestServer(asked.handler.clone()));
    let response = soon("deadline", door.call(request)).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let stats = asked.forwarder.stats();
    assert_eq!((stats.in_flight, stats.deadlines_exceeded), (0, 1));
}

#[tokio::test]
async fn a_handler_of_this_process_is_bounded_too() {
    let (asked, _owner) = pair();
    let response = raw::call(&asked.address, ONCE, &Ask::new("mine", "hang"), &IN_300_MS).await;
    assert_eq!(raw::status(response).await.code(), Code::DeadlineExceeded);
    eventually("the handler is dropped", || Seen::get(&asked.seen().cancelled) == 1).await;
    assert_eq!(asked.forwarder.stats().deadlines_exceeded, 1);
}

#[tokio::test]
async fn the_deadline_covers_the_body() {
    let (asked, owner) = pair();
    let ask = Ask::new("k", "2 then hang");
    let response = raw::call(&asked.address, DOWNLOAD, &ask, &IN_300_MS).await;
    assert_eq!(response.headers().get("grpc-status"), None, "it began well");
    assert_eq!(raw::status(response).await.code(), Code::DeadlineExceeded);
    eventually("the owner's stream is dropped", || Seen::get(&owner.seen().cancelled) == 1).await;
    assert_eq!(asked.forwarder.stats().deadlines_exceeded, 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_stops_the_owner() {
    let (asked, owner) = pair();
    let mut client = asked.client().await;
    let call = tokio::spawn(async move { client.unary(Ask::new("k", "hang")).await });
    eventually("the owner works", || Seen::get(&owner.seen().begun) == 1).await;
    call.abort();
    eventually("the owner's handler is dropped", || Seen::get(&owner.seen().cancelled) == 1).await;

    let mut client = asked.client().await;
    let mut tells = client.download(Ask::new("k", "endless")).await.unwrap().into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    drop(tells);
    eventually("the owner's stream is dropped", || Seen::get(&owner.seen().cancelled) == 2).await;
    eventually("nothing is in flight", || asked.forwarder.stats().in_flight == 0).await;
}
