//! A node that passes bodies on and does nothing else: no key is read, no owner is looked up,
//! nothing is tried again. No forwarder on the same HTTP/2 library can cost less.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Result;
use http::Uri;
use http::uri::PathAndQuery;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

use crate::api::{BenchServer, GET};

#[derive(Clone)]
pub(crate) struct PassServer {
    owner: SendRequest<Body>,
    target: Uri,
    local: BenchServer,
}

impl PassServer {
    pub(crate) async fn connect(owner: &str, local: BenchServer) -> Result<Self> {
        let socket = TcpStream::connect(owner).await?;
        socket.set_nodelay(true)?;
        let (send, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(ringpop_forward::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(ringpop_forward::CONNECTION_WINDOW_BYTES)
            .handshake(TokioIo::new(socket))
            .await?;
        tokio::spawn(connection);
        let target = Uri::builder()
            .scheme("http")
            .authority(owner)
            .path_and_query(PathAndQuery::from_static(GET))
            .build()?;
        Ok(Self { owner: send, target, local })
    }
}

impl NamedService for PassServer {
    const NAME: &'static str = BenchServer::NAME;
}

impl tower_service::Service<http::Request<Body>> for PassServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != GET {
            return self.local.call(request);
        }
        request.uri_mut().clone_from(&self.target);
        let answer = self.owner.send_request(request);
        Box::pin(async move {
            Ok(match answer.await {
                Ok(answer) => answer.map(Body::new),
                Err(error) => Status::unavailable(error.to_string()).into_http(),
            })
        })
    }
}
