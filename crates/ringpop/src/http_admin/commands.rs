//! The paths that have a member do something.
//!
//! All take JSON only: a form of another site cannot send that, and its scripts would have to ask
//! first.

mod log_level;
mod off_ring;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{MethodRouter, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use swim_core::wire::pb;

use super::answers::{self, Json};
use super::asking::{Caller, Client, within};
use super::query::values;
use super::refusal::Refusal;
use crate::generated as proto;
use crate::generated::setting::Value;
use crate::limits::HTTP_ADMIN_COMMAND_LIMIT;

pub(super) fn router() -> Router<Client> {
    Router::new()
        .route("/api/v1/leave", post(leave))
        .route("/api/v1/join", post(join))
        .route("/api/v1/reap", post(reap))
        .route("/api/v1/heal", post(heal))
        .route("/api/v1/gossip", post(gossip))
        .route("/api/v1/labels", post(change_labels))
        .route("/api/v1/evict", post(off_ring::evict))
        .route("/api/v1/undo-evict", post(off_ring::undo_evict))
        .route("/api/v1/drain", post(off_ring::drain))
        .route("/api/v1/undrain", post(off_ring::undrain))
}

pub(super) fn reconfigure() -> MethodRouter<Client> {
    post(change_config)
}

pub(super) fn set_log_level() -> MethodRouter<Client> {
    post(log_level::set)
}

/// A command, and the caller that gives it.
struct Command<T> {
    caller: Caller,
    body: T,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Command<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let [] = values(request.uri().query(), [])?;
        let caller = Caller::of(&request);
        if !is_json(request.headers()) {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send a body of content type application/json; {} where there is nothing to say",
            ));
        }
        let body = Bytes::from_request(request, state).await.map_err(Refusal::from)?;
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        match serde_json::from_slice(body) {
            Ok(body) => Ok(Self { caller, body }),
            Err(error) => Err(Refusal::invalid(format!("the body is wrong: {error}"))),
        }
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn done<A>(
    answer: impl Future<Output = Result<tonic::Response<A>, tonic::Status>>,
) -> Result<A, Refusal> {
    const LIMIT: Duration = HTTP_ADMIN_COMMAND_LIMIT;
    within(LIMIT, answer).await
}

type Answer<T> = Result<Json<T>, Refusal>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize)]
struct Left {
    told: u32,
}

async fn leave(
    State(mut client): State<Client>,
    Command { caller, body: Nothing {} }: Command<Nothing>,
) -> Answer<Left> {
    let told = done(client.leave(caller.asks(proto::LeaveRequest {}))).await?.told;
    Ok(Json(Left { told }))
}

#[derive(Serialize)]
struct Joined {
    members: u32,
}

async fn join(
    State(mut client): State<Client>,
    Command { caller, body: Nothing {} }: Command<Nothing>,
) -> Answer<Joined> {
    let members = done(client.rejoin(caller.asks(proto::RejoinRequest {}))).await?.members;
    Ok(Json(Joined { members }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reap {
    /// All that are faulty when there is none.
    #[serde(default)]
    address: Option<String>,
}

#[derive(Serialize)]
struct Reaped {
    reaped: u32,
}

async fn reap(
    State(mut client): State<Client>,
    Command { caller, body }: Command<Reap>,
) -> Answer<Reaped> {
    let address = body.address.unwrap_or_default();
    let reaped = done(client.reap(caller.asks(proto::ReapRequest { address }))).await?.reaped;
    Ok(Json(Reaped { reaped }))
}

#[derive(Serialize)]
struct Healed {
    contacted: Vec<String>,
    failures: u32,
}

async fn heal(
    State(mut client): State<Client>,
    Command { caller, body: Nothing {} }: Command<Nothing>,
) -> Answer<Healed> {
    let healed = done(client.heal(caller.asks(proto::HealRequest {}))).await?;
    Ok(Json(Healed { contacted: healed.contacted, failures: healed.failures }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gossip {
    action: GossipAction,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GossipAction {
    Stop,
    Start,
    Tick,
}

#[derive(Serialize)]
struct Gossiped {
    probed: bool,
}

async fn gossip(
    State(mut client): State<Client>,
    Command { caller, body }: Command<Gossip>,
) -> Answer<Gossiped> {
    let action = match body.action {
        GossipAction::Stop => proto::GossipAction::Stop,
        GossipAction::Start => proto::GossipAction::Start,
        GossipAction::Tick => proto::GossipAction::Tick,
    };
    let request = proto::ControlGossipRequest { action: action.into() };
    let probed = done(client.control_gossip(caller.asks(request))).await?.probed;
    Ok(Json(Gossiped { probed }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeLabels {
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Serialize)]
struct Labels {
    labels: BTreeMap<String, String>,
}

async fn change_labels(
    State(mut client): State<Client>,
    Command { caller, body }: Command<ChangeLabels>,
) -> Answer<Labels> {
    let set = body.set.into_iter().map(|(key, value)| pb::Label { key, value }).collect();
    let request = proto::ChangeLabelsRequest { set, remove: body.remove };
    let changed = done(client.change_labels(caller.asks(request))).await?;
    Ok(Json(Labels { labels: answers::labels(changed.labels) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeConfig {
    settings: Vec<Setting>,
}

/// As `GET` tells it: one of the three values is there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    name: String,
    #[serde(default)]
    flag: Option<bool>,
    #[serde(default)]
    number: Option<u64>,
    #[serde(default)]
    micros: Option<u64>,
}

#[derive(Serialize)]
struct Changed {
    changed: usize,
}

async fn change_config(
    State(mut client): State<Client>,
    Command { caller, body }: Command<ChangeConfig>,
) -> Answer<Changed> {
    let changed = body.settings.len();
    let settings = body.settings.into_iter().map(setting).collect::<Result<_, _>>()?;
    let request = proto::ReconfigureRequest { settings };
    done(client.reconfigure(caller.asks(request))).await?;
    Ok(Json(Changed { changed }))
}

fn setting(setting: Setting) -> Result<proto::Setting, Refusal> {
    let Setting { name, flag, number, micros } = setting;
    let flag = flag.map(Value::Flag);
    let values = [flag, number.map(Value::Number), micros.map(Value::Micros)];
    let mut values = values.into_iter().flatten();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(proto::Setting { name, value: Some(value) }),
        _ => Err(Refusal::invalid(format!("{name} needs one of flag, number and micros"))),
    }
}
