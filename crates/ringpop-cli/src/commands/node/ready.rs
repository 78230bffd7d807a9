//! `GET /ready`: whether clients and load balancers should send requests here.

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
    let state = node.state();
    let problems = node.problems();
    let unreachable =
        problems.iter().find(|problem| matches!(problem, Problem::Unreachable { .. }));
    match (state, unreachable) {
        (_, Some(problem)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
        (ringpop::State::Ready, None) => (StatusCode::OK, "ready\n".to_owned()),
        (state, None) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", state.as_str())),
    }
}
