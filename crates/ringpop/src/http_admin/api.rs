//! The paths that answer questions.

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use swim_core::Status;
use swim_core::wire::pb;

use super::answers::{self, Json};
use super::asking::{Caller, Client, client, within};
use super::query::values;
use super::refusal::Refusal;
use super::source::Source;
use super::token::{TOKEN_WANTED, Token};
use super::{commands, events};
use crate::generated as proto;
use crate::limits::{
    ADMIN_REQUEST_BYTES_MAX, HOT_KEYS_TOLD_MAX, HTTP_ADMIN_READ_LIMIT, LOOKUP_OWNERS_MAX,
};

/// What a listener adds to the service behind it.
#[derive(Clone)]
pub(super) struct Listener {
    /// Whether the processes of the cluster can be started and stopped here.
    pub(super) has_controller: bool,
    pub(super) token: Option<Token>,
}

pub(super) fn router(source: Source, listener: Listener) -> Router {
    let client = client(source);
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/members", get(members))
        .route("/api/v1/ring", get(ring))
        .route("/api/v1/lookup", get(lookup))
        .route("/api/v1/checksums", get(checksums))
        .route("/api/v1/destinations", get(destinations))
        .route("/api/v1/stats", get(stats))
        .route("/api/v1/config", get(config).merge(commands::reconfigure()))
        .route("/api/v1/log-level", get(log_level).merge(commands::set_log_level()))
        .route("/api/v1/propagation", get(propagation))
        .route("/api/v1/hot-keys", get(hot_keys))
        .route("/api/v1/access", get(move |client, request| access(client, request, listener)))
        .route("/api/v1/events", get(watch))
        .merge(commands::router())
        .layer(DefaultBodyLimit::max(ADMIN_REQUEST_BYTES_MAX))
        .with_state(client)
}

async fn read<A>(
    answer: impl Future<Output = Result<tonic::Response<A>, tonic::Status>>,
) -> Result<A, Refusal> {
    within(HTTP_ADMIN_READ_LIMIT, answer).await
}

type Answer<T> = Result<Json<T>, Refusal>;

async fn status(State(mut client): State<Client>, query: RawQuery) -> Answer<answers::Status> {
    let [] = values(query.0.as_deref(), [])?;
    Ok(Json(read(client.get_summary(proto::GetSummaryRequest {})).await?.into()))
}

async fn stats(State(mut client): State<Client>, query: RawQuery) -> Answer<answers::Stats> {
    let [prefix] = values(query.0.as_deref(), ["prefix"])?;
    let told = read(client.get_summary(proto::GetSummaryRequest {})).await?;
    Ok(Json(answers::Stats::of(told, &prefix.unwrap_or_default())))
}

async fn members(State(mut client): State<Client>, query: RawQuery) -> Answer<answers::Members> {
    let [statuses] = values(query.0.as_deref(), ["status"])?;
    let known = |name: &str| {
        let status = Status::ALL.into_iter().find(|status| status.as_str() == name);
        let unknown = || {
            let reason = "use alive, suspect, faulty, leave or tombstone, with commas between them";
            Refusal::invalid(format!("status {name:?} does not exist: {reason}"))
        };
        status.map(|status| pb::Status::from(status).into()).ok_or_else(unknown)
    };
    let statuses = statuses.as_deref().map(|statuses| statuses.split(',').map(known).collect());
    let statuses = statuses.transpose()?.unwrap_or_default();
    Ok(Json(read(client.get_members(proto::GetMembersRequest { statuses })).await?.into()))
}

async fn ring(State(mut client): State<Client>, query: RawQuery) -> Answer<answers::Ring> {
    let [] = values(query.0.as_deref(), [])?;
    Ok(Json(read(client.get_ring(proto::GetRingRequest {})).await?.into()))
}

