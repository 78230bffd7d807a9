//! `ringpop status` over 200 members: they answer within two seconds.
//!
//! ```sh
//! cargo build --release -p ringpop-cli && RINGPOP_BARS=1 RINGPOP_COMMAND=$PWD/target/release/ringpop \
//!     cargo test -p ringpop-cli --test it large:: -- --nocapture
//! ```
//!
//! 200 processes would measure how a machine shares its cores between them. One server answers for
//! all members here, at 200 addresses of loopback: connections, questions and answers of the size
//! that they have in such a cluster are those of the command.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::routing::{MethodRouter, post};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use ringpop::admin_client::{
    Counter, GetMembersResponse, GetStatusResponse, Label, LookupResponse, MemberStatus, Status,
};
use serde_json::Value;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::operate::json;
use crate::support::ports::Ports;

const MEMBERS: u8 = 200;

/// The bar on a machine that does nothing else; an ordinary run allows four times as much.
const LIMIT: Duration = Duration::from_secs(2);

/// One message with its length before it, as gRPC frames it (`PROTOCOL-HTTP2.md`).
fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message].concat().into()
}

fn answer(body: Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::from(body).with_trailers(ready(Some(Ok(trailers))));
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(Body::new(body)).unwrap()
}

fn always(message: &impl Message) -> MethodRouter {
    let body = framed(message);
    post(move || ready(answer(body)))
}

fn status(addresses: &[String]) -> GetStatusResponse {
    let member = |address: &String| MemberStatus {
        address: address.clone(),
        identity: address.clone(),
        status: Status::Alive.into(),
        incarnation: 1_700_000_000_000,
        labels: vec![Label { key: "zone".to_owned(), value: "a".to_owned() }],
        share: 1.0 / f64::from(MEMBERS),
        weight: 1,
        ..MemberStatus::default()
    };
    let counter = |i| Counter { name: format!("membership.counter_{i}"), value: i };
    GetStatusResponse {
        app: "rides".to_owned(),
        address: addresses[0].clone(),
        state: "ready".to_owned(),
        membership_checksum: 7,
        ring_checksum: 8,
        members: addresses.iter().map(member).collect(),
        counters: (0..150).map(counter).collect(),
        ..GetStatusResponse::default()
    }
}

/// Answers for all members, and counts those that are asked for their checksums.
fn serve(addresses: &[String], port: u16) -> Arc<AtomicUsize> {
    let asked = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&asked);
    let members = framed(&GetMembersResponse { membership_checksum: 7, members: Vec::new() });
    let lookup = LookupResponse { owners: vec![addresses[0].clone()], ring_checksum: 8 };
    let count = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        ready(answer(members))
    };
    let router = Router::new()
        .route("/ringpop.v1.Admin/GetStatus", always(&status(addresses)))
        .route("/ringpop.v1.Admin/GetMembers", post(count))
        .route("/ringpop.v1.Admin/Lookup", always(&lookup));
    let incoming = TcpIncoming::bind(([0, 0, 0, 0], port).into()).unwrap().with_nodelay(Some(true));
    let server = Server::builder().add_routes(Routes::from(router));
    tokio::spawn(server.serve_with_incoming(incoming));
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_200_members_is_there_within_two_seconds() {
    let ports = Ports::claim(1);
    // All of 127.0.0.0/8 is loopback.
    let addresses: Vec<_> = (1..=MEMBERS).map(|i| format!("127.0.1.{i}:{}", ports.base)).collect();
    let asked = serve(&addresses, ports.base);
    let limit = if std::env::var_os("RINGPOP_BARS").is_some() { LIMIT } else { 4 * LIMIT };
    let mut best = Duration::MAX;
    for _ in 0..3 {
        asked.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        let status: Value = json(&["status", &addresses[0]]).await;
        best = best.min(begun.elapsed());
        assert_eq!(status["cluster"]["asked"], MEMBERS);
        assert_eq!(status["cluster"]["is_agreed"], true);
        assert_eq!(asked.load(Ordering::Relaxed), usize::from(MEMBERS) - 1, "all others are asked");
        if best < limit / 4 {
            break;
        }
    }
    println!("the status of {MEMBERS} members takes {best:?}");
    assert!(best < limit, "{best:?}");
}
