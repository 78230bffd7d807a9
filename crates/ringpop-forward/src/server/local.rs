//! A call of the service of this process.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower_service::Service;

pin_project! {
    /// Waits until the service is ready, then calls it.
    ///
    /// A service that was polled ready may hold a place of a limit (tower's documentation of
    /// `Service`). It is therefore polled only when a call is to be handled here: a call that
    /// another process handles must neither need a place of this one nor keep it, or two processes
    /// that forward to each other wait for each other.
    #[project = LocalProjection]
    pub(crate) enum LocalCall<S>
    where
        S: Service<Request<Body>>,
    {
        Waiting { service: S, request: Option<Request<Body>> },
        Running { #[pin] future: S::Future },
    }
}

impl<S: Service<Request<Body>>> LocalCall<S> {
    /// A call of `service`, which need not be ready.
    pub(crate) fn new(service: S, request: Request<Body>) -> Self {
        Self::Waiting { service, request: Some(request) }
    }
}

impl<S: Service<Request<Body>>> Future for LocalCall<S> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let future = match self.as_mut().project() {
                LocalProjection::Running { future } => return future.poll(cx),
                LocalProjection::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(request.take().expect("polled after it was ready"))
                }
            };
            self.set(Self::Running { future });
        }
    }
}
