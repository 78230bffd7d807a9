//! A service that answers with what it was asked, or by what it keeps; and its clients.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use ringpop::forward::Routes;
use ringpop::hand_off::Map;
use rustix::time::{ClockId, clock_gettime};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const GET: &str = "/bench.v1.Bench/Get";

/// A key and some bytes; in an answer of a member that keeps values, also how it was handled.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ask {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
    /// The member that handled it.
    #[prost(string, tag = "3")]
    pub(crate) handler: String,
    /// When, by the clock that all processes of the machine share.
    #[prost(uint64, tag = "4")]
    pub(crate) handled_ns: u64,
    /// Whether the member had a value.
    #[prost(bool, tag = "5")]
    pub(crate) hit: bool,
}

impl Ask {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: key.to_owned(), payload: vec![7; 64].into(), ..Self::default() }
    }
}

/// Nanoseconds of the clock that all processes of the machine share.
pub(crate) fn shared_clock_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// The method belongs to the owner of the key.
pub(crate) fn routes() -> Routes {
    Routes::new().field(GET, &[1]).unary().idempotent()
}

/// How many bytes a value has that a member keeps.
const VALUE_BYTES: usize = 1024;

/// What a member answers.
#[derive(Clone)]
pub(crate) enum Server {
    /// What it was asked.
    Echo,
    /// What it keeps; a value that is missing is made and kept.
    Cache { values: Arc<Map>, address: Arc<str> },
}

impl Server {
    fn answer(&self, mut ask: Ask) -> Result<Ask, Status> {
        if let Self::Cache { values, address } = self {
            ask.handler = address.to_string();
            ask.handled_ns = shared_clock_ns();
            let kept = values.get(ask.key.as_bytes());
            ask.hit = kept.is_some();
            if kept.is_none() {
                let value = vec![7; VALUE_BYTES];
                let put = values.put(ask.key.clone().into_bytes(), value);
                put.map_err(|full| Status::resource_exhausted(full.to_string()))?;
            }
        }
        Ok(ask)
    }
}

impl NamedService for Server {
    const NAME: &'static str = "bench.v1.Bench";
}

impl UnaryService<Ask> for Server {
    type Response = Ask;
    type Future = Ready<Result<Response<Ask>, Status>>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        ready(self.answer(request.into_inner()).map(Response::new))
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl tower_service::Service<http::Request<Body>> for Server {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answers = self.clone();
        let mut grpc = Grpc::new(ProstCodec::default());
        Box::pin(async move { Ok(grpc.unary(answers, request).await) })
    }
}

/// A client as generated code has it, over any channel.
#[derive(Clone, Debug)]
pub(crate) struct Client<C>(tonic::client::Grpc<C>);

impl<C> Client<C>
where
    C: GrpcService<Body>,
    C::Error: std::fmt::Display,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError>,
{
    pub(crate) fn new(channel: C) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    pub(crate) async fn get(&mut self, ask: Ask) -> Result<Ask, Status> {
        let mut request = Request::new(ask);
        // Every call in production has a deadline.
        request.set_timeout(std::time::Duration::from_secs(10));
        self.0.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let codec = ProstCodec::default();
        Ok(self.0.unary(request, PathAndQuery::from_static(GET), codec).await?.into_inner())
    }
}
