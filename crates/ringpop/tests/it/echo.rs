//! A sharded service that answers with nothing, and how to call it.

use std::sync::Arc;

use ringpop::discovery::StaticList;
use ringpop::forward::Routes;
use ringpop::swim::Config;
use ringpop::{Builder, Ringpop};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower_service::Service;

/// A method that answers with nothing.
#[derive(Clone)]
pub struct Echo;

pub const METHOD: &str = "/test.v1.Echo/Get";

service!(Echo, "test.v1.Echo");

impl Echo {
    async fn answer(self, _: http::Request<Body>) -> http::Response<Body> {
        Status::ok("").into_http()
    }
}

pub fn builder() -> Builder {
    let routes = Routes::new().header(METHOD).unary();
    Ringpop::builder("test").config(Config::local()).routes(routes)
}

pub fn peers(members: &[&Ringpop]) -> Arc<StaticList> {
    let addresses = members.iter().map(|member| member.whoami());
    Arc::new(StaticList::from_addresses(addresses).unwrap())
}

pub async fn channel(member: &Ringpop) -> Channel {
    let endpoint: Endpoint = format!("http://{}", member.whoami()).parse().unwrap();
    endpoint.connect().await.unwrap()
}

pub async fn call(channel: &mut Channel, key: &str) -> Result<(), Status> {
    let request = http::Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("ringpop-key", key)
        .body(Body::default())
        .unwrap();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = channel.call(request).await.map_err(|error| Status::from_error(error.into()))?;
    let status = Status::from_header_map(response.headers()).expect("an answer of trailers only");
    if status.code() == Code::Ok { Ok(()) } else { Err(status) }
}
