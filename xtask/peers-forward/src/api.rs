//! The service that is measured, as generated code would make it, and its client.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::server::{
    ClientStreamingService, Grpc, NamedService, ServerStreamingService, UnaryService,
};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::process;

pub(crate) const GET: &str = "/bench.v1.Bench/Get";
/// As [`GET`], but not to be executed twice.
pub(crate) const PUT: &str = "/bench.v1.Bench/Put";
pub(crate) const HANG: &str = "/bench.v1.Bench/Hang";
pub(crate) const DOWNLOAD: &str = "/bench.v1.Bench/Download";
pub(crate) const UPLOAD: &str = "/bench.v1.Bench/Upload";
const FIGURES: &str = "/bench.v1.Bench/Figures";

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ask {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) payload: Bytes,
    /// Messages that a download answers, each with the payload.
    #[prost(uint64, tag = "3")]
    pub(crate) count: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Tell {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) payload: Bytes,
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
}

/// What a process says of itself.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Figures {
    #[prost(uint64, tag = "1")]
    pub(crate) cpu_ns: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) memory_bytes: u64,
    /// Messages that downloads have produced.
    #[prost(uint64, tag = "3")]
    pub(crate) produced: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) cancelled: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) hanging: u64,
}

#[derive(Debug, Default)]
struct Seen {
    produced: AtomicU64,
    cancelled: AtomicU64,
    hanging: AtomicU64,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Tells = Pin<Box<dyn Stream<Item = Result<Tell, Status>> + Send>>;

/// The handlers of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handler(Arc<Seen>);

/// Counts a handler that is dropped before it is done.
struct Hanging(Arc<Seen>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::AcqRel);
    }
}

#[derive(Clone)]
struct Get;

impl UnaryService<Ask> for Get {
    type Response = Tell;
    type Future = Answer<Tell>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        let payload = request.into_inner().payload;
        Box::pin(async move { Ok(Response::new(Tell { payload, count: 1 })) })
    }
}

#[derive(Clone)]
struct Hang(Handler);

impl UnaryService<Ask> for Hang {
    type Response = Tell;
    type Future = Answer<Tell>;

    fn call(&mut self, _: Request<Ask>) -> Self::Future {
        let hanging = Hanging(Arc::clone(&self.0.0));
        hanging.0.hanging.fetch_add(1, Ordering::AcqRel);
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(hanging);
            Err(Status::internal("ended, which it does not"))
        })
    }
}

impl UnaryService<Ask> for Handler {
    type Response = Figures;
    type Future = Answer<Figures>;

    fn call(&mut self, _: Request<Ask>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        Box::pin(async move {
            Ok(Response::new(Figures {
                cpu_ns: process::cpu_ns(),
                memory_bytes: process::memory_bytes(),
                produced: seen.produced.load(Ordering::Acquire),
                cancelled: seen.cancelled.load(Ordering::Acquire),
                hanging: seen.hanging.load(Ordering::Acquire),
            }))
        })
    }
}

impl ServerStreamingService<Ask> for Handler {
    type Response = Tell;
    type ResponseStream = Tells;
    type Future = Answer<Tells>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        let (ask, seen) = (request.into_inner(), Arc::clone(&self.0));
        let tells = stream::iter(0..ask.count).map_with(move |count| {
            seen.produced.fetch_add(1, Ordering::Relaxed);
            Ok(Tell { payload: ask.payload.clone(), count })
        });
        Box::pin(async move { Ok(Response::new(tells)) })
    }
}

/// `StreamExt::map` in a box.
trait MapWith: Stream + Sized + Send + 'static {
    fn map_with<T>(
        self,
        map: impl FnMut(Self::Item) -> T + Send + 'static,
    ) -> Pin<Box<dyn Stream<Item = T> + Send>> {
        Box::pin(futures_util::StreamExt::map(self, map))
    }
}

impl<S: Stream + Send + 'static> MapWith for S {}

impl ClientStreamingService<Ask> for Handler {
    type Response = Tell;
    type Future = Answer<Tell>;

    fn call(&mut self, request: Request<Streaming<Ask>>) -> Self::Future {
        let mut asks = request.into_inner();
        Box::pin(async move {
            let mut count = 0;
            while let Some(ask) = asks.message().await? {
                count += ask.payload.len() as u64;
            }
            Ok(Response::new(Tell { payload: Bytes::new(), count }))
        })
    }
}

