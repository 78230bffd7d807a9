//! Handling a request here costs no allocation, and one when its message had to be looked into.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::Full;
use ringpop_forward::{Forwarder, Owner, Routes, StaticResolver};
use tonic::body::Body;
use tower::Service;

/// Answers at once, without allocating.
#[derive(Clone)]
struct Handler;

impl Service<http::Request<Body>> for Handler {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        drop(request);
        ready(Ok(http::Response::new(Body::empty())))
    }
}

fn request(path: &str) -> http::Request<Body> {
    let message = Bytes::from_static(&[0, 0, 0, 0, 3, 0x0a, 1, b'k']);
    http::Request::post(path)
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("ringpop-key", "k")
        .body(Body::new(Full::new(message)))
        .unwrap()
}

fn allocations<S>(service: &mut S, request: http::Request<Body>) -> u64
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
{
    let mut request = Some(request);
    let measured = allocation_counter::measure(|| {
        let future = pin!(service.call(request.take().unwrap()));
        let Poll::Ready(Ok(response)) = future.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the handler answers at once");
        };
        assert_eq!(response.status(), http::StatusCode::OK);
    });
    measured.count_total
}

#[test]
fn handling_here_allocates_at_most_the_body_that_was_peeked() {
    let forwarder = Forwarder::builder(StaticResolver::from_fn(|_, _, out| out.push(Owner::Local)))
        .routes(Routes::new().header("/t.T/Header").unary().field("/t.T/Field", &[1]).unary())
        .build()
        .unwrap();
    let bare = allocations(&mut Handler, request("/t.T/Header"));
    let mut service = forwarder.client(Handler);
    assert_eq!(allocations(&mut service, request("/t.T/Header")), bare, "key in metadata");
    assert_eq!(allocations(&mut service, request("/t.T/Unrouted")), bare, "no route");
    let mut in_message = request("/t.T/Field");
    in_message.headers_mut().remove("ringpop-key");
    assert_eq!(allocations(&mut service, in_message), bare + 1, "key in the message");
}
