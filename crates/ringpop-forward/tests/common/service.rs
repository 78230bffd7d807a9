//! The test service: one method for each shape of call, and what its handlers saw.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::metadata::MetadataMap;
use tonic::server::{
    ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService,
    UnaryService,
};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::soon;

pub const UNARY: &str = "/test.v1.Test/Unary";
pub const ONCE: &str = "/test.v1.Test/Once";
pub const UPLOAD: &str = "/test.v1.Test/Upload";
pub const DOWNLOAD: &str = "/test.v1.Test/Download";
pub const CHAT: &str = "/test.v1.Test/Chat";
/// Served, but without a route in the tests' tables.
pub const UNROUTED: &str = "/test.v1.Test/Unrouted";

#[derive(Clone, PartialEq, prost::Message)]
pub struct Ask {
    #[prost(string, tag = "1")]
    pub key: String,
    /// What the handler does: see [`Handler::unary`] and its siblings.
    #[prost(string, tag = "2")]
    pub order: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
}

impl Ask {
    pub fn new(key: &str, order: &str) -> Self {
        Self { key: key.into(), order: order.into(), payload: Bytes::new() }
    }

    pub fn with(self, payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), ..self }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Tell {
    #[prost(string, tag = "1")]
    pub node: String,
    #[prost(string, tag = "2")]
    pub text: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
}

pub type Tells = Pin<Box<dyn Stream<Item = Result<Tell, Status>> + Send>>;

/// What the handlers of one node saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Handlers begun.
    pub begun: AtomicU64,
    /// Handlers dropped before they answered, and streams dropped before they ended.
    pub cancelled: AtomicU64,
    /// Uploads that ended as complete.
    pub complete_uploads: AtomicU64,
    /// Uploads that ended with an error.
    pub broken_uploads: AtomicU64,
    /// Messages that download handlers have handed to their streams.
    pub sent: AtomicU64,
    /// Metadata of the last call.
    pub metadata: Mutex<MetadataMap>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<String> {
        let metadata = self.metadata.lock().unwrap();
        metadata.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Acquire)
    }
}

/// Metadata of about so many bytes: `one` long value, `many` short ones, or long binary ones
/// (`bin`). Other kinds have none.
pub fn metadata(kind: &str, bytes: usize) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    match kind {
        "one" => drop(metadata.insert("x-one", "1".repeat(bytes).parse().unwrap())),
        "many" => {
            for _ in 0..bytes / 64 {
                metadata.append("x-many", "1".repeat(26).parse().unwrap());
            }
        }
        "bin" => {
            let value = tonic::metadata::MetadataValue::from_bytes(&vec![0; bytes * 3 / 4]);
            metadata.insert_bin("x-long-bin", value);
        }
        _ => {}
    }
    metadata
}

/// Counts a handler that is dropped before it is done.
struct Unless<'a>(Option<&'a AtomicU64>);

