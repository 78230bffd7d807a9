//! Cuts the watches of clients, and nothing else, while it is told to.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

const WATCHES: &str = "/ringpop.v1.RingWatch/";

/// A layer for [`Ringpop::serve_with`](ringpop::Ringpop::serve_with): while the value is true,
/// watches that are open end and new ones are refused.
#[derive(Clone)]
pub(crate) struct Cut(pub(crate) watch::Receiver<bool>);

#[derive(Clone)]
pub(crate) struct CutService<S> {
    inner: S,
    cut: watch::Receiver<bool>,
}

impl<S> Layer<S> for Cut {
    type Service = CutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CutService { inner, cut: self.0.clone() }
    }
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, B> Service<Request<Body>> for CutService<S>
where
    S: Service<Request<Body>, Response = Response<B>, Future: Send + 'static>,
    S::Error: Send + 'static,
    B: HttpBody<Data = bytes::Bytes, Error: Into<tonic::codegen::StdError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_watch = request.uri().path().starts_with(WATCHES);
        if is_watch && *self.cut.borrow() {
            let refused = Status::unavailable("the watch is cut").into_http();
            return Box::pin(std::future::ready(Ok(refused)));
        }
        let (answer, mut cut) = (self.inner.call(request), self.cut.clone());
        Box::pin(async move {
            let response = answer.await?.map(Body::new);
            if !is_watch {
                return Ok(response);
            }
            let is_cut = Box::pin(async move {
                // Without a sender nothing is cut any more.
                if cut.wait_for(|cut| *cut).await.is_err() {
                    std::future::pending::<()>().await;
                }
            });
            Ok(response.map(|body| Body::new(CutBody { body: Box::pin(body), is_cut })))
        })
    }
}

/// A body that breaks off at the cut.
struct CutBody {
    body: Pin<Box<Body>>,
    is_cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl HttpBody for CutBody {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        if self.is_cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Status::unavailable("the watch is cut"))));
        }
        self.body.as_mut().poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
