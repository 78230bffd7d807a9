//! Layers that wrap a request body need not pass its hints on. A call is as complete with them as
//! without.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::{Code, Status};
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::common::cluster::{Layered, Node, Ring};
use crate::common::service::{Ask, Seen, TestServer, UNARY, UNROUTED, UPLOAD, all};
use crate::common::{eventually, soon};
use ringpop_forward::{ForwardLayer, incoming, server};

const LIMIT: Duration = Duration::from_secs(30);
const BYTES_MAX: usize = 8 << 20;

/// A body that answers what it must and hints at nothing.
struct Plain(Body);

impl http_body::Body for Plain {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

type Served = Result<(), tonic::transport::Error>;

async fn outside(listener: TcpListener, forwarder: ForwardLayer, service: TestServer) -> Served {
    let layered = server()
        .layer(TraceLayer::new_for_grpc())
        .layer(CompressionLayer::new())
        .layer(RequestBodyTimeoutLayer::new(LIMIT))
        .layer(RequestBodyLimitLayer::new(BYTES_MAX))
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(forwarder);
    layered.accept_http1(true).add_service(service).serve_with_incoming(incoming(listener)).await
}

async fn inside(listener: TcpListener, forwarder: ForwardLayer, service: TestServer) -> Served {
    let layered = server()
        .layer(forwarder)
        .layer(MapResponseBodyLayer::new(Body::new))
        .layer(TraceLayer::new_for_grpc())
        .layer(CompressionLayer::new())
        .layer(RequestBodyTimeoutLayer::new(LIMIT))
        .layer(RequestBodyLimitLayer::new(BYTES_MAX))
        .layer(MapRequestBodyLayer::new(Body::new));
    layered.accept_http1(true).add_service(service).serve_with_incoming(incoming(listener)).await
}

async fn plain(listener: TcpListener, forwarder: ForwardLayer, service: TestServer) -> Served {
    let layered =
        server().layer(MapRequestBodyLayer::new(|body| Body::new(Plain(body)))).layer(forwarder);
    layered.accept_http1(true).add_service(service).serve_with_incoming(incoming(listener)).await
}

/// A ring with a key of the node to ask, and one of another.
fn ring_of(asked: &Layered, owner: &Node, ring: &Ring) {
    ring.set("here", &[&asked.address]);
    ring.set("there", &[&owner.address]);
}

async fn every_shape_passes(asked: Layered, owner: &Node) {
    let mut client = asked.client().await;
    for (key, node) in [("here", &asked.address), ("there", &owner.address)] {
        let tell = client.unary(Ask::new(key, "hello")).await.unwrap().into_inner();
        assert_eq!(&tell.node, node);
        let asks = (0..100).map(move |_| Ask::new(key, "").with(vec![0; 1000]));
        let tell = client.upload(tokio_stream::iter(asks)).await.unwrap().into_inner();
        assert_eq!((&tell.node, tell.text.as_str()), (node, "100 messages, 100000 bytes"));
        let tells = client.download(Ask::new(key, "10")).await.unwrap().into_inner();
        assert_eq!(all(tells).await.len(), 10);
        let asks = (0..10).map(move |_| Ask::new(key, ""));
        let tells = client.chat(tokio_stream::iter(asks)).await.unwrap().into_inner();
        assert_eq!(all(tells).await.len(), 10);
    }
    client.unary_at(UNROUTED, Ask::new("here", "")).await.unwrap();
    assert_eq!(asked.forwarder.stats().broken_requests, 0);
}

#[tokio::test]
async fn usual_layers_outside_of_the_forwarder() {
    let ring = Ring::default();
    let (asked, owner) = (Layered::start(&ring, outside), Node::start(&ring));
    ring_of(&asked, &owner, &ring);
    every_shape_passes(asked, &owner).await;
}

#[tokio::test]
async fn usual_layers_inside_of_the_forwarder() {
    let ring = Ring::default();
    let (asked, owner) = (Layered::start(&ring, inside), Node::start(&ring));
    ring_of(&asked, &owner, &ring);
    every_shape_passes(asked, &owner).await;
}

#[tokio::test]
async fn a_body_without_any_hint() {
    let ring = Ring::default();
    let (asked, owner) = (Layered::start(&ring, plain), Node::start(&ring));
    ring_of(&asked, &owner, &ring);
    every_shape_passes(asked, &owner).await;
}

/// The other half: what no layer may hide is that a caller broke its upload off.
#[tokio::test]
async fn an_upload_that_is_broken_off_looks_so_through_every_layer() {
    for reason in [h2::Reason::CANCEL, h2::Reason::NO_ERROR] {
        let ring = Ring::default();
        let nodes = [
            Layered::start(&ring, outside),
            Layered::start(&ring, inside),
            Layered::start(&ring, plain),
        ];
        let owner = Node::start(&ring);
        ring.set("there", &[&owner.address]);
        for (index, asked) in nodes.iter().enumerate() {
            ring.set("here", &[&asked.address]);
            for (key, seen) in [("here", &asked.handler.seen), ("there", &owner.handler.seen)] {
                let begun = Seen::get(&seen.begun);
                let upload =
                    crate::common::raw::begin(&asked.address, UPLOAD, &Ask::new(key, "")).await;
                eventually("the handler runs", || Seen::get(&seen.begun) > begun).await;
                upload.reset(reason);
                let running =
                    || asked.forwarder.stats().in_flight + owner.forwarder.stats().in_flight;
                eventually("the call is over", || running() == 0).await;
                assert_eq!(Seen::get(&seen.complete_uploads), 0, "node {index}, {key}, {reason:?}");
            }
        }
    }
}

/// HTTP/1 has no END_STREAM; a body is complete when its chunks are.
#[tokio::test]
async fn a_request_over_http_1() {
    use prost::Message;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let ring = Ring::default();
    let owner = Node::start(&ring);
    ring.set("there", &[&owner.address]);
    for asked in [Layered::start(&ring, outside), Layered::start(&ring, plain)] {
        ring.set("here", &[&asked.address]);
        for key in ["here", "there"] {
            let message = Ask::new(key, "").encode_to_vec();
            let mut connection = tokio::net::TcpStream::connect(&asked.address).await.unwrap();
            let head = format!(
                "POST {UNARY} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
                 connection: close, te\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
                message.len() + 5,
            );
            let framed =
                [&[0], &(message.len() as u32).to_be_bytes()[..], &message, b"\r\n0\r\n\r\n"]
                    .concat();
            connection.write_all(head.as_bytes()).await.unwrap();
            connection.write_all(&framed).await.unwrap();
            let mut answer = Vec::new();
            soon("answer", connection.read_to_end(&mut answer)).await.unwrap();
            let answer = String::from_utf8_lossy(&answer);
            let node = if key == "here" { &asked.address } else { &owner.address };
            assert!(answer.contains(node.as_str()) && answer.ends_with("0\r\n\r\n"), "{answer}");
        }
        assert_eq!(asked.forwarder.stats().broken_requests, 0);
    }
}

/// The error of a caller that broke off has one code, whichever layer carried it.
#[tokio::test]
async fn a_body_that_fails_is_not_taken_for_one_that_ends() {
    let ring = Ring::default();
    let (asked, owner) = (Layered::start(&ring, outside), Node::start(&ring));
    ring_of(&asked, &owner, &ring);
    let mut client = asked.client().await;
    let too_large = Ask::new("there", "").with(vec![0; BYTES_MAX + 1]);
    let status = client.unary(too_large).await.unwrap_err();
    assert_ne!(status.code(), Code::Ok);
    assert_eq!(Seen::get(&owner.seen().begun), 0, "half a message reaches no handler");
}