impl Unless<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Unless<'_> {
    fn drop(&mut self) {
        if let Some(counter) = self.0 {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The handlers of one node.
#[derive(Clone)]
pub struct Handler {
    pub node: String,
    pub seen: Arc<Seen>,
    /// Handlers with the order `wait` answer when this is notified.
    pub go: Arc<tokio::sync::Semaphore>,
}

impl Handler {
    pub fn new(node: &str) -> Self {
        Self {
            node: node.into(),
            seen: Arc::default(),
            go: Arc::new(tokio::sync::Semaphore::new(0)),
        }
    }

    fn tell(&self, text: impl Into<String>, payload: Bytes) -> Tell {
        Tell { node: self.node.clone(), text: text.into(), payload }
    }

    fn begin(&self, metadata: &MetadataMap) {
        *self.seen.metadata.lock().unwrap() = metadata.clone();
        self.seen.begun.fetch_add(1, Ordering::AcqRel);
    }

    async fn unary(self, request: Request<Ask>) -> Result<Response<Tell>, Status> {
        self.begin(request.metadata());
        let unless = Unless(Some(&self.seen.cancelled));
        let ask = request.into_inner();
        let result = match ask.order.as_str() {
            "hang" => std::future::pending().await,
            "wait" => {
                self.go.acquire().await.unwrap().forget();
                Ok(Response::new(self.tell("waited", ask.payload)))
            }
            "block" => {
                // The whole thread, as a handler should not.
                while self.go.try_acquire().map(|permit| permit.forget()).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(Response::new(self.tell("blocked", Bytes::new())))
            }
            // How many handlers have begun, this one included.
            "count" => {
                let begun = Seen::get(&self.seen.begun);
                Ok(Response::new(self.tell(begun.to_string(), Bytes::new())))
            }
            "fail" => {
                let mut metadata = MetadataMap::new();
                metadata.insert("x-why", "asked for".parse().unwrap());
                metadata
                    .insert_bin("x-why-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 255]));
                let details = Bytes::from_static(b"details");
                Err(Status::with_details_and_metadata(
                    Code::DataLoss,
                    "told to fail: ü",
                    details,
                    metadata,
                ))
            }
            "pose" => {
                // What a careless handler passes on from a call of its own.
                let mut response = Response::new(self.tell("posed", Bytes::new()));
                response.metadata_mut().insert("ringpop-refused", "not-owner".parse().unwrap());
                Ok(response)
            }
            "unavailable" => Err(Status::unavailable("told to be unavailable")),
            order if order.starts_with("metadata ") => self.with_metadata(order),
            _ => {
                let mut response = Response::new(self.tell(ask.order, ask.payload));
                response.metadata_mut().insert("x-answer", "42".parse().unwrap());
                Ok(response)
            }
        };
        unless.done();
        result
    }

    /// The order is `metadata <ok|fail> <one|many|bin|message> <bytes>`.
    fn with_metadata(&self, order: &str) -> Result<Response<Tell>, Status> {
        let words: Vec<_> = order.split(' ').collect();
        let [_, outcome, kind, bytes] = words[..] else { panic!("an order has four words") };
        let bytes = bytes.parse().unwrap();
        let metadata = metadata(kind, bytes);
        if outcome == "ok" {
            let mut response = Response::new(self.tell("much metadata", Bytes::new()));
            *response.metadata_mut() = metadata;
            return Ok(response);
        }
        let text = if kind == "message" { "m".repeat(bytes) } else { "told to fail".to_owned() };
        Err(Status::with_metadata(Code::Aborted, text, metadata))
    }

    async fn upload(self, request: Request<Streaming<Ask>>) -> Result<Response<Tell>, Status> {
        self.begin(request.metadata());
        let mut asks = request.into_inner();
        let (mut count, mut bytes) = (0, 0);
        while let Some(ask) = asks.next().await {
            match ask {
                Ok(ask) if ask.order == "early" => {
                    return Ok(Response::new(self.tell("early", Bytes::new())));
                }
                Ok(ask) => {
                    if ask.order == "stall" {
                        self.go.acquire().await.unwrap().forget();
                    }
                    count += 1;
                    bytes += ask.payload.len();
                }
                Err(status) => {
                    self.seen.broken_uploads.fetch_add(1, Ordering::AcqRel);
                    return Err(status);
                }
            }
        }
        self.seen.complete_uploads.fetch_add(1, Ordering::AcqRel);
        Ok(Response::new(self.tell(format!("{count} messages, {bytes} bytes"), Bytes::new())))
    }

    /// The order is `<count>`, `endless`, `<count> then fail` or `<count> then metadata fail ..`.
    async fn download(self, request: Request<Ask>) -> Result<Response<Tells>, Status> {
        self.begin(request.metadata());
        let ask = request.into_inner();
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let unless = Unless(Some(&self.seen.cancelled));
            let (count, end) = ask.order.split_once(" then ").unwrap_or((&ask.order, ""));
            let count = count.parse().unwrap_or(u64::MAX);
            for index in 0..count {
                let tell = self.tell(index.to_string(), ask.payload.clone());
                if sender.send(Ok(tell)).await.is_err() {
                    return;
                }
                self.seen.sent.fetch_add(1, Ordering::AcqRel);
            }
            match end {
                order if order.starts_with("metadata ") => {
                    let end = self.with_metadata(order).err().unwrap();
                    drop(sender.send(Err(end)).await);
                    return unless.done();
                }
                "fail" => drop(sender.send(Err(Status::data_loss("told to fail"))).await),
                "hang" => sender.closed().await,
                _ => return unless.done(),
            }
            if end == "fail" {
                unless.done();
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn chat(self, request: Request<Streaming<Ask>>) -> Result<Response<Tells>, Status> {
        self.begin(request.metadata());
        let mut asks = request.into_inner();
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(ask) = asks.next().await {
                let answer = ask.map(|ask| self.tell(ask.order, ask.payload));
                let is_last = answer.is_err();
                if sender.send(answer).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

impl UnaryService<Ask> for Handler {
    type Response = Tell;
    type Future = Answer<Tell>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        Box::pin(self.clone().unary(request))
    }
}

impl ClientStreamingService<Ask> for Handler {
    type Response = Tell;
    type Future = Answer<Tell>;

    fn call(&mut self, request: Request<Streaming<Ask>>) -> Self::Future {
        Box::pin(self.clone().upload(request))
    }
}

impl ServerStreamingService<Ask> for Handler {
    type Response = Tell;
    type ResponseStream = Tells;
    type Future = Answer<Tells>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        Box::pin(self.clone().download(request))
    }
}

impl StreamingService<Ask> for Handler {
    type Response = Tell;
    type ResponseStream = Tells;
    type Future = Answer<Tells>;

    fn call(&mut self, request: Request<Streaming<Ask>>) -> Self::Future {
        Box::pin(self.clone().chat(request))
    }
}

/// The handlers as a tonic service, as generated code would make it.
#[derive(Clone)]
pub struct TestServer(pub Handler);

impl NamedService for TestServer {
    const NAME: &'static str = "test.v1.Test";
}

impl tower::Service<http::Request<Body>> for TestServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = self.0.clone();
        Box::pin(async move {
            let mut grpc =
                Grpc::new(ProstCodec::<Tell, Ask>::default()).max_decoding_message_size(64 << 20);
            Ok(match request.uri().path() {
                UNARY | ONCE | UNROUTED => grpc.unary(handler, request).await,
                UPLOAD => grpc.client_streaming(handler, request).await,
                DOWNLOAD => grpc.server_streaming(handler, request).await,
                CHAT => grpc.streaming(handler, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// A client of the test service over any transport.
#[derive(Clone)]
pub struct TestClient<T>(tonic::client::Grpc<T>);

impl<T> TestClient<T>
where
    T: GrpcService<Body>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub fn new(transport: T) -> Self {
        Self(tonic::client::Grpc::new(transport).max_decoding_message_size(64 << 20))
    }

    async fn ready(&mut self) -> Result<ProstCodec<Ask, Tell>, Status> {
        self.0.ready().await.map_err(|error| Status::unknown(error.into().to_string()))?;
        Ok(ProstCodec::default())
    }

    pub async fn unary(
        &mut self,
        request: impl tonic::IntoRequest<Ask>,
    ) -> Result<Response<Tell>, Status> {
        self.unary_at(UNARY, request).await
    }

    pub async fn unary_at(
        &mut self,
        path: &'static str,
        request: impl tonic::IntoRequest<Ask>,
    ) -> Result<Response<Tell>, Status> {
        let codec = self.ready().await?;
        let (request, path) = (request.into_request(), PathAndQuery::from_static(path));
        soon("unary call", self.0.unary(request, path, codec)).await
    }

    pub async fn upload(
        &mut self,
        request: impl tonic::IntoStreamingRequest<Message = Ask>,
    ) -> Result<Response<Tell>, Status> {
        let codec = self.ready().await?;
        let path = PathAndQuery::from_static(UPLOAD);
        let request = request.into_streaming_request();
        soon("upload", self.0.client_streaming(request, path, codec)).await
    }

    pub async fn download(
        &mut self,
        request: impl tonic::IntoRequest<Ask>,
    ) -> Result<Response<Streaming<Tell>>, Status> {
        let codec = self.ready().await?;
        let path = PathAndQuery::from_static(DOWNLOAD);
        let request = request.into_request();
        soon("download", self.0.server_streaming(request, path, codec)).await
    }

    pub async fn chat(
        &mut self,
        request: impl tonic::IntoStreamingRequest<Message = Ask>,
    ) -> Result<Response<Streaming<Tell>>, Status> {
        let codec = self.ready().await?;
        let path = PathAndQuery::from_static(CHAT);
        let request = request.into_streaming_request();
        soon("chat", self.0.streaming(request, path, codec)).await
    }
}

/// The next message of a stream, or its end.
pub async fn next(tells: &mut Streaming<Tell>) -> Option<Result<Tell, Status>> {
    soon("next message", tells.next()).await
}

/// All messages of a stream that ends well.
pub async fn all(tells: Streaming<Tell>) -> Vec<Tell> {
    soon("end of the stream", tells.map(Result::unwrap).collect()).await
}

/// A request with a deadline.
pub fn within(ask: Ask, limit: Duration) -> Request<Ask> {
    let mut request = Request::new(ask);
    request.set_timeout(limit);
    request
}
