//! gRPC-Web looks like gRPC and is another protocol: what it says goes through as it is.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::common::cluster::{Ring, builder, listener};
use crate::common::raw;
use crate::common::service::{Ask, ONCE};
use ringpop_forward::{Forwarder, ForwarderControl, incoming, server};

/// Stands for a service behind a layer of gRPC-Web: its trailers are in its body.
#[derive(Clone)]
struct Web;

const ANSWER: &[u8] = b"\0\0\0\0\0\x80\0\0\0\x0fgrpc-status:0\r\n";

impl NamedService for Web {
    const NAME: &'static str = "test.v1.Test";
}

impl Service<Request<Body>> for Web {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let content_type = request.headers()["content-type"].clone();
        let body = Body::new(http_body_util::BodyExt::map_err(
            http_body_util::Full::new(Bytes::from_static(ANSWER)),
            |never| match never {},
        ));
        let response = Response::builder().header("content-type", content_type).body(body);
        ready(Ok(response.unwrap()))
    }
}

fn start(ring: &Ring) -> (String, Forwarder, ForwarderControl) {
    let (listener, address) = listener();
    let (forwarder, control) = builder(&address, ring).build_with_control().unwrap();
    let serve = server().layer(forwarder.layer()).add_service(Web);
    tokio::spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        serve.serve_with_incoming(incoming(listener)).await.unwrap();
    });
    (address, forwarder, control)
}

async fn post(
    address: &str,
    content_type: &str,
    body: Vec<u8>,
    headers: &[(&str, &str)],
) -> (HeaderMap, Vec<u8>, HeaderMap) {
    let io = TcpStream::connect(address).await.unwrap();
    let (mut sender, driver) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(driver);
    let mut request = Request::post(format!("http://{address}{ONCE}"));
    for (name, value) in headers.iter().chain([&("content-type", content_type)]) {
        request = request.header(*name, *value);
    }
    let (response, mut upload) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    upload.send_data(body.into(), true).unwrap();
    let mut response = crate::common::soon("response", response).await.unwrap();
    let mut data = Vec::new();
    while let Some(chunk) = crate::common::soon("data", response.body_mut().data()).await {
        data.extend(chunk.unwrap());
    }
    let trailers = raw::finish(response.body_mut()).await;
    (response.headers().clone(), data, trailers)
}

fn framed(key: &str) -> Vec<u8> {
    let message = Ask::new(key, "").encode_to_vec();
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

#[tokio::test]
async fn a_forwarded_response_is_what_the_local_one_is() {
    let ring = Ring::default();
    let ((asked, forwarder, _), (owner, ..)) = (start(&ring), start(&ring));
    ring.set("here", &[&asked]);
    ring.set("there", &[&owner]);
    for content_type in ["application/grpc-web", "application/grpc-web+proto"] {
        for key in ["here", "there"] {
            let (headers, data, trailers) = post(&asked, content_type, framed(key), &[]).await;
            assert_eq!(headers["content-type"], content_type, "{key}");
            assert_eq!(data, ANSWER, "{key}");
            assert!(trailers.is_empty(), "{key}: {trailers:?}");
        }
    }
    let stats = forwarder.stats();
    assert_eq!((stats.local, stats.forwarded, stats.broken_responses), (2, 2, 0));
}

/// The message is in base64, which is not looked into, so the key has to be in metadata.
#[tokio::test]
async fn text_needs_its_key_in_metadata_and_says_so_in_its_own_language() {
    let ring = Ring::default();
    let ((asked, forwarder, _), (owner, ..)) = (start(&ring), start(&ring));
    ring.set("there", &[&owner]);
    let content_type = "application/grpc-web-text+proto";
    let body = || b"AAAAAAcKBXRoZXJl".to_vec();
    let (_, data, trailers) = post(&asked, content_type, body(), &[("ringpop-key", "there")]).await;
    assert_eq!((data.as_slice(), trailers.len()), (ANSWER, 0));
    assert_eq!(forwarder.stats().forwarded, 1);
    let (headers, ..) = post(&asked, content_type, body(), &[]).await;
    assert_eq!(headers["content-type"], content_type);
    assert_eq!(headers["grpc-status"], "3");
    assert!(headers["grpc-message"].to_str().unwrap().contains("gRPC-Web"), "{headers:?}");
}

#[tokio::test]
async fn refusals_are_in_the_language_of_the_caller() {
    let ring = Ring::default();
    let (asked, _, control) = start(&ring);
    control.refuse_new_work();
    for (content_type, answered) in [
        ("application/grpc-web", "application/grpc-web+proto"),
        ("application/grpc-web-text", "application/grpc-web-text+proto"),
        ("application/grpc;charset=utf-8", "application/grpc"),
    ] {
        let (headers, ..) = post(&asked, content_type, framed("k"), &[]).await;
        assert_eq!(
            (&headers["content-type"], &headers["grpc-status"]),
            (&http::HeaderValue::from_static(answered), &http::HeaderValue::from_static("14"))
        );
    }
    let (headers, ..) = post(&asked, "application/grpcx", framed("k"), &[]).await;
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
}