/// The handlers as a tonic service.
#[derive(Clone, Debug, Default)]
pub(crate) struct BenchServer(Handler);

impl NamedService for BenchServer {
    const NAME: &'static str = "bench.v1.Bench";
}

fn codec<T, U>() -> ProstCodec<T, U>
where
    T: prost::Message + Send + 'static,
    U: prost::Message + Default + Send + 'static,
{
    ProstCodec::default()
}

impl tower_service::Service<http::Request<Body>> for BenchServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Coming;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // One future per method, as generated code has it.
        match request.uri().path() {
            GET | PUT => Box::pin(async move { Ok(Grpc::new(codec()).unary(Get, request).await) }),
            HANG => {
                let hang = Hang(self.0.clone());
                Box::pin(async move { Ok(Grpc::new(codec()).unary(hang, request).await) })
            }
            FIGURES => {
                let handler = self.0.clone();
                Box::pin(async move { Ok(Grpc::new(codec()).unary(handler, request).await) })
            }
            DOWNLOAD => {
                let handler = self.0.clone();
                Box::pin(
                    async move { Ok(Grpc::new(codec()).server_streaming(handler, request).await) },
                )
            }
            UPLOAD => {
                let handler = self.0.clone();
                Box::pin(
                    async move { Ok(Grpc::new(codec()).client_streaming(handler, request).await) },
                )
            }
            _ => Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
        }
    }
}

/// An answer that comes.
pub(crate) type Coming =
    Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

/// The same service, one method of which is answered elsewhere.
#[derive(Clone)]
pub(crate) struct GetElsewhere<G> {
    pub(crate) get: G,
    pub(crate) local: BenchServer,
}

impl<G> NamedService for GetElsewhere<G> {
    const NAME: &'static str = BenchServer::NAME;
}

impl<G> tower_service::Service<http::Request<Body>> for GetElsewhere<G>
where
    G: FnMut(http::Request<Body>) -> Coming,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Coming;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            GET => (self.get)(request),
            _ => self.local.call(request),
        }
    }
}

/// The method by hand: it decodes a call, makes it again at the owner, and encodes the answer.
pub(crate) fn typed(
    owner: BenchClient,
) -> impl FnMut(http::Request<Body>) -> Coming + Clone + Send + Sync {
    move |request| {
        let get = TypedGet(owner.clone());
        Box::pin(async move { Ok(Grpc::new(codec()).unary(get, request).await) })
    }
}

#[derive(Clone)]
struct TypedGet(BenchClient);

impl UnaryService<Ask> for TypedGet {
    type Response = Tell;
    type Future = Answer<Tell>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        let mut owner = self.0.clone();
        Box::pin(async move { owner.unary(GET, request).await })
    }
}

/// A client of the service over a tonic channel.
#[derive(Clone, Debug)]
pub(crate) struct BenchClient(tonic::client::Grpc<tonic::transport::Channel>);

impl BenchClient {
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let endpoint: tonic::transport::Endpoint = format!("http://{address}").parse()?;
        // The windows of `ringpop_forward::server`, so that streams are not bounded by the caller's
        // own.
        let endpoint = endpoint
            .tcp_nodelay(true)
            .initial_stream_window_size(ringpop_forward::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(ringpop_forward::CONNECTION_WINDOW_BYTES);
        Ok(Self(tonic::client::Grpc::new(endpoint.connect().await?)))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unknown(error.to_string()))
    }

    pub(crate) async fn unary(
        &mut self,
        path: &'static str,
        request: Request<Ask>,
    ) -> Result<Response<Tell>, Status> {
        self.ready().await?;
        self.0.unary(request, PathAndQuery::from_static(path), codec()).await
    }

    pub(crate) async fn figures(&mut self) -> Result<Figures, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(FIGURES);
        let figures = self.0.unary(Request::new(Ask::default()), path, codec()).await?;
        Ok(figures.into_inner())
    }

    pub(crate) async fn download(&mut self, ask: Ask) -> Result<Streaming<Tell>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(DOWNLOAD);
        Ok(self.0.server_streaming(Request::new(ask), path, codec()).await?.into_inner())
    }

    pub(crate) async fn upload(
        &mut self,
        asks: impl Stream<Item = Ask> + Send + 'static,
    ) -> Result<Tell, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(UPLOAD);
        Ok(self.0.client_streaming(Request::new(asks), path, codec()).await?.into_inner())
    }
}
