//! What bytes may do as a direct request.

use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full};
use ringpop_forward::{
    DIRECT_KEYS_MAX, DirectHandler, DirectReply, DirectRequest, Forwarder, KEY_BYTES_MAX, Owner,
    StaticResolver,
};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_layer::Layer;
use tower_service::Service;

/// Remembers how many keys each request had.
#[derive(Clone, Default)]
struct Handler(Arc<Mutex<Vec<usize>>>);

impl DirectHandler for Handler {
    async fn handle(&self, request: DirectRequest) -> Result<DirectReply, Status> {
        let keys = request.keys();
        assert!((1..=DIRECT_KEYS_MAX).contains(&keys.len()));
        for key in keys {
            assert!((1..=KEY_BYTES_MAX).contains(&key.as_bytes().len()), "{key:?}");
        }
        self.0.lock().expect("nobody panics with it").push(keys.len());
        Ok(DirectReply::new(request.body().clone()))
    }
}

/// Gives the bytes to the service as one message. `None` when they are refused, otherwise the
/// number of keys.
///
/// # Panics
///
/// When what becomes of them is not what it should be.
pub fn check(bytes: &[u8]) -> Option<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without input and output").block_on(call(bytes))
}

async fn call(bytes: &[u8]) -> Option<usize> {
    let handler = Handler::default();
    let resolver = StaticResolver::from_fn(|_, _, owners| owners.push(Owner::Local));
    let forwarder = Forwarder::builder(resolver).build().expect("the defaults are in range");
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(bytes.len() as u32);
    framed.put_slice(bytes);
    let request = Request::post("/ringpop.forward.v1.Forward/Handle")
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("ringpop-key", "k")
        .body(Body::new(Full::<Bytes>::new(framed.freeze())))
        .expect("it is a request");
    let mut service = forwarder.layer().layer(forwarder.direct_service(handler.clone()));
    let Ok(response) = service.call(request).await;
    let in_head = Status::from_header_map(response.headers());
    let body = response.into_body().collect().await.expect("the service ends its response");
    let in_trailers = || Status::from_header_map(body.trailers()?);
    let code = in_head.or_else(in_trailers).expect("there is a status").code();
    let handled = handler.0.lock().expect("nobody panics with it").clone();
    assert_eq!(handled.len(), usize::from(code == Code::Ok), "{code:?}");
    let refused = forwarder.stats().bad_direct_requests;
    assert_eq!(refused, u64::from(code == Code::InvalidArgument), "{code:?}");
    handled.first().copied()
}
