//! The outermost layer of a server: sees every request as it comes from the network and every answer as it goes there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::answer::Answer;
use super::connection::{ConnectionHandle, OpenCall};
use super::upload::Upload;
use crate::answer::is_grpc;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps what callers hold of a server within its [limits](crate::ServerLimits). Part of every
/// [`server`](crate::server).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LimitLayer;

impl<S> Layer<S> for LimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner }
    }
}

/// The service that [`LimitLayer`] makes.
#[derive(Clone, Debug)]
pub struct Limited<S> {
    inner: S,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = LimitedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let call = request.extensions_mut().get_mut::<ConnectionHandle>().map(|handle| {
            let call = OpenCall::begin(Arc::clone(&handle.connection));
            handle.call = Arc::downgrade(&call);
            call
        });
        if let Some(call) = &call {
            call.connection.restore(request.extensions_mut());
        }
        let is_grpc = is_grpc(request.headers());
        let ends_with_flag = request.version() == Version::HTTP_2;
        let request = request.map(|body| {
            if body.is_end_stream() {
                return body;
            }
            Body::new(Upload::new(body, call.clone(), ends_with_flag))
        });
        LimitedFuture { inner: self.inner.call(request), call, is_grpc }
    }
}

pin_project! {
    /// The response of a [`Limited`] service.
    #[derive(Debug)]
    pub struct LimitedFuture<F> {
        #[pin]
        inner: F,
        call: Option<Arc<OpenCall>>,
        is_grpc: bool,
    }
}

impl<F, B, E> Future for LimitedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let call = this.call.take();
        Poll::Ready(Ok(response.map(|body| {
            let body = Body::new(body);
            match call {
                Some(call) if !body.is_end_stream() => {
                    Body::new(Answer::new(body, call, *this.is_grpc))
                }
                _ => body,
            }
        })))
    }
}
