//! Whether clients and load balancers should send requests here, and `GET /ready`, which tells it.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use ringpop::{Problem, Ringpop};

/// The answer follows the state of the member, from the moment on at which it begins to stop.
pub(super) fn router(node: Ringpop) -> Router {
    Router::new().route("/ready", get(ready)).with_state(node)
}

async fn ready(State(node): State<Ringpop>) -> (StatusCode, String) {
    match check(&node) {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// `Err` says why requests should go elsewhere.
pub(super) fn check(node: &Ringpop) -> Result<(), String> {
    let problems = node.problems();
    let unreachable =
        problems.iter().find(|problem| matches!(problem, Problem::Unreachable { .. }));
    match (node.state(), unreachable) {
        (_, Some(problem)) => Err(problem.to_string()),
        (ringpop::State::Ready, None) => Ok(()),
        (state, None) => Err(state.as_str().to_owned()),
    }
}
