//! The outermost layer of a server: sees every request as it comes from the network and every
//! answer as it goes there.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::bounded_body::BoundedBody;
use super::limits::ServerLimits;
use super::registry::connection::ConnectionHandle;
use super::registry::connection::open_call::OpenCall;
use super::registry::connection::waiting::{For, Shed};
use super::upload::Upload;
use crate::header_list;
use crate::limits::HOP_HEADER;
use crate::server::answer::{Protocol, answer};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps what callers hold of a server within its [limits](crate::ServerLimits). Part of every
/// [`server`](fn@crate::server).
#[derive(Clone, Copy, Debug)]
pub struct LimitLayer {
    header_list_bytes: usize,
}

impl LimitLayer {
    /// For a server whose connections are kept within these limits, which
    /// [`server_with`](crate::server_with) has checked.
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self { header_list_bytes: limits.header_list_bytes as usize }
    }
}

impl Default for LimitLayer {
    fn default() -> Self {
        Self::new(&ServerLimits::default())
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, header_list_bytes: self.header_list_bytes }
    }
}

/// The service that [`LimitLayer`] makes.
#[derive(Clone, Debug)]
pub struct Limited<S> {
    inner: S,
    header_list_bytes: usize,
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
        // The connection of a member carries many callers, and it is the first member that knows
        // them apart.
        if let Some(call) = &call
            && call.connection.is_unread()
            && !request.headers().contains_key(HOP_HEADER)
        {
            call.connection.all.count_unread_refused();
            let status = Status::resource_exhausted("the answers on this connection are not read");
            let response = answer(status, Protocol::of(request.headers()));
            return LimitedFuture { step: Step::Refused { response: Some(response) } };
        }
        if let Some(refusal) = self.refuse_header_list(&request) {
            if let Some(call) = &call {
                call.connection.all.count_header_list();
            }
            return LimitedFuture { step: Step::Refused { response: Some(refusal) } };
        }
        let protocol = Protocol::of(request.headers());
        let ends_with_flag = request.version() == Version::HTTP_2;
        let request = request.map(|body| {
            if body.is_end_stream() {
                return body;
            }
            Body::new(Upload::new(body, call.clone(), ends_with_flag, protocol.is_grpc()))
        });
        LimitedFuture { step: Step::Served { inner: self.inner.call(request), call, protocol } }
    }
}

impl<S> Limited<S> {
    /// Answers a request whose header list is too large to be forwarded. One that was forwarded has
    /// been let in by the first member, and HTTP/2 itself bounds the headers added since.
    fn refuse_header_list(&self, request: &Request<Body>) -> Option<Response<Body>> {
        if request.headers().contains_key(HOP_HEADER) {
            return None;
        }
        let (size, limit) = (header_list::size_of_request(request), self.header_list_bytes);
        (size >= limit).then(|| {
            let status = header_list::request_too_large(size, limit, "this server");
            let protocol = Protocol::of(request.headers());
            let mut response = answer(status, protocol);
            if protocol == Protocol::Http {
                *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            }
            response
        })
    }
}

pin_project! {
    /// The response of a [`Limited`] service.
    #[derive(Debug)]
    pub struct LimitedFuture<F> {
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StepProjection]
    enum Step<F> {
        Served { #[pin] inner: F, call: Option<Arc<OpenCall>>, protocol: Protocol },
        /// `None` when it was given.
        Refused { response: Option<Response<Body>> },
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
        let (inner, call, protocol) = match self.project().step.project() {
            StepProjection::Served { inner, call, protocol } => (inner, call, *protocol),
            StepProjection::Refused { response } => {
                return response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)));
            }
        };
        let Poll::Ready(response) = inner.poll(cx) else {
            let is_shed = call.as_ref().is_some_and(|call| call.wait(cx.waker()));
            if !is_shed {
                return Poll::Pending;
            }
            // With this future goes the handler, and what it holds of the request.
            let status = Shed::Overloaded(For::Handler).status();
            return Poll::Ready(Ok(answer(status, protocol)));
        };
        let call = call.take();
        Poll::Ready(Ok(response?.map(|body| {
            let body = Body::new(body);
            match call {
                Some(call) if !body.is_end_stream() => {
                    Body::new(BoundedBody::new(body, call, protocol.is_grpc()))
                }
                _ => body,
            }
        })))
    }
}
