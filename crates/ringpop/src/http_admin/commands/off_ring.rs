//! Members that live and own no keys for a time.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{Answer, Command, Nothing, done};
use crate::generated as proto;
use crate::http_admin::answers::Json;
use crate::http_admin::asking::Client;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evict {
    address: String,
    time_ms: u64,
}

#[derive(Serialize)]
pub(super) struct Evicted {
    until_unix_ms: u64,
}

pub(super) async fn evict(
    State(mut client): State<Client>,
    Command { caller, body: Evict { address, time_ms } }: Command<Evict>,
) -> Answer<Evicted> {
    let request = proto::EvictRequest { address, time_ms };
    let until_unix_ms = done(client.evict(caller.asks(request))).await?.until_unix_ms;
    Ok(Json(Evicted { until_unix_ms }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UndoEvict {
    address: String,
}

#[derive(Serialize)]
pub(super) struct Undone {}

pub(super) async fn undo_evict(
    State(mut client): State<Client>,
    Command { caller, body: UndoEvict { address } }: Command<UndoEvict>,
) -> Answer<Undone> {
    done(client.undo_evict(caller.asks(proto::UndoEvictRequest { address }))).await?;
    Ok(Json(Undone {}))
}

#[derive(Serialize)]
pub(super) struct Drained {
    /// Whether it was not so before.
    changed: bool,
}

pub(super) async fn drain(
    State(mut client): State<Client>,
    Command { caller, body: Nothing {} }: Command<Nothing>,
) -> Answer<Drained> {
    let changed = done(client.drain(caller.asks(proto::DrainRequest {}))).await?.changed;
    Ok(Json(Drained { changed }))
}

pub(super) async fn undrain(
    State(mut client): State<Client>,
    Command { caller, body: Nothing {} }: Command<Nothing>,
) -> Answer<Drained> {
    let changed = done(client.undrain(caller.asks(proto::UndrainRequest {}))).await?.changed;
    Ok(Json(Drained { changed }))
}
