//! A service that answers with what it was asked, and its clients.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use ringpop::forward::Routes;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const GET: &str = "/bench.v1.Bench/Get";

/// A key and some bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ask {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
}

impl Ask {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: key.to_owned(), payload: vec![7; 64].into() }
    }
}

/// The method belongs to the owner of the key.
pub(crate) fn routes() -> Routes {
    Routes::new().field(GET, &[1]).unary().idempotent()
}

#[derive(Clone, Debug)]
pub(crate) struct EchoServer;

impl NamedService for EchoServer {
    const NAME: &'static str = "bench.v1.Bench";
}

impl UnaryService<Ask> for EchoServer {
    type Response = Ask;
    type Future = Ready<Result<Response<Ask>, Status>>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl tower_service::Service<http::Request<Body>> for EchoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = Grpc::new(ProstCodec::default());
        Box::pin(async move { Ok(grpc.unary(Self, request).await) })
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