async fn lookup(State(mut client): State<Client>, query: RawQuery) -> Answer<answers::Lookup> {
    let [key, n] = values(query.0.as_deref(), ["key", "n"])?;
    let key = key.ok_or_else(|| Refusal::invalid("no key is given: use ?key=KEY"))?;
    let n = match n.map(|n| n.parse()) {
        None => 1,
        Some(Ok(n)) if (1..=LOOKUP_OWNERS_MAX as u32).contains(&n) => n,
        Some(_) => {
            return Err(Refusal::invalid(format!(
                "n is a number of owners, 1 to {LOOKUP_OWNERS_MAX}"
            )));
        }
    };
    let question = proto::LookupRequest { key: key.clone().into(), n };
    Ok(Json(answers::Lookup::of(key, read(client.lookup(question)).await?)))
}

async fn checksums(
    State(mut client): State<Client>,
    query: RawQuery,
) -> Answer<answers::Checksums> {
    let [] = values(query.0.as_deref(), [])?;
    let question = proto::CompareChecksumsRequest {};
    Ok(Json(read(client.compare_checksums(question)).await?.into()))
}

async fn destinations(
    State(mut client): State<Client>,
    query: RawQuery,
) -> Answer<answers::Destinations> {
    let [] = values(query.0.as_deref(), [])?;
    Ok(Json(read(client.get_destinations(proto::GetDestinationsRequest {})).await?.into()))
}

async fn config(State(mut client): State<Client>, query: RawQuery) -> Answer<answers::Config> {
    let [] = values(query.0.as_deref(), [])?;
    Ok(Json(read(client.get_config(proto::GetConfigRequest {})).await?.into()))
}

async fn log_level(State(mut client): State<Client>, query: RawQuery) -> Answer<answers::LogLevel> {
    let [] = values(query.0.as_deref(), [])?;
    Ok(Json(read(client.get_log_level(proto::GetLogLevelRequest {})).await?.into()))
}

async fn propagation(
    State(mut client): State<Client>,
    query: RawQuery,
) -> Answer<answers::Propagation> {
    let [] = values(query.0.as_deref(), [])?;
    Ok(Json(read(client.get_propagation(proto::GetPropagationRequest {})).await?.into()))
}

/// Needs an authorised caller, unlike other questions.
async fn hot_keys(State(mut client): State<Client>, request: Request) -> Answer<answers::HotKeys> {
    let [n] = values(request.uri().query(), ["n"])?;
    let n = match n.map(|n| n.parse()) {
        None => 0,
        Some(Ok(n)) if (1..=HOT_KEYS_TOLD_MAX as u32).contains(&n) => n,
        Some(_) => {
            let reason = format!("n is a number of keys, 1 to {HOT_KEYS_TOLD_MAX}");
            return Err(Refusal::invalid(reason));
        }
    };
    let question = Caller::of(&request).asks(proto::GetHotKeysRequest { n });
    Ok(Json(read(client.get_hot_keys(question)).await?.into()))
}

async fn access(
    State(mut client): State<Client>,
    request: Request,
    Listener { has_controller, token }: Listener,
) -> Answer<answers::Access> {
    let [] = values(request.uri().query(), [])?;
    if token.is_some_and(|token| !token.is_sent(request.headers())) {
        return Ok(Json(answers::Access::refused(TOKEN_WANTED)));
    }
    let question = Caller::of(&request).asks(proto::CheckAccessRequest {});
    match read(client.check_access(question)).await {
        Ok(told) => Ok(Json(answers::Access::of(told, has_controller))),
        // Processes can be started also when no member is there to be asked.
        Err(_) if has_controller => Ok(Json(answers::Access::to_controller())),
        Err(refusal) => Err(refusal),
    }
}

async fn watch(State(mut client): State<Client>, query: RawQuery) -> Result<Response, Refusal> {
    let [] = values(query.0.as_deref(), [])?;
    let told = read(client.watch_events(proto::WatchEventsRequest {})).await?;
    Ok(events::stream(told).into_response())
}
