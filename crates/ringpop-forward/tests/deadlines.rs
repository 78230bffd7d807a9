//! Time runs out in one place, with the right status, and whoever works on the call is told.

mod common;

use std::time::Duration;

use tonic::{Code, Request};

use common::cluster::{Node, Ring};
use common::service::{Ask, ONCE, Seen, next, within};
use common::{eventually, soon};

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
    asked
        .client()
        .await
        .unary(within(Ask::new("k", ""), Duration::from_secs(5)))
        .await
        .unwrap();
    let left = owner.seen().header("grpc-timeout").unwrap();
    let micros: u64 = left.strip_suffix('u').unwrap().parse().unwrap();
    assert!(micros < 5_000_000, "{left}");
    asked.client().await.unary(Ask::new("k", "")).await.unwrap();
    assert_eq!(
        owner.seen().header("grpc-timeout"),
        None,
        "no deadline is invented"
    );
}

/// The caller sends a deadline but does not keep it itself, so that the answer is the node's.
fn server_side(ask: Ask) -> Request<Ask> {
    let mut request = Request::new(ask);
    request.metadata_mut().insert(
        "grpc-timeout",
        tonic::metadata::MetadataValue::from_static("300m"),
    );
    request
}

#[tokio::test]
async fn a_passed_deadline_is_answered_as_such_and_the_owner_stops() {
    let (asked, owner) = pair();
    let status = soon(
        "deadline",
        asked
            .client()
            .await
            .unary_at(ONCE, server_side(Ask::new("k", "hang"))),
    )
    .await;
    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    eventually("the owner's handler is dropped", || {
        Seen::get(&owner.seen().cancelled) == 1
    })
    .await;
    let stats = asked.forwarder.stats();
    assert_eq!((stats.failed, stats.in_flight), (1, 0));
}

#[tokio::test]
async fn a_handler_of_this_process_is_bounded_too() {
    let (asked, _owner) = pair();
    let status = soon(
        "deadline",
        asked
            .client()
            .await
            .unary_at(ONCE, server_side(Ask::new("mine", "hang"))),
    )
    .await;
    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    eventually("the handler is dropped", || {
        Seen::get(&asked.seen().cancelled) == 1
    })
    .await;
}

#[tokio::test]
async fn the_deadline_covers_the_body() {
    let (asked, owner) = pair();
    let mut client = asked.client().await;
    let mut tells = client
        .download(server_side(Ask::new("k", "2 then hang")))
        .await
        .unwrap()
        .into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok() && next(&mut tells).await.unwrap().is_ok());
    let status = next(&mut tells).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    eventually("the owner's stream is dropped", || {
        Seen::get(&owner.seen().cancelled) == 1
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_stops_the_owner() {
    let (asked, owner) = pair();
    let mut client = asked.client().await;
    let call = tokio::spawn(async move { client.unary(Ask::new("k", "hang")).await });
    eventually("the owner works", || Seen::get(&owner.seen().begun) == 1).await;
    call.abort();
    eventually("the owner's handler is dropped", || {
        Seen::get(&owner.seen().cancelled) == 1
    })
    .await;

    let mut client = asked.client().await;
    let mut tells = client
        .download(Ask::new("k", "endless"))
        .await
        .unwrap()
        .into_inner();
    assert!(next(&mut tells).await.unwrap().is_ok());
    drop(tells);
    eventually("the owner's stream is dropped", || {
        Seen::get(&owner.seen().cancelled) == 2
    })
    .await;
    eventually("nothing is in flight", || {
        asked.forwarder.stats().in_flight == 0
    })
    .await;
}
