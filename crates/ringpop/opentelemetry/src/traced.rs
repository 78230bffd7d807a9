//! A layer that makes each request a span, below the span that its sender names.

use std::task::{Context, Poll};

use http::Request;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use ringpop::tonic::body::Body;
use tower::Service;
use tracing::instrument::{Instrument as _, Instrumented};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The requests of members to each other.
const OF_MEMBERS: &str = "/ringpop.";

/// Reads and writes the header `traceparent` (W3C Trace Context).
///
/// The forwarder sends the headers of a request on as they are: the span that is written here is
/// the parent of the span at the owner.
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
    propagator: TraceContextPropagator,
}

impl<S> Traced<S> {
    pub fn new(inner: S) -> Self {
        Self { inner, propagator: TraceContextPropagator::new() }
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Traced<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if path.starts_with(OF_MEMBERS) {
            return self.inner.call(request).instrument(tracing::Span::none());
        }
        let span = tracing::info_span!("request", otel.name = path, otel.kind = "server");
        let parent = self.propagator.extract(&HeaderExtractor(request.headers()));
        // It fails only where no layer of OpenTelemetry is set up.
        let _ = span.set_parent(parent);
        let mut headers = HeaderInjector(request.headers_mut());
        self.propagator.inject_context(&span.context(), &mut headers);
        self.inner.call(request).instrument(span)
    }
}
