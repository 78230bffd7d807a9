//! Whether the routes of a member name methods of its services.
//!
//! Services do not list their methods. Each routed method is therefore called in an encoding that
//! no server knows: servers refuse that before a handler runs, and with another status than a
//! method that they do not have.

use std::sync::Arc;

use http::{Method, Request, header};
use tonic::body::Body;
use tonic::service::Routes as Services;
use tonic::{Code, Status};
use tower_service::Service as _;

use crate::limits::ROUTES_ASKED_MAX;
use crate::problem::Problem;
use crate::problems::Problems;

/// What no server decodes.
const UNKNOWN_ENCODING: &str = "ringpop-route-check";

/// Tells of routes that lead nowhere, or that there are none. Needs a runtime.
pub(crate) fn warn(paths: Option<&[String]>, services: &Services, problems: &Arc<Problems>) {
    let Some(paths) = paths else {
        if services.clone().into_axum_router().has_routes() {
            tracing::warn!(
                "no method is routed, so that every request is handled where it arrives: give the builder routes, unless \
                 keys are only looked up"
            );
        }
        return;
    };
    let (mut services, problems) = (services.clone(), Arc::clone(problems));
    let paths: Vec<_> = paths.iter().take(ROUTES_ASKED_MAX).cloned().collect();
    tokio::spawn(async move {
        let mut unserved = Vec::new();
        for path in paths {
            if is_missing(&mut services, &path).await {
                unserved.push(path);
            }
        }
        if !unserved.is_empty() {
            problems.begin(Problem::RoutesUnserved { paths: unserved });
        }
    });
}

async fn is_missing(services: &mut Services, path: &str) -> bool {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header("grpc-encoding", UNKNOWN_ENCODING)
        .body(Body::default());
    let Ok(request) = request else { return false };
    let Ok(response) = services.call(request).await;
    // A method that exists names the encodings that it takes.
    let status = Status::from_header_map(response.headers());
    status.is_some_and(|status| status.code() == Code::Unimplemented && status.message().is_empty())
        && !response.headers().contains_key("grpc-accept-encoding")
}
